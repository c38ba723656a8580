"""Small pictures for batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path: Path, photo: Callable) -> Callable[..., Path]:
    """Return a function that writes a different 64x64 picture for each name, below a folder."""

    def make(*names: str, folder: str = "pictures") -> Path:
        large = Image.fromarray(photo(300, 200))
        for number, name in enumerate(names):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            left, top = 7 * number % 230, 5 * number % 130
            large.crop((left, top, left + 64, top + 64)).save(path)
        return tmp_path / folder

    return make
