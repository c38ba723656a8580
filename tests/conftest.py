"""Options and pictures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# Encoders of different backends may write different bytes, because latents are floating point. Child
# processes therefore use the backend of the tests; tests of the other backend set the variable themselves.
os.environ.setdefault("VAEZIP_BACKEND", "onnx")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--life",
        type=float,
        default=2,
        metavar="SECONDS",
        help="how long the test process that must not report or write anything keeps running",
    )
    parser.addoption(
        "--with-trainer", action="store_true", help="fail at once if the trainer's tests cannot run here"
    )
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="rewrite tests/golden with the installed weights instead of checking the codec against it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """With --with-trainer, fail at once if the trainer cannot be imported; its tests would only skip."""
    if config.getoption("--with-trainer"):
        try:
            import codec.train.model  # noqa: F401
        except Exception as error:
            raise pytest.UsageError(f"--with-trainer: {type(error).__name__}: {error}") from error


@pytest.fixture(scope="session")
def chelsea_path() -> Path:
    """Path of the test photo, 451x300."""
    return Path(__file__).parent / "assets" / "chelsea.png"


@pytest.fixture(scope="session")
def chelsea(chelsea_path: Path) -> Pixels:
    """Samples of the test photo: uint8 [300, 451, 3]."""
    with Image.open(chelsea_path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="session")
def photo(chelsea: Pixels) -> Callable[[int, int], Pixels]:
    """Return a function (width, height) -> samples of the test photo, cropped or extended by mirroring."""

    def cut(width: int, height: int) -> Pixels:
        rows, columns = chelsea.shape[:2]
        # Small pictures show the face, not the blurred background.
        top, left = max(0, min(90, rows - height)), max(0, min(130, columns - width))
        part = chelsea[top:, left:]
        missing = ((0, max(0, height - part.shape[0])), (0, max(0, width - part.shape[1])), (0, 0))
        return np.ascontiguousarray(np.pad(part, missing, mode="symmetric")[:height, :width])

    return cut
