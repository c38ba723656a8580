"""Uses of the shipped variational autoencoder other than compression.

`elbo` computes the evidence lower bound of pictures, `sample` draws pictures from the prior, `interpolate`
and `traverse` move through latent space, `AnomalyModel` detects anomalies, `impute` fills in missing pixels.
`ClassicalVae` is a small VAE with a Gaussian prior. Names are loaded on first use, so importing this package
does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from codec.inference.backends import need_torch

_EXPORTS = {
    "AnomalyModel": "codec.vae.anomaly_detection",
    "ClassicalVae": "codec.vae.classical",
    "Elbo": "codec.vae.evidence",
    "elbo": "codec.vae.evidence",
    "impute": "codec.vae.imputation",
    "interpolate": "codec.vae.latent_paths",
    "sample": "codec.vae.generation",
    "traverse": "codec.vae.latent_paths",
}
# Names that also work with onnxruntime.
_TORCHLESS = frozenset({"AnomalyModel", "Elbo", "elbo", "interpolate", "traverse"})

if TYPE_CHECKING:
    from codec.vae.anomaly_detection import AnomalyModel
    from codec.vae.classical import ClassicalVae
    from codec.vae.evidence import Elbo, elbo
    from codec.vae.generation import sample
    from codec.vae.imputation import impute
    from codec.vae.latent_paths import interpolate, traverse

__all__ = ["AnomalyModel", "ClassicalVae", "Elbo", "elbo", "impute", "interpolate", "sample", "traverse"]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _TORCHLESS:
        need_torch(name)
    value: object = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value
