"""A model of eight channels with random weights that uses the whole format and decodes in milliseconds."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np
import torch

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.detail_context import FEATURES, DetailTables
from codec.entropy.tables import TOTAL, EntropyTables
from codec.inference.folding import NETWORK, scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import ScaleNetwork
from codec.inference.torch_backend import TorchRunner
from codec.inference.weights import LoadedModel, build
from codec.model.config import ModelConfig
from codec.networks.network import Network

SIZES = {"c8": 8, "c16": 8, "m": 8, "h": 4, "hyper": 8, "blocks8": 1, "blocks16": 1, "scale_context": 4}
MODEL_ID = b"tiny"


def tables(channels: int) -> EntropyTables:
    """Return peaked tables, each of seven residuals and an escape."""
    r = [TOTAL // 16] * 8
    r[3] += TOTAL // 2
    z = [TOTAL // 8] * 8
    return EntropyTables(
        r_half=np.array([0, *[3] * (SCALE_COUNT - 1)], np.int32),
        r_freq=np.array(r * (SCALE_COUNT - 1), np.uint32),
        z_lo=np.full((RATE_POINTS, channels), -4, np.int16),
        z_size=np.full((RATE_POINTS, channels), 8, np.int32),
        z_freq=np.array(z * RATE_POINTS * channels, np.uint32),
    )


def detail_tables(rng) -> DetailTables:
    """Return tables of a detail layer: random weights, small and peaked tables."""
    half = np.array([0, *(1 + index // 16 for index in range(1, SCALE_COUNT))], np.int32)
    freq = [np.full(2 * h + 2, TOTAL // 64, np.uint32) for h in half[1:]]
    for h, table in zip(half[1:], freq, strict=True):
        table[h] += TOTAL - int(table.sum())
    return DetailTables(
        weight=rng.integers(-300, 1300, (2, 3, 31, 2, len(FEATURES))).astype(np.int32),
        shape=rng.integers(1000, 9000, (2, 3, 16, 16)).astype(np.int32),
        half=half,
        freq=np.concatenate(freq),
        lean=rng.uniform(-0.2, 0.2, (SCALE_COUNT, 3)).astype(np.float32),
    )


def layer_arrays(rng, prefix, layers, channels):
    """Return random integer weights for the layers of one integer network with `channels` inputs."""
    arrays = {}
    for i, layer in enumerate(layers):
        shape = (layer.out, channels, layer.kernel, layer.kernel)
        arrays[f"{prefix}.{i}.weight"] = rng.integers(-40, 60, shape).astype(np.int16)
        arrays[f"{prefix}.{i}.bias"] = rng.integers(0, 2000, layer.out).astype(np.int32)
        channels = layer.out // 4 if layer.shuffle else layer.out
    return arrays


@functools.cache
def tiny_model() -> LoadedModel:
    """Build the model, identical on every call and machine."""
    rng = np.random.default_rng(1)
    config = ModelConfig(**SIZES)
    torch.manual_seed(1)
    arrays = {
        NETWORK + name: value.detach().half().numpy() for name, value in Network(config).named_parameters()
    }
    parts = {"scale_layers": config.scale_layers, "context_layers": config.context_layers}
    arrays |= layer_arrays(rng, "scale", config.scale_layers, config.h)
    inputs = config.m + config.scale_layers[-2].out
    for step in range(3):
        arrays |= layer_arrays(rng, f"scale.context.{step}", config.context_layers, inputs)
    arrays["scale.offset"] = rng.integers(-200, 200, (RATE_POINTS, config.m)).astype(np.int16)
    arrays["scale.kat_z"] = rng.integers(-4, 4, (config.h, 32, 32)).astype(np.int16)
    arch = Architecture(config, *parts.values())
    runner = TorchRunner(arch, scale_weights(*parts.values(), arrays))
    network = ScaleNetwork(*parts.values(), config.z_stride, arrays, runner)
    arrays["scale.kat_crc"] = np.array([network.known_answer(arrays["scale.kat_z"])], np.int64)
    arrays |= tables(config.h).to_arrays() | detail_tables(rng).to_arrays()
    layers = {name: json.dumps([dataclasses.asdict(layer) for layer in part]) for name, part in parts.items()}
    return build(MODEL_ID, arrays, {"config": config.to_json(), **layers})
