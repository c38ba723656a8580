"""Many files on the command line: outputs, exit codes, progress and interruption."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codec.bitstream.container import parse_container


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def tree(tmp_path, small_picture):
    """Three pictures and a bad one in a tree named photos."""
    for name in ("a.png", "sub/b.png", "sub/deep/c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(small_picture, path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"junk")
    small_picture.unlink()
    return tmp_path / "photos"


def test_tree_by_two_processes_then_resumed_then_verified(vaezip, tree, tmp_path):
    batch = ("batch", "photos", "-o", "out", "-j", "2", "--manifest", "m.jsonl", "--json")
    done = vaezip(*batch)
    message = done.stderr.decode()
    assert done.returncode == 1, message
    assert files(tmp_path / "out") == ["a.vae", "sub/b.vae", "sub/deep/c.vae"]
    records = {record["file"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert len(records) == 4
    assert records["photos/bad.png"]["status"] == "failed"
    assert records["photos/bad.png"]["error"] == "UnsupportedImage"
    record = records["photos/sub/b.png"]
    assert record["status"] == "done"
    assert record["output"] == "out/sub/b.vae"
    assert (record["width"], record["height"]) == (40, 30)
    assert record["bytes"] == (tmp_path / "out/sub/b.vae").stat().st_size
    assert "vaezip: photos/bad.png: is not a picture" in message
    assert "4 files: 3 done, 1 failed, " in message

    (tmp_path / "out/sub/b.vae").unlink()
    done = vaezip(*batch, "-Q")
    assert done.returncode == 1
    assert sorted(json.loads(line)["status"] for line in done.stdout.splitlines()) == [
        "done", "failed", "skipped", "skipped",
    ]  # fmt: skip
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("vaezip: photos/bad.png: is not a picture that Pillow can read; ")
    refused = vaezip("batch", "photos", "-o", "out", "--manifest", "m.jsonl", "-q", "50")
    assert refused.returncode == 2
    assert b"other settings" in refused.stderr

    damaged = bytearray((tmp_path / "out/a.vae").read_bytes())
    damaged[-3] ^= 4
    (tmp_path / "out/a.vae").write_bytes(damaged)
    done = vaezip("verify", "out", "--json")
    assert done.returncode == 1
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["failed", "ok", "ok"]
    assert b"vaezip: out/a.vae: " in done.stderr
    assert b"out/sub/deep/c.vae: intact, 40x30" in done.stderr


def test_rm_and_skip_existing_in_one_process(vaezip, tree, tmp_path):
    done = vaezip("compress", "photos/**/*.png", "--rm", "--threads", "1")
    assert done.returncode == 1, done.stderr.decode()
    assert files(tree) == ["a.vae", "bad.png", "sub/b.vae", "sub/deep/c.vae"]
    done = vaezip("compress", "photos", "--skip-existing", "--json", "-Q")
    assert done.returncode == 3
    assert json.loads(done.stdout)["file"] == "photos/bad.png"
    done = vaezip("decompress", "photos", "-o", "back", "-Q")
    assert done.returncode == 0, done.stderr.decode()
    assert files(tmp_path / "back") == ["a.png", "sub/b.png", "sub/deep/c.png"]


def test_decompress_by_two_processes_equals_one(vaezip, tree, tmp_path):
    (tree / "bad.png").unlink()
    Image.new("LA", (5, 4), (90, 7)).save(tree / "glass.png")
    assert vaezip("compress", "photos", "-o", "in", "-Q").returncode == 0
    (tmp_path / "in/bad.vae").write_bytes((tmp_path / "in/a.vae").read_bytes()[:-9])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/a.png").write_bytes(b"mine")
    one = vaezip("decompress", "in", "-o", "one")
    two = vaezip("decompress", "in", "-o", "two", "-j", "2")
    assert one.returncode == two.returncode == 1
    assert sorted(two.stderr.decode().replace("two/", "one/").splitlines()) == sorted(
        one.stderr.decode().splitlines()
    )
    assert b"vaezip: in/bad.vae: " in two.stderr
    assert b"in/sub/b.vae -> two/sub/b.png: 40x30" in two.stderr
    assert files(tmp_path / "two") == ["a.png", "glass.png", "sub/b.png", "sub/deep/c.png"]
    for name in files(tmp_path / "two"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
        source = (tmp_path / "in" / name).with_suffix(".vae")
        assert (tmp_path / "two" / name).stat().st_mtime_ns == source.stat().st_mtime_ns

    kept = vaezip("decompress", "in/a.vae", "in/glass.vae", "in/sub/b.vae", "-o", "taken", "-j", "2", "-Q")
    assert kept.returncode == 1
    assert kept.stderr.startswith(b"vaezip: taken/a.png: ")
    assert kept.stderr.count(b"\n") == 1
    assert (tmp_path / "taken/a.png").read_bytes() == b"mine"
    assert files(tmp_path / "taken") == ["a.png", "b.png", "glass.png"]

    found = vaezip("decompress", "in/a.vae", "in/bad.vae", "--salvage", "-o", ".", "-j", "2")
    assert found.returncode == 1
    assert b"in/a.vae -> a.png: intact, nothing to salvage" in found.stderr
    assert b"vaezip: in/bad.vae: no tile is intact" in found.stderr


@pytest.mark.parametrize("options", [["--rm"], ["--json"], ["--manifest", "m"], ["--skip-existing"]])
def test_options_for_files_are_refused_for_pipes(vaezip, small_picture, tmp_path, options):
    for where in (["-"], ["photo.png", "-o", "-"]):
        done = vaezip("compress", *where, *options, stdin=small_picture.read_bytes())
        assert done.returncode == 2
        assert done.stdout == b""
    assert files(tmp_path) == ["photo.png"]


def test_ctrl_c_leaves_only_complete_files_and_no_process(tmp_path, child_environment):
    noise = np.random.default_rng(1).integers(0, 255, (512, 768, 3), np.uint8)
    (tmp_path / "in").mkdir()
    for number in range(60):
        Image.fromarray(np.roll(noise, number, 0)).save(tmp_path / "in" / f"{number:02}.bmp")
    process = subprocess.Popen(
        [sys.executable, "-m", "codec", "batch", "in", "-o", "out", "-j", "2", "--manifest", "m.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=child_environment,
        # Whoever started the tests in the background had SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 100
    while not list(tmp_path.glob("out/*.vae")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = workers.read_text().split() if workers.exists() else []
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.endswith(b"vaezip: interrupted\n")
    assert b"Traceback" not in stderr
    left = files(tmp_path / "out")
    assert 0 < len(left) < 60
    for name in left:
        assert name.endswith(".vae")
        parse_container((tmp_path / "out" / name).read_bytes())
    # The resource tracker of Python's multiprocessing ends a moment after the others.
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    noted = [json.loads(line) for line in (tmp_path / "m.jsonl").read_bytes().splitlines()]
    assert {os.path.basename(line["output"]) for line in noted[1:]} <= set(left)


def test_ctrl_c_while_workers_start_prints_one_line(tree, tmp_path, child_environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "codec", "batch", "photos", "-o", "out", "-j", "2"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=child_environment,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(workers.read_text().split()) < 3:  # two, and the resource tracker of multiprocessing
        assert process.poll() is None
        time.sleep(0.002)
    # To the whole process group, as a terminal sends it.
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == b"vaezip: interrupted\n"
    assert not list(tmp_path.rglob("*.vae"))


def test_terminal_shows_progress_and_no_colour_with_no_color(tree, tmp_path, child_environment):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "codec", "compress", "photos", "-o", "out", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        env={**child_environment, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "120"},
    )
    os.close(theirs)
    screen = b""
    try:
        while chunk := os.read(ours, 4096):
            screen += chunk
    except OSError:  # how Linux reports that the other side has closed
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    text = screen.decode()
    assert "4/4" in text
    assert "a.vae: 40x30" in text
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]m", text), "colours"
    assert len([json.loads(line) for line in out.splitlines()]) == 4


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_fit_their_shell(vaezip, shell):
    done = vaezip("completion", shell)
    assert done.returncode == 0
    script = done.stdout.decode()
    for program in ("vaezip", "vaezip-encode", "vaezip-decode"):
        assert f"_{program.upper().replace('-', '_')}_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        check = ["--no-execute"] if shell == "fish" else ["-n"]
        assert subprocess.run([shell, *check], input=done.stdout).returncode == 0


def test_bash_completes_commands_and_files(vaezip):
    def complete(words: str) -> str:
        environment = {
            "_VAEZIP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")),
        }  # fmt: skip
        return vaezip(env=environment).stdout.decode()

    assert "plain,verify" in complete("vaezip ver")
    assert "plain,--manifest" in complete("vaezip batch --man")
    assert complete("vaezip compress pho").startswith("file,")


def test_unknown_shell_is_a_usage_error(vaezip):
    done = vaezip("completion", "tcsh")
    assert done.returncode == 2
    assert b"bash" in done.stderr
