from __future__ import annotations

import json
import shutil

import pytest

from codec.inference.weights import load_model, read_verified
from codec.model.index import INDEX, default_model_id, model_entry, weights_folder


@pytest.fixture(scope="session")
def model():
    """The installed model."""
    return load_model(default_model_id())


@pytest.fixture(scope="session")
def _stored():
    return read_verified(model_entry(default_model_id()))


@pytest.fixture
def arrays(_stored):
    """Arrays of the installed weights file; entries may be replaced."""
    return dict(_stored[0])


@pytest.fixture
def meta(_stored):
    """Metadata of the installed weights file; entries may be replaced."""
    return dict(_stored[1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the installed weights, in use until the test ends."""
    entry = model_entry(default_model_id())
    shutil.copy(weights_folder() / entry.file, tmp_path / entry.file)
    shutil.copy(weights_folder() / INDEX, tmp_path / INDEX)
    monkeypatch.setenv("VAEZIP_MODEL_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def index(folder):
    """The index of that copy and a function that replaces it."""
    path = folder / INDEX

    def store(content):
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    return json.loads(path.read_text(encoding="utf-8")), store
