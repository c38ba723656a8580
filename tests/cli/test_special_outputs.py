"""Outputs that are not regular files are written through, and earlier content is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

import codec
from codec.batch import compress_many
from codec.errors import UsageError
from codec.io.files import check_writable, descriptor_of, write_atomic, writes_through

COMMAND = f'"{sys.executable}" -m codec'


@pytest.fixture
def shell(tmp_path, child_environment):
    """Run a line of bash in an empty folder; `vaezip` stands for the command."""

    def run(line: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["bash", "-c", f'vaezip() {{ {COMMAND} "$@"; }}; {line}'],
            capture_output=True,
            cwd=tmp_path,
            env=child_environment,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def encoder():
    return codec.Encoder()


@pytest.fixture
def packed(encoder, small_picture):
    """The .vae file of photo.png."""
    return encoder.encode(small_picture)


@pytest.mark.parametrize(
    "line",
    [
        "vaezip compress photo.png -o /dev/stdout -f >> log",
        "vaezip compress photo.png -o /dev/fd/7 7>> log",
        "vaezip compress photo.png -o link >> log",
        "vaezip compress photo.png -Q -o /dev/stderr 2>> log",
    ],
)
def test_appending_descriptor_keeps_earlier_content(shell, packed, tmp_path, line):
    (tmp_path / "log").write_bytes(b"kept\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    before = (tmp_path / "log").stat()
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_bytes() == b"kept\n" + packed
    assert (tmp_path / "log").stat().st_ino == before.st_ino
    assert (tmp_path / "log").stat().st_mtime_ns > before.st_mtime_ns


def test_descriptor_is_written_from_its_position(shell, packed, tmp_path):
    done = shell("{ echo head; vaezip compress photo.png -o /dev/stdout; echo tail; } > log")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_bytes() == b"head\n" + packed + b"tail\n"


@pytest.mark.parametrize("output", [">(cat)", "/dev/null", "pipe"])
def test_special_files_need_no_force_and_are_not_replaced(shell, packed, tmp_path, output):
    os.mkfifo(tmp_path / "pipe")
    done = shell(f"cat pipe & vaezip compress photo.png -o {output}; code=$?; : <> pipe; wait; exit $code")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (b"" if output == "/dev/null" else packed)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "pipe"]


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp", "ppm", "tga", "jpg"])
def test_every_picture_format_can_be_piped(tmp_path, suffix):
    from codec.cli import output_formats

    target = tmp_path / f"out.{suffix}"
    os.mkfifo(target)
    received = []
    reader = threading.Thread(target=lambda: received.append(target.read_bytes()))
    reader.start()
    picture = Image.effect_noise((40, 30), 50).convert("RGB")
    write_atomic(target, lambda file: output_formats.save(picture, output_formats.choose(str(target)), file))
    reader.join(timeout=10)
    (tmp_path / "copy").write_bytes(received[0])
    with Image.open(tmp_path / "copy") as again:
        assert again.size == (40, 30)
        assert suffix == "jpg" or again.convert("RGB").tobytes() == picture.tobytes()


def test_decompress_and_streams_write_through(shell, packed, tmp_path):
    (tmp_path / "photo.vae").write_bytes(packed)
    with Image.open(tmp_path / "photo.png") as picture:
        picture.convert("RGB").save(tmp_path / "photo.ppm")
    (tmp_path / "log").write_bytes(b"kept\n")
    done = shell(
        "vaezip decompress photo.vae -o /dev/stdout >> log &&"
        " vaezip compress --stream photo.ppm -o /dev/stdout |"
        " vaezip decompress --stream - -o /dev/fd/7 7> frames"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_bytes().startswith(b"kept\n\x89PNG")
    assert (tmp_path / "frames").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("vaezip compress photo.png -o /dev/fd/99", 6, b"/dev/fd/99: is not open"),
        ("vaezip compress photo.png -o /dev/fd/7 7< <(true)", 6, b"open for reading only"),
        ("vaezip compress photo.png -o /dev/stdout >&-", 6, b"standard output: is closed"),
        ("vaezip batch photo.png -o /dev/stdout", 2, b"no standard input or output"),
        ("vaezip compress --rm photo.png -o /dev/stderr", 2, b"work with files, not with pipes"),
        ("vaezip compress --rm photo.png -o /dev/null", 2, b"/dev/null cannot be read back"),
    ],
)
def test_unwritable_special_files_are_refused(shell, small_picture, tmp_path, line, code, words):
    done = shell(line)
    assert (done.returncode, done.stdout) == (code, b"")
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_summary_of_a_file_to_a_pipe_gives_its_size(vaezip, small_picture):
    done = vaezip("compress", "photo.png", "-o", "-")
    n_bytes, n_packed = small_picture.stat().st_size, len(done.stdout)
    assert f"{n_bytes} -> {n_packed} bytes ({n_bytes / n_packed:.1f}:1)".encode() in done.stderr
    assert b"from a pipe" not in done.stderr


def test_file_open_in_another_process_is_appended_to(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"kept\n")
    with log.open("ab") as file:
        place = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        if not Path(place).exists():
            pytest.skip("no /proc here")
        number = os.fstat(file.fileno()).st_ino
        code = (
            "from pathlib import Path; from codec.io.files import write_atomic; "
            f"write_atomic(Path({place!r}), b'data', overwrite=True)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=Path(codec.__file__).parents[1], check=True)
    assert log.read_bytes() == b"kept\ndata"
    assert log.stat().st_ino == number


def test_names_of_descriptors(tmp_path):
    (tmp_path / "7").touch()
    os.mkfifo(tmp_path / "pipe")
    assert [descriptor_of(f"/dev/{name}") for name in ("stdin", "stdout", "stderr", "fd/63", "null")] == [
        0, 1, 2, 63, None,
    ]  # fmt: skip
    assert descriptor_of(f"/proc/{os.getpid()}/fd/5") == 5
    assert descriptor_of(tmp_path / "7") is None
    assert descriptor_of("7") is None
    assert writes_through(tmp_path / "pipe")
    assert not writes_through(tmp_path / "7")
    assert not writes_through(tmp_path / "absent")
    (tmp_path / "loop").symlink_to("loop")
    assert not writes_through(tmp_path / "loop")


@pytest.mark.parametrize("flags", [os.O_APPEND, 0])
def test_every_command_writes_to_the_descriptor_itself(tmp_path, flags):
    log = tmp_path / "log"
    log.write_bytes(b"kept")
    descriptor = os.open(log, os.O_WRONLY | flags)
    try:
        if not flags:
            os.lseek(descriptor, 2, os.SEEK_SET)
        for data in (b"12", lambda file: file.write(b"34")):
            path = Path(f"/dev/fd/{descriptor}")
            assert check_writable(path) == path
            write_atomic(path, data)
    finally:
        os.close(descriptor)
    assert log.read_bytes() == (b"kept1234" if flags else b"ke1234")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_picture_is_kept_if_its_output_cannot_be_read_back(small_picture, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="read back"):
        list(compress_many([(small_picture, tmp_path / "pipe")], remove_sources=True, jobs=1))
    assert small_picture.exists()
