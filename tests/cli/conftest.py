"""Fixtures that run the command in a process of its own, as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import codec
from codec.bitstream.container import write_container
from codec.bitstream.header import Header
from codec.bitstream.tile_payloads import TilePayload

Run = Callable[..., subprocess.CompletedProcess[bytes]]
PICTURE = Path(__file__).parents[1] / "assets" / "chelsea.png"


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which a child process imports the package under test from any folder."""
    return {**os.environ, "PYTHONPATH": str(Path(codec.__file__).parents[1]), **changes}


@pytest.fixture
def child_environment() -> dict[str, str]:
    """The environment for a child process that a test starts by itself."""
    return environment()


@pytest.fixture
def vaezip(tmp_path: Path) -> Run:
    """Run `vaezip ARGUMENTS` in an empty folder; standard input is empty unless given."""

    def run(
        *arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "codec", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(**(env or {})),
            timeout=120,
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture
def small_picture(tmp_path: Path) -> Path:
    """A picture of 40x30 pixels named photo.png."""
    path = tmp_path / "photo.png"
    with Image.open(PICTURE) as picture:
        picture.crop((100, 50, 140, 80)).save(path)
    return path


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes that `vaezip compress` makes of the 451x300 test picture."""
    folder = tmp_path_factory.mktemp("stream")
    done = subprocess.run(
        [sys.executable, "-m", "codec", "compress", str(PICTURE), "-o", "chelsea.vae"],
        capture_output=True,
        cwd=folder,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return (folder / "chelsea.vae").read_bytes()


@pytest.fixture
def hollow_stream() -> bytes:
    """A valid container of 20000x3 pixels with empty codestreams, for tests that decode no pixels."""
    header = Header(20_000, 3, rate_index=700, model_id=b"\x00\x00\x00\x00", tile_log2=12)
    return write_container(header, [TilePayload(0, 0, 0, b"").pack()] * 5)
