"""What holds for all tests: shared pictures, options, and what is skipped where."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# Processes that tests start compute as the tests do: an encoder's latent is float, and its bytes may differ
# between backends. Tests of the other one say so.
os.environ.setdefault("VAEZIP_BACKEND", "onnx")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--life",
        type=float,
        default=2,
        metavar="SECONDS",
        help="how long the process lives that must neither report nor write anything",
    )
    parser.addoption(
        "--with-trainer", action="store_true", help="fail at once if the trainer's tests cannot run here"
    )
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="write tests/golden anew with the weights installed, instead of holding the codec to it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where tests of the trainer, which skip without compressai, must run and cannot."""
    if config.getoption("--with-trainer"):
        try:
            import codec.train.model  # noqa: F401
        except Exception as error:
            raise pytest.UsageError(f"--with-trainer: {type(error).__name__}: {error}") from error


@pytest.fixture(scope="session")
def chelsea_path() -> Path:
    """The photo that comes with the project, 451x300."""
    return Path(__file__).parent / "assets" / "chelsea.png"


@pytest.fixture(scope="session")
def chelsea(chelsea_path: Path) -> Pixels:
    """Its samples: uint8 [300, 451, 3]."""
    with Image.open(chelsea_path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="session")
def photo(chelsea: Pixels) -> Callable[[int, int], Pixels]:
    """Return a function (width, height) -> samples of a photo of that size: mirrored on and on, then cut."""

    def cut(width: int, height: int) -> Pixels:
        rows, columns = chelsea.shape[:2]
        # Small pictures show the face, not the blurred background.
        top, left = max(0, min(90, rows - height)), max(0, min(130, columns - width))
        part = chelsea[top:, left:]
        missing = ((0, max(0, height - part.shape[0])), (0, max(0, width - part.shape[1])), (0, 0))
        return np.ascontiguousarray(np.pad(part, missing, mode="symmetric")[:height, :width])

    return cut
