"""Who may import whom, read from the source: arrows point down, and the decoder never meets the encoder."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import codec

ROOT = Path(codec.__file__).parent

# From the ground up. A module imports from its own package and from lower layers.
LAYERS = (
    {"codec.errors", "codec.types"},
    {"codec.limits", "codec.io.files", "codec.io.memory", "codec.io.processes"},
    {"codec.storage"},
    {"codec.bitstream"},
    {"codec.entropy", "codec.image", "codec.data", "codec.stream"},
    {"codec.model", "codec.weights"},
    {"codec.runtime"},
    {"codec.effort", "codec.ratecontrol"},
    {"codec.encode.options"},
    {"codec.coding"},
    {"codec.encode.encoder", "codec.decode.decoder", "codec.api"},
    {"codec.decode.symbols", "codec.vae", "codec.api", "codec.decode.salvage"},
    # Calibration runs the whole codec.
    {"codec.train", "codec.plugins", "codec.pillow", "codec.batch", "codec.bench"},
    {"codec.cli"},
    {"codec.__main__"},
)
# Reading a header must not cost the time that numpy, Pillow or torch take to load.
LIGHT = (
    "codec",
    *(
        f"codec.{n}"
        for n in ("errors", "limits", "types", "files", "heap", "processes", "options", "inspect", "oneshot")
    ),
)
LIGHT_PACKAGES = ("codec.bitstream", "codec.cli", "codec.storage", "codec.batch", "codec.stream")
HEAVY = (
    "torch",
    "numpy",
    "PIL",
    "rich",
    "constriction",
    "safetensors",
    "compressai",
    "distributed",
    "fsspec",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def unit(module: str) -> str:
    """Return what the layers are made of: a package below codec, or a module right in it."""
    return ".".join(module.split(".")[:2])


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


@cache
def imports(module: str, *, types_too: bool) -> frozenset[str]:
    """Return the modules of this package that a module imports, anywhere in it."""
    found = set()
    pending: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if is_for_types_only(node) and not types_too:
            continue
        pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}".rstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.add(name if name in MODULES else base)
    return frozenset(name for name in found if name in MODULES)


def test_every_module_has_a_layer():
    known = set().union(*LAYERS, {"codec"})
    assert {unit(module) for module in MODULES} <= known


def test_nothing_imports_upwards():
    height = {name: level for level, names in enumerate(LAYERS) for name in names}
    wrong = []
    for module in MODULES:
        if module == "codec":
            continue
        for other in imports(module, types_too=True):
            if other == "codec":  # only for the version
                continue
            if unit(other) != unit(module) and height[unit(other)] >= height[unit(module)]:
                wrong.append(f"{module} imports {other}")
    assert not wrong


def reach(start: str) -> set[str]:
    """Return all modules that running `start` may load, lazily or not."""
    seen, pending = set(), [start]
    while pending:
        module = pending.pop()
        if module in seen or module == "codec":  # whose exports are lazy, and load what is asked for
            continue
        seen.add(module)
        pending.extend(imports(module, types_too=False))
    return seen


@pytest.mark.parametrize("start", ["codec.decode.decoder", "codec.api", "codec.cli.decompress"])
def test_decoding_never_reaches_encoder_or_training(start):
    assert start in MODULES
    assert not {m for m in reach(start) if unit(m) in ("codec.encode.encoder", "codec.coding", "codec.train")}


def test_encoding_never_reaches_decoder_or_training():
    assert not {
        m for m in reach("codec.encode.encoder") if unit(m) in ("codec.decode.decoder", "codec.train")
    }
    # The command decodes what it has written before it removes a source.
    assert not {m for m in reach("codec.cli.compress") if unit(m) == "codec.train"}


def test_header_paths_load_nothing_heavy():
    light = [m for m in MODULES if m in LIGHT or unit(m) in LIGHT_PACKAGES]
    code = (
        f"import sys; from importlib import import_module\n"
        f"for name in {light!r}: import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, timeout=60
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_every_public_name_is_there():
    assert set(codec.__all__) <= set(dir(codec))
    for name in codec.__all__:
        assert getattr(codec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = codec.missing
