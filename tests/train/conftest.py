from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

TINY = {"c8": 16, "c16": 16, "m": 64, "h": 8, "hyper": 16, "blocks8": 1, "blocks16": 1}


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Use one thread: with steps of milliseconds, several threads mostly spin while they wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_sizes():
    """A model so small that a step takes milliseconds."""
    return dict(TINY)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory, chelsea):
    """Ten pictures of five sources, of several sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(10):
        part = np.roll(chelsea, 40 * i, axis=1)[: 120 + 10 * i]
        Image.fromarray(part).save(folder / f"{'abcde'[i // 2]}_{i % 2}.png")
    return folder


@pytest.fixture(scope="session")
def one_picture(tmp_path_factory, chelsea):
    """A folder of one picture."""
    folder = tmp_path_factory.mktemp("one")
    Image.fromarray(chelsea).save(folder / "cat.png")
    return folder


@pytest.fixture
def options(one_picture, tmp_path):
    """Return a function that makes the options of a tiny run; see TrainOptions."""
    from codec.train.settings import TrainOptions

    def make(**changes):
        settings = {
            "images": str(one_picture), "out": str(tmp_path / "run"), "steps": 7, "crop": 64,
            "final_crop": 96, "learning_rate": 0.02, "model": TINY, **changes,
        }  # fmt: skip
        made = TrainOptions(**settings)
        Path(made.out).mkdir(exist_ok=True)
        (Path(made.out) / "options.json").write_text(json.dumps(settings), encoding="utf-8")
        return made

    return make
