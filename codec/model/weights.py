"""Find, verify and load shipped weights."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from codec.entropy.coder import TileCoder
from codec.entropy.tables import EntropyTables
from codec.errors import WeightsError

from .config import ModelConfig, ScaleLayer
from .index import ModelEntry, model_entry, weights_folder
from .network import Network
from .scale_network import ScaleNetwork

NETWORK = "network."


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedModel:
    """Everything that coding needs; read-only, shared by threads.

    Attributes:
        model_id: the 4 bytes that streams name.
        config: sizes.
        network: float networks, in inference form.
        scale: integer scale network, self-tested.
        coder: entropy coder over the stored tables.
    """

    model_id: bytes
    config: ModelConfig
    network: Network
    scale: ScaleNetwork
    coder: TileCoder


def read_verified(entry: ModelEntry) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a weights file after checking its sha256: arrays and metadata. Raises WeightsError."""
    path = weights_folder() / entry.file
    try:
        # Read once: a file put in its place meanwhile must not be parsed for the one that was checked.
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise WeightsError(f"{path}: sha256 differs from the index; reinstall vaezip")
        return load(data), _metadata(data)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); reinstall vaezip") from error


def _metadata(data: bytes) -> dict[str, str]:
    """Metadata of a safetensors file, which its library gives out for files by name only."""
    size = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return metadata


def build(model_id: bytes, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, str]) -> LoadedModel:
    """Build a model from the arrays and metadata of a weights file."""
    try:
        config = ModelConfig.from_json(meta["config"])
        layers, context = (
            [ScaleLayer(**layer) for layer in json.loads(meta[name])]
            for name in ("scale_layers", "context_layers")
        )
        network = Network(config)
        state = {
            name.removeprefix(NETWORK): torch.from_numpy(value.astype(np.float32))
            for name, value in arrays.items()
            if name.startswith(NETWORK)
        }
        network.load_state_dict(state)
        scale = ScaleNetwork(layers, context, config.z_stride, arrays)
        scale.verify(np.asarray(arrays["scale.kat_z"], np.int16), int(arrays["scale.kat_crc"][0]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights of model {model_id.hex()} do not fit this release: {error}") from error
    network.eval().requires_grad_(False)
    # Convolutions run about 1.6 times faster in this layout; torch converts the activations itself.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedModel(model_id, config, network, scale, TileCoder(EntropyTables.from_arrays(arrays)))


@functools.cache
def load_model(model_id: bytes) -> LoadedModel:
    """Load the model that streams name by these 4 bytes, once a process.

    Raises UnknownModel, WeightsError or BackendMismatch.
    """
    entry = model_entry(model_id)
    return build(model_id, *read_verified(entry))
