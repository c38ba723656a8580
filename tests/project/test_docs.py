"""Documentation matches the tree: links, shown commands, the table of layers, the API reference."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import click
import pytest

from codec.cli.main import vaezip

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the tests of a wheel lie beside no documentation", allow_module_level=True)

TOP = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "datasets")]
PAGES = [*TOP, *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_a_target(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        assert ROOT in file.parents, f"{target} lies outside the project"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command named by the words after `vaezip`, and the remaining words."""
    command: click.Command = vaezip
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no command {words[0]}"
        command, words = found, words[1:]
    return command, words


def shown_commands() -> list[str]:
    """Return the arguments of `vaezip` in `console` blocks and in inline code, up to a pipe."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            found += re.findall(r"\bvaezip ([a-z-].*?)(?=[|>]|$)", block, re.MULTILINE)
        if page.name != "CHANGELOG.md":
            found += re.findall(r"`vaezip ([a-z-][^`]*)`", FENCE.sub("", text))
    return sorted(set(found))


@pytest.mark.parametrize("shown", shown_commands())
def test_shown_commands_exist_with_their_options(shown):
    command, words = command_of(shown.split())
    known = {"--help"} | {name for parameter in command.params for name in parameter.opts}
    options = {word.strip("[]") for word in words if word.strip("[").startswith("-") and word != "-"}
    assert options <= known


def test_layer_table_matches_the_layer_test():
    spec = importlib.util.spec_from_file_location("layers", ROOT / "tests" / "project" / "test_layers.py")
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    shown = {
        int(number): {f"codec.{name}" for name in re.findall(r"`(\w+)`", names)} for number, names in rows
    }
    assert shown == dict(enumerate(layers.LAYERS, 1))


def test_reference_lists_every_public_name():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    for package in ("codec", "codec.stream", "codec.batch", "codec.vae"):
        module = importlib.import_module(package)
        names = {f"{package}.{name}" for name in public_names(module) if not name.startswith("__")}
        assert names <= set(shown)
    assert len(shown) == len(set(shown))


def public_names(module: object) -> list[str]:
    """Return `__all__` in the order of the source, or the names of the module's lazy exports."""
    names = getattr(module, "__all__", None)
    return list(names if names is not None else module._EXPORTS)  # type: ignore[attr-defined]


def test_site_pages_exist():
    """Pages that the site takes from outside docs/ exist, and each menu entry is a page."""
    tree = ast.parse((DOCS / "links.py").read_text(encoding="utf-8"))
    elsewhere = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )
    assert all((ROOT / path).is_file() for path in elsewhere)
    menu = re.findall(r": ([\w/.-]+\.md)$", (ROOT / ".mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(menu) == sorted(pages | set(elsewhere.values()))
