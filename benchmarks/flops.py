"""Multiplications of the networks, from the shapes of the graphs' weights, and what a core does of them."""

from __future__ import annotations

import time

import numpy as np

from codec.model.index import default_model_id, model_entry
from codec.model.weights import architecture, folded_weights, read_verified

# Of the graphs' weights, those that work at 1/8; all others do at 1/16.
AT_8 = ("g_a.in8", "g_a.blocks8", "g_s.blocks8", "g_s.out")
# The lapped filter: 16 products down and 48 across for each of three samples.
LAPPED = 3 * (16 + 48)
MATRIX_SIDE = 1024


def macs_by_weight() -> dict[str, float]:
    """Return multiplications a pixel of each weight of the graphs, without halos."""
    arrays, meta = read_verified(model_entry(default_model_id()))
    weights = folded_weights(architecture(meta), arrays)
    return {
        # A matrix of a step meets a quarter of the positions at each place of a 2x2.
        name: value.size / (64 if name.startswith(AT_8) else 256) / (4 if value.ndim == 3 else 1)
        for name, value in weights.items()
        if name.endswith(".weight")
    }


def macs_per_pixel() -> dict[str, float]:
    """Return multiplications a pixel of each way."""
    found = {"encode": float(LAPPED), "decode": float(LAPPED)}
    for name, share in macs_by_weight().items():
        if not name.startswith("g_s."):
            found["encode"] += share
        if not name.startswith(("g_a.", "h_a.")):
            found["decode"] += share
    return found


def matrix_gflops() -> float:
    """Return what products of large matrices reach for a second of one core."""
    a = np.ones((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    best = float("inf")
    for _ in range(8):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * MATRIX_SIDE**3 / best / 1e9
