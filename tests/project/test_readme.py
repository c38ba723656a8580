"""The examples of README and of each page run unchanged, in order, in a folder that holds one photo."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import codec
from codec.cli.report import EXIT_CODES_HELP

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
COMMAND_LINE = ROOT / "docs" / "guide" / "command-line.md"


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page in order, each with its language."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(language, code) for language, code in found if language in languages]


def test_first_two_commands_install_and_test():
    first, second = [code.strip() for _, code in blocks(README, "sh")[:2]]
    for command in (first, second):
        assert "\n" not in command
        assert command.startswith("python3 -m venv ")
    picture = re.search(r"tests/assets/\S+\.png", first)
    assert picture is not None
    assert (ROOT / picture[0]).is_file()
    assert "vaezip compress" in first
    assert "vaezip decompress" in first
    assert "pytest" in second


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def run_examples(page: Path, tmp_path: Path) -> str:
    """Run the shell and Python examples of a page; return the failure, or an empty string.

    A shim replaces the installed command. `console` blocks are not run.
    """
    examples = blocks(page, "sh", "python")[2 if page == README else 0 :]
    shim = tmp_path / "bin" / "vaezip"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m codec "$@"\n')
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(TESTS / "assets" / "chelsea.png", folder / "photo.png")
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(codec.__file__).parents[1]),
    }
    for language, code in examples:
        start = ["bash", "-ec"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*start, code], capture_output=True, text=True, cwd=folder, env=environment, timeout=120
        )
        if done.returncode:
            return f"{code}\n{done.stdout}{done.stderr}"
    return ""


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """Failures by page. Two pages run at a time, because examples mostly import on one core."""
    folder = tmp_path_factory.mktemp("pages")
    pages = [page for page in (README, *PAGES) if blocks(page, "sh", "python")]
    with ThreadPoolExecutor(2) as pool:
        ends = pool.map(run_examples, pages, [folder / str(index) for index in range(len(pages))])
        return dict(zip(pages, ends, strict=True))


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_examples_run(page, failures):
    if page == README:
        assert len(blocks(page, "sh", "python")) >= 4
    assert failures.get(page, "") == ""


@pytest.mark.skipif(not PAGES, reason="the tests of a wheel lie beside no documentation")
def test_exit_codes_match_the_help():
    told = dict(re.findall(r"^ +(\d+) +(.+)$", EXIT_CODES_HELP, re.MULTILINE))
    text = COMMAND_LINE.read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (\d+) \| (.+) \|$", text, re.MULTILINE)) == told
