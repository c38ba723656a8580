"""The float32 scale network must give the integers of the reference, at any size up to a tile and beyond."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from codec.entropy import reference

pytest.importorskip("torch")

from codec.model.config import ScaleLayer
from codec.model.scale_network import ScaleNetwork

SHAPES = [(2, 1, 0, False), (8, 3, 3, True), (8, 3, 6, True), (3, 1, 4, False)]


def _network(z_stride, seed=0):
    rng = np.random.default_rng(seed)
    arrays, layers, plain, channels = {}, [], [], 2
    for i, (out, k, shift, shuffle) in enumerate(SHAPES if z_stride == 64 else SHAPES[:2] + SHAPES[3:]):
        weight = rng.integers(-80, 81, (out, channels, k, k)).astype(np.int16)
        bias = rng.integers(-5000, 5001, out).astype(np.int32)
        arrays |= {f"scale.{i}.weight": weight, f"scale.{i}.bias": bias}
        layers.append(ScaleLayer(out, k, shift, shuffle))
        plain.append(reference.Layer(weight.tolist(), bias.tolist(), shift, shuffle))
        channels = out // 4 if shuffle else out
    arrays["scale.offset"] = rng.integers(-400, 400, (8, 3)).astype(np.int16)
    return ScaleNetwork(layers, z_stride, arrays), plain, arrays["scale.offset"].tolist()


@pytest.mark.parametrize("z_stride", [32, 64])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 17)])
@pytest.mark.parametrize("quality", [0, 1000, 1792])
def test_same_integers(z_stride, shape, quality):
    network, plain, offset = _network(z_stride)
    z = np.random.default_rng(1).integers(-127, 128, (2, *shape)).astype(np.int16)
    s = reference.scale_network(z.tolist(), plain)
    assert network.levels(z).tolist() == s
    assert network.scale_index(z, quality).tolist() == reference.scale_indices(s, offset, quality, False)


def test_known_answer_is_the_crc_that_format_md_defines():
    network, plain, offset = _network(64)
    z = np.random.default_rng(2).integers(-127, 128, (2, 3, 3)).astype(np.int16)
    s = reference.scale_network(z.tolist(), plain)
    parts = [np.array(s, dtype="<i4").tobytes()]
    parts += [
        np.array(reference.scale_indices(s, offset, q, False), dtype=np.uint8).tobytes() for q in (0, 1792)
    ]
    assert network.known_answer(z) == zlib.crc32(b"".join(parts))
