"""Whether this machine multiplies in bf16 faster than in float32."""

from __future__ import annotations

import torch

CPU_TESTS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def bf16_pays(device: torch.device) -> bool:
    """Tell whether `device` has bf16 products of its own; without them torch emulates them, slowly."""
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported()
        return supported
    tests = (getattr(torch.cpu, name, None) for name in CPU_TESTS)
    return any(test is not None and bool(test()) for test in tests)
