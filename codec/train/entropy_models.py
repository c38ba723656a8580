"""compressai's entropy models, without the rest of that package.

`import compressai` loads all there is: data sets, a zoo of models, point clouds, and with them torchvision,
pandas and torch_geometric, some of which do not load beside every build of torch. EntropyBottleneck and
GaussianConditional need only torch, scipy and numpy. So they are loaded below a parent that has compressai's
place on disk and the two functions that they ask it for, but none of its other imports. Where something else
has imported compressai before, that is what they come from.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

_PACKAGE = "compressai"


def _bare_parent() -> None:
    """Register the package without running it. Raises ModuleNotFoundError where it is not installed."""
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    parent = module_from_spec(spec)
    # The coder of its own files, which training never runs, and every entropy model still makes one of.
    parent.get_entropy_coder = lambda: "ans"  # type: ignore[attr-defined]
    parent.available_entropy_coders = lambda: ["ans"]  # type: ignore[attr-defined]
    sys.modules[_PACKAGE] = parent


if _PACKAGE not in sys.modules:
    _bare_parent()

from compressai.entropy_models import EntropyBottleneck, GaussianConditional  # noqa: E402

__all__ = ["EntropyBottleneck", "GaussianConditional"]
