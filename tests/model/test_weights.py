from __future__ import annotations

import hashlib

import numpy as np
import pytest

from codec.entropy.detail_context import SHAPE_MAX
from codec.errors import BackendMismatch, UnknownModel, WeightsError
from codec.inference.weights import build, load_model, read_verified
from codec.model.config import ModelConfig, parameter_shapes
from codec.model.index import default_model_id, model_entry
from codec.networks.network import Network, float_network

ID = bytes.fromhex("01020304")


def test_loading_is_done_once(model):
    assert load_model(default_model_id()) is model


def test_networks_are_frozen(model):
    assert not float_network(model).training
    assert not any(p.requires_grad for p in float_network(model).parameters())


def test_missing_model_is_refused():
    with pytest.raises(UnknownModel, match="01020304"):
        load_model(ID)


@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_flipped_bit(folder, where):
    entry = model_entry(default_model_id())
    data = bytearray((folder / entry.file).read_bytes())
    data[int(where * len(data)) if where != -1 else -1] ^= 1
    (folder / entry.file).write_bytes(data)
    with pytest.raises(WeightsError, match=f"{entry.file}.*sha256"):
        read_verified(entry)


def test_missing_file(folder):
    entry = model_entry(default_model_id())
    (folder / entry.file).unlink()
    with pytest.raises(WeightsError, match=entry.file):
        read_verified(entry)


@pytest.mark.parametrize("content", [b"", b"no tensors here", b"\xff" * 64])
def test_invalid_file_with_a_matching_hash(index, folder, content):
    stored, store = index
    model_id = stored["default"]
    (folder / "foreign").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    stored["models"][model_id] |= {"file": "foreign", "sha256": digest}
    store(stored)
    with pytest.raises(WeightsError, match="foreign"):
        read_verified(model_entry(default_model_id()))


def test_valid_arrays_build_a_model(arrays, meta):
    assert build(ID, arrays, meta).model_id == ID


def test_wrong_known_answer_is_refused(arrays, meta):
    arrays["scale.kat_crc"] = arrays["scale.kat_crc"] ^ 1
    with pytest.raises(BackendMismatch, match="known answer"):
        build(ID, arrays, meta)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_known_answer_detects_one_changed_integer(arrays, meta, layer):
    """The largest weight of each of eight channels is changed; the shift may hide changes near 0."""
    name = f"scale.{layer}.weight"
    sizes = np.abs(arrays[name].astype(np.int64)).reshape(len(arrays[name]), -1)
    noticed = []
    for channel in sizes.max(1).argsort()[-8:]:
        changed = arrays[name].copy()
        changed[channel].flat[sizes[channel].argmax()] //= 2
        try:
            build(ID, {**arrays, name: changed}, meta)
        except BackendMismatch:
            noticed.append(int(channel))
    # A hidden channel may stay at 0 whatever the value of one of its weights.
    assert len(noticed) >= 6, noticed


def test_known_answer_detects_a_changed_offset(arrays, meta):
    for row in (0, -1):
        changed = arrays["scale.offset"].copy()
        changed[row, np.abs(changed[row]).argmax()] //= 2
        with pytest.raises(BackendMismatch):
            build(ID, {**arrays, "scale.offset": changed}, meta)


def test_sums_too_large_for_float32_are_refused(arrays, meta):
    arrays["scale.1.weight"] = np.full_like(arrays["scale.1.weight"], 3000)
    with pytest.raises(WeightsError, match=r"scale\.1.*2\*\*24"):
        build(ID, arrays, meta)


@pytest.mark.parametrize(
    "name", ["network.g_s.linear.weight", "network.gain", "scale.1.bias", "scale.offset", "scale.kat_z",
             "entropy.r_freq"],
)  # fmt: skip
def test_missing_array(arrays, meta, name):
    del arrays[name]
    with pytest.raises(WeightsError, match=name.removeprefix("network.")):
        build(ID, arrays, meta)


def test_array_of_wrong_shape(arrays, meta):
    arrays["network.gain"] = arrays["network.gain"][:, :-1]
    with pytest.raises(WeightsError, match="gain"):
        build(ID, arrays, meta)


def test_table_with_wrong_sum(arrays, meta):
    arrays["entropy.z_freq"] = arrays["entropy.z_freq"].copy()
    arrays["entropy.z_freq"][0] += 1
    with pytest.raises(WeightsError, match=r"2\*\*24"):
        build(ID, arrays, meta)


DETAIL = ("weight", "shape", "half", "freq", "lean")


@pytest.mark.parametrize("name", DETAIL)
def test_missing_array_of_the_detail_layer(arrays, meta, name):
    del arrays[f"detail.{name}"]
    with pytest.raises(WeightsError, match=rf"detail\.{name} is missing"):
        build(ID, arrays, meta)


def test_model_without_a_detail_layer(arrays, meta):
    for name in DETAIL:
        del arrays[f"detail.{name}"]
    assert build(ID, arrays, meta).detail is None


@pytest.mark.parametrize("name", DETAIL)
@pytest.mark.parametrize(
    "damage", [lambda a: a[:-1], lambda a: a[0], lambda a: a[..., None], lambda a: a.astype(np.float64)],
    ids=["short", "first", "deep", "double"],
)  # fmt: skip
def test_wrong_shape_or_type_of_the_detail_layer(arrays, meta, name, damage):
    arrays[f"detail.{name}"] = damage(arrays[f"detail.{name}"])
    with pytest.raises(WeightsError, match="weights file"):
        build(ID, arrays, meta)


@pytest.mark.parametrize(
    ("name", "value"),
    [("weight", 1 << 18), ("weight", -(1 << 31)), ("shape", -1), ("shape", SHAPE_MAX + 1), ("lean", 1.0),
     ("lean", -1.0), ("lean", np.nan), ("lean", np.inf), ("half", 0), ("half", -1), ("half", 40000),
     ("freq", 0), ("freq", 1 << 24)],
)  # fmt: skip
def test_value_out_of_range_in_the_detail_layer(arrays, meta, name, value):
    damaged = arrays[f"detail.{name}"].copy()
    # The first entry of `half` must be 0.
    damaged.flat[1] = value
    arrays[f"detail.{name}"] = damaged
    with pytest.raises(WeightsError, match="weights file"):
        build(ID, arrays, meta)


@pytest.mark.parametrize("key", ["config", "scale_layers"])
@pytest.mark.parametrize("value", [None, "", "{", "[1]", '{"nonsense": 1}'])
def test_metadata(arrays, meta, key, value):
    if value is None:
        del meta[key]
    else:
        meta[key] = value
    with pytest.raises(WeightsError, match="01020304"):
        build(ID, arrays, meta)


@pytest.mark.parametrize("sizes", [{}, {"z_stride": 64, "blocks8": 1, "blocks16": 0}, {"c8": 8, "hyper": 12}])
def test_parameter_shapes_match_the_networks(sizes):
    config = ModelConfig(**sizes)
    found = {name: tuple(p.shape) for name, p in Network(config).named_parameters()}
    assert parameter_shapes(config) == found
