from __future__ import annotations

import pytest

from codec.errors import UnknownModel, WeightsError
from codec.model.index import INDEX, default_model_id, model_entry, weights_folder


def test_installed_index_names_an_existing_file():
    entry = model_entry(default_model_id())
    assert (weights_folder() / entry.file).is_file()
    assert len(entry.model_id) == 4
    assert len(entry.sha256) == 64
    assert entry.sha256.startswith(entry.model_id.hex())


def test_error_of_an_unknown_model_lists_installed_ones():
    with pytest.raises(UnknownModel, match=f"00000000.*{default_model_id().hex()}"):
        model_entry(bytes(4))


def test_missing_index(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEZIP_MODEL_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=rf"nowhere.*{INDEX}"):
        default_model_id()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"models": []}', '{"models": {}}', "\x00"])
def test_invalid_index(index, content):
    index[1](content)
    with pytest.raises(WeightsError, match=INDEX):
        default_model_id()


@pytest.mark.parametrize("key", ["name", "file", "sha256", "calibration", "training"])
def test_entry_without(index, key):
    stored, store = index
    del stored["models"][stored["default"]][key]
    store(stored)
    with pytest.raises(WeightsError, match=key):
        default_model_id()


@pytest.mark.parametrize("default", ["xyz", "", "0000", "00000000", 7, None])
def test_default_outside_the_index_is_refused(index, default):
    stored, store = index
    store({**stored, "default": default})
    with pytest.raises(WeightsError, match="default"):
        default_model_id()


@pytest.mark.parametrize("model_id", ["xyz", "abc", "abcdef"])
def test_model_id_of_other_length_is_refused(index, model_id):
    stored, store = index
    stored["models"][model_id] = stored["models"][stored["default"]]
    store(stored)
    with pytest.raises(WeightsError, match=INDEX):
        default_model_id()


@pytest.mark.parametrize(
    "calibration",
    [[], [[0, 0]], [[0], [1]], 5, [[0, 0], [100, 3841]], [[0, -1], [100, 2560]], [[0, 9], [100, 8]],
     [[50, 0], [50, 9]], [[60, 0], [50, 9]], [["a", 0], ["b", 1]]],
)  # fmt: skip
def test_calibration_must_rise(index, calibration):
    stored, store = index
    stored["models"][stored["default"]]["calibration"] = calibration
    store(stored)
    with pytest.raises(WeightsError, match=INDEX):
        default_model_id()
