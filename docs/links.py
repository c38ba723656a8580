"""MkDocs hook: publish files that lie outside docs/, and check and rewrite the links to them.

Pages link to files relative to their own place in the repository, so that the links also work where the
repository itself is browsed. In the site, a link to a file of PAGES leads to its page, a link to a result
to a copy of it, and a link to any other file, such as a source, becomes plain text. A link to nothing is a
warning, which `mkdocs build --strict` turns into an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# By path in the repository: where a Markdown file outside docs/ appears in the site.
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security-policy.md",
    "benchmarks/training/README.md": "training/record.md",
    "codec/bitstream/FORMAT.md": "format/vae.md",
    "codec/bitstream/STREAM.md": "format/vaes.md",
    "datasets.md": "training/data-sets.md",
}
RESULTS = ("benchmarks/results/", "benchmarks/training/")
COPIED = (".csv", ".html", ".json", ".png", ".svg", ".webp")
# A code block, or a link or picture as label and target.
LINK = re.compile(r"^```.*?^```|(!?)\[([^\]\[]*)\]\(([^)\s]+)\)", re.DOTALL | re.MULTILINE)
LOG = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of one page."""
    own = {uri: path for path, uri in PAGES.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if target is None:
            return match[0]
        path, mark, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(own), path))
        if not (ROOT / wanted).exists():
            LOG.warning("%s links to '%s', which does not exist", own, target)
            return match[0]
        uri = site_uri(wanted, config, files)
        if uri is None:
            return label
        shown_as = posixpath.relpath(uri, posixpath.dirname(page.file.src_uri))
        return f"{picture}[{label}]({shown_as}{mark}{anchor})"

    return LINK.sub(rewritten, markdown)


def site_uri(path: str, config: MkDocsConfig, files: Files) -> str | None:
    """Return where the site shows a file of the repository, or None; copy a result at its first use."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if not (path.startswith(RESULTS) and path.endswith(COPIED)):
        return None
    uri = f"files/{path}"
    if files.get_file_from_path(uri) is None:
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return uri
