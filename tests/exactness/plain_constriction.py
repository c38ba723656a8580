"""The plain range decoder in the shape of constriction, which has no wheels for some processors."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from codec.entropy import reference
from codec.errors import CorruptPayload


class Categorical:
    def __init__(self, weights: np.ndarray, *, perfect: bool) -> None:
        assert not perfect
        self.freq = [int(weight) + 1 for weight in weights]


class Uniform:
    def __init__(self, size: int) -> None:
        self.freq = [2**24 // size] * size


class RangeDecoder:
    def __init__(self, words: np.ndarray) -> None:
        self._plain = reference.RangeDecoder(words.astype("<u4").tobytes())

    def decode(self, model: Categorical | Uniform, count: int) -> np.ndarray:
        return np.array([self._plain.decode(model.freq) for _ in range(count)], np.int32)

    def maybe_exhausted(self) -> bool:
        try:
            self._plain.finish()
        except CorruptPayload:
            return False
        return True


def install() -> None:
    """Let `import constriction` give this."""
    module = ModuleType("constriction")
    queue = SimpleNamespace(RangeDecoder=RangeDecoder, RangeEncoder=None)
    model = SimpleNamespace(Categorical=Categorical, Uniform=Uniform)
    module.stream = SimpleNamespace(queue=queue, model=model)  # type: ignore[attr-defined]
    sys.modules["constriction"] = module
