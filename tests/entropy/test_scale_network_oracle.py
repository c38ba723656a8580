"""The float32 scale network gives the integers of the reference, at sizes up to a tile and above."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from codec.entropy import reference

pytest.importorskip("torch")

from codec.inference.folding import scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import MAGNITUDE_CODE, ScaleNetwork, known_residuals
from codec.inference.torch_backend import TorchRunner
from codec.model.config import ModelConfig, ScaleLayer

M = 3
BASE = {32: [(8, 1, 0, False), (8, 3, 3, True), (M, 1, 4, False)]}
BASE[64] = [(8, 1, 0, False), (8, 3, 3, True), (8, 3, 6, True), (M, 1, 4, False)]
CONTEXT = [(4, 1, 6, False), (5, 3, 5, False), (M, 1, 3, False)]


class Plain:
    """The same network in the form that the reference takes."""

    def __init__(self, z_stride, seed=0):
        rng = np.random.default_rng(seed)
        self.arrays = {"scale.offset": rng.integers(-400, 400, (11, M)).astype(np.int16)}
        self.offset = self.arrays["scale.offset"].tolist()
        self.base = self._stack(rng, "scale", 2, BASE[z_stride])
        self.context = [self._stack(rng, f"scale.context.{k}", M + 2, CONTEXT) for k in range(3)]
        layers = [[ScaleLayer(*shape) for shape in shapes] for shapes in (BASE[z_stride], CONTEXT)]
        config = ModelConfig(z_stride=z_stride, scale_context=4)
        arch = Architecture(config, tuple(layers[0]), tuple(layers[1]))
        runner = TorchRunner(arch, scale_weights(*layers, self.arrays))
        self.fast = ScaleNetwork(*layers, z_stride, self.arrays, runner)

    def _stack(self, rng, prefix, channels, shapes):
        made = []
        for i, (out, k, shift, shuffle) in enumerate(shapes):
            weight = rng.integers(-80, 81, (out, channels, k, k)).astype(np.int16)
            bias = rng.integers(-5000, 5001, out).astype(np.int32)
            self.arrays |= {f"{prefix}.{i}.weight": weight, f"{prefix}.{i}.bias": bias}
            made.append(reference.Layer(weight.tolist(), bias.tolist(), shift, shuffle))
            channels = out // 4 if shuffle else out
        return made

    def scale_index(self, step, z, r, rate_index):
        """Return the scale indices of a step; residuals not yet decoded are 0."""
        hidden, s = reference.run(z.tolist(), self.base)
        if step:
            s = reference.scale_context(s, hidden, r.tolist(), self.context[step - 1])
        return np.array(reference.scale_indices(s, self.offset, rate_index, False), np.uint8)


def _steps(shape):
    return np.array([reference.step_of(*at) for at in np.ndindex(shape)]).reshape(shape)


@pytest.mark.parametrize("z_stride", [32, 64])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 17)])
@pytest.mark.parametrize("rate_index", [0, 1000, 2560])
def test_same_integers(z_stride, shape, rate_index):
    plain = Plain(z_stride)
    rng = np.random.default_rng(1)
    z = rng.integers(-127, 128, (2, *shape)).astype(np.int16)
    start = plain.fast.start(z)
    assert start.sixteenths.tolist() == reference.run(z.tolist(), plain.base)[1]
    r = np.rint(rng.choice([-1, 1], start.sixteenths.shape) * 32767 ** rng.random(start.sixteenths.shape))
    r = r.astype(np.int16)
    steps = _steps(r.shape)
    whole = plain.fast.scale_indices(z, r, rate_index)
    for step in range(4):
        known = np.where(steps < step, r, 0).astype(np.int16)
        expected = plain.scale_index(step, z, known, rate_index)
        own = plain.fast.scale_index(step, start, known, rate_index)
        assert np.array_equal(own, np.where(steps == step, expected, 0))
        assert np.array_equal(whole[steps == step], expected[steps == step])


def test_every_magnitude_code_matches_the_reference():
    codes = MAGNITUDE_CODE[np.minimum(np.arange(32768), 255)].tolist()
    assert codes == [reference.magnitude_code(r) for r in range(32768)]


def test_known_answer_is_the_crc_of_format_md():
    plain = Plain(64)
    z = np.random.default_rng(2).integers(-127, 128, (2, 3, 3)).astype(np.int16)
    s = np.array(reference.run(z.tolist(), plain.base)[1], "<i4")
    c, y, x = np.indices(s.shape)
    count = 37 * c + 101 * y + 59 * x
    r = np.where(2 * y < s.shape[1], count % 7 - 3, count % 511 - 255)
    assert np.array_equal(known_residuals(*s.shape), r)
    parts, steps = [s.tobytes()], _steps(s.shape)
    for rate_index in (0, 2560):
        every = [plain.scale_index(k, z, np.where(steps < k, r, 0), rate_index) for k in range(4)]
        parts.append(np.choose(steps, every).astype(np.uint8).tobytes())
    assert plain.fast.known_answer(z) == zlib.crc32(b"".join(parts))
