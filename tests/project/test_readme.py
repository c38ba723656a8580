"""README's examples run as they stand, in order, in one folder that holds one photo."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import codec
from codec.cli.report import EXIT_CODES_HELP

TESTS = Path(__file__).parents[1]
README = (TESTS.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_first_two_commands_are_the_set_up():
    first, second = [block.strip() for block in blocks("sh")[:2]]
    for command in (first, second):
        assert "\n" not in command
        assert command.startswith("python3 -m venv ")
    picture = re.search(r"tests/data/\S+\.png", first)
    assert picture is not None
    assert (TESTS.parent / picture[0]).is_file()
    assert "vaezip compress" in first
    assert "vaezip decompress" in first
    assert "pytest" in second


def test_examples_run(tmp_path):
    """Shell and Python examples after the set-up commands; a shim stands in for the installed command."""
    shim = tmp_path / "bin" / "vaezip"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m codec "$@"\n')
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(TESTS / "data" / "chelsea.png", folder / "photo.png")
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(codec.__file__).parents[1]),
    }
    examples = [*(["bash", "-ec", block] for block in blocks("sh")[2:] if "train" not in block)]
    examples += [[sys.executable, "-c", block] for block in blocks("python")]
    assert len(examples) >= 2
    for example in examples:
        done = subprocess.run(
            example, capture_output=True, text=True, cwd=folder, env=environment, timeout=120
        )
        assert done.returncode == 0, f"{example[-1]}\n{done.stdout}{done.stderr}"


def test_exit_codes_are_those_of_the_help():
    told = dict(re.findall(r"^ +(\d+) +(.+)$", EXIT_CODES_HELP, re.MULTILINE))
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE))
    assert table == told
