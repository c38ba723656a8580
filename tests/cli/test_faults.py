"""Full disks, lack of memory, killed processes: outputs are absent or complete, sources unchanged."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.cli import output_formats
from codec.cli.jobs import Job, Writer, run
from codec.cli.report import Exit
from codec.errors import CodecError
from codec.io.files import write_atomic

NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


class FailsAt:
    """A file on a disk that is full after `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        data = memoryview(data).cast("B")
        self.file.write(data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return len(data)

    def fileno(self):
        raise io.UnsupportedOperation("fileno")

    def __getattr__(self, name):
        return getattr(self.file, name)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def picture():
    samples = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(samples)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg", ".bmp", ".ppm", ".tga"])
def test_disk_full_at_any_byte_leaves_no_output(tmp_path, picture, suffix):
    chosen = output_formats.FORMATS[suffix]
    whole = BytesIO()
    output_formats.save(picture, chosen, whole)
    size = len(whole.getvalue())
    (tmp_path / "old").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in {*range(0, size, max(1, size // 25)), size - 1}:
        for name in ("new", "old"):
            with pytest.raises(OSError, match="No space left"):
                write_atomic(
                    tmp_path / name,
                    lambda file, room=room: output_formats.save(picture, chosen, FailsAt(file, room)),
                    overwrite=True,
                )
            # The same by a limit of the system: Pillow writes some formats without Python's file objects.
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            try:
                with pytest.raises(OSError, match="File too large"):
                    write_atomic(
                        tmp_path / name,
                        lambda file: output_formats.save(picture, chosen, file),
                        overwrite=True,
                    )
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert names(tmp_path) == ["old"]
            assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), Exit.LIMIT), (OSError(errno.ENOSPC, "full"), Exit.INPUT_OUTPUT),
     (OSError(errno.EIO, "broken"), Exit.INPUT_OUTPUT)],
)  # fmt: skip
def test_failure_while_writing_affects_only_that_output(tmp_path, capsys, error, code):
    sources, out = tmp_path / "in", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    jobs = [Job(str(sources / name), str(out / name)) for name in ("a", "bad", "c")]
    for job in jobs:
        Path(job.source).write_bytes(b"source")
    writer = Writer(False, jobs)

    def fill(file):
        file.write(b"half of it")
        raise error

    def work(job):
        writer.write(job, fill if job.source.endswith("bad") else b"whole")

    assert run(jobs[1:2], work) == code
    assert names(out) == []
    assert run(jobs, work) == Exit.SOME_FAILED
    assert names(out) == ["a", "c"]
    assert {path.read_bytes() for path in sources.iterdir()} == {b"source"}
    assert capsys.readouterr().err.count("\n") == 2


def test_input_that_fails_while_it_is_read(vaezip):
    """/proc/self/mem can be opened, and its first byte cannot be read."""
    for arguments in (["info"], ["decompress", "-o", "a.png"]):
        done = vaezip(*arguments, "/proc/self/mem")
        assert done.returncode == Exit.INPUT_OUTPUT
        assert done.stderr.count(b"\n") == 1


@NEEDS_FULL
def test_full_device(vaezip, tmp_path, small_picture, child_environment):
    done = vaezip("compress", "photo.png", "-o", "/dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (Exit.INPUT_OUTPUT, 1)
    assert b"No space left" in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "codec", "compress", "photo.png", "-o", "-"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=child_environment,
        )
    assert done.returncode == Exit.INPUT_OUTPUT
    assert b"Traceback" not in done.stderr
    assert names(tmp_path) == ["photo.png"]


@pytest.mark.parametrize("exists", [False, True])
def test_killed_while_writing(tmp_path, child_environment, exists):
    if exists:
        (tmp_path / "out").write_bytes(b"old")
    program = (
        "import os, signal; from pathlib import Path; from codec.io.files import write_atomic\n"
        "def fill(file):\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(Path('out'), fill, overwrite=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=child_environment)
    assert done.returncode == -signal.SIGKILL
    left = [name for name in names(tmp_path) if name != "out"]
    assert all(name.startswith(".vaezip-") and name.endswith(".tmp") for name in left)
    assert (tmp_path / "out").exists() == exists
    assert not exists or (tmp_path / "out").read_bytes() == b"old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_batch_leaves_only_complete_files(tmp_path, picture, child_environment, number):
    sources = [tmp_path / f"{i:03}.png" for i in range(200)]
    for path in sources:
        picture.save(path)
    before = {path: path.read_bytes() for path in sources}
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "codec", "compress", "-Q", "-o", "out", *(path.name for path in sources)],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=child_environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 100
    while not list((tmp_path / "out").glob("*.vae")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=100)
    made = sorted((tmp_path / "out").glob("*.vae"))
    assert 0 < len(made) < len(sources)
    assert process.returncode == (Exit.INTERRUPTED if number == signal.SIGINT else -number)
    assert b"Traceback" not in stderr
    for path in made:
        try:
            assert codec.info(path).width == picture.width
        except CodecError as error:
            pytest.fail(f"{path.name} is not whole: {error}")
    if number == signal.SIGINT:
        assert names(tmp_path / "out") == [path.name for path in made]
    assert {path: path.read_bytes() for path in sources} == before
