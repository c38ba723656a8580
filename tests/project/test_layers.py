"""Import rules, checked in the source: modules import downwards, and decode never imports encode."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import codec

ROOT = Path(codec.__file__).parent

# Lowest layer first. A module imports from its own package and from lower layers. Packages of one layer do
# not import each other.
LAYERS = (
    {"codec.errors"},
    {"codec.limits", "codec.io"},
    {"codec.bitstream", "codec.datasets"},
    {"codec.entropy", "codec.image", "codec.stream"},
    {"codec.model"},
    {"codec.inference"},
    {"codec.networks", "codec.tiles"},
    {"codec.encode", "codec.decode"},
    {"codec.api", "codec.batch", "codec.bench", "codec.pillow", "codec.plugins", "codec.vae"},
    # Above encode and decode, because calibration runs the whole codec.
    {"codec.train"},
    {"codec.cli"},
    {"codec.__main__"},
)
MAX_MODULES = 150
# Reading a header must be fast, and loading numpy, Pillow or torch is slow.
LIGHT = (
    "codec",
    *(
        f"codec.{n}"
        for n in ("api", "errors", "limits", "model.index", "encode.options", "inference.backends")
    ),
)
LIGHT_PACKAGES = ("codec.bitstream", "codec.cli", "codec.io", "codec.batch", "codec.stream")
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
    """Return the package directly below codec, or the module directly in it, that contains a module."""
    return ".".join(module.split(".")[:2])


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


@cache
def imports(module: str, *, types_too: bool) -> frozenset[str]:
    """Return the modules of codec that a module imports, at its top or inside functions."""
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
            if other == "codec":  # imported only for the version
                continue
            if unit(other) != unit(module) and height[unit(other)] >= height[unit(module)]:
                wrong.append(f"{module} imports {other}")
    assert not wrong


def reach(start: str) -> set[str]:
    """Return all modules that running `start` may load, lazily or not."""
    seen, pending = set(), [start]
    while pending:
        module = pending.pop()
        if module in seen or module == "codec":  # its exports are lazy
            continue
        seen.add(module)
        pending.extend(imports(module, types_too=False))
    return seen


def cycles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or not."""
    reached = {start: closure(graph, start) for start in graph}
    groups = {frozenset({a, *(b for b in reached[a] if a in reached[b])}) for a in graph if a in reached[a]}
    return sorted(sorted(group) for group in groups)


def closure(graph: dict[str, frozenset[str]], start: str) -> set[str]:
    """Return the modules that `start` imports, directly or not; itself only if it is part of a cycle."""
    seen: set[str] = set()
    pending = list(graph[start])
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending.extend(graph[module])
    return seen


def test_cycles_are_found():
    graph = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b"), "d": frozenset("a")}
    assert cycles(graph) == [["b", "c"]]


def test_no_import_cycle():
    names = [m for m in MODULES if m != "codec"]  # its exports are lazy
    assert cycles({m: imports(m, types_too=True) - {"codec", m} for m in names}) == []


def test_modules_are_few_and_have_distinct_names():
    assert len(MODULES) <= MAX_MODULES
    stems = Counter(path.stem for path in MODULES.values() if path.stem != "__init__")
    assert [name for name, count in stems.items() if count > 1] == []


@pytest.mark.parametrize("start", ["codec.decode.decoder", "codec.decode.salvage", "codec.cli.decompress"])
def test_decoding_never_reaches_encoder_or_training(start):
    assert start in MODULES
    wrong = {m for m in reach(start) if unit(m) in ("codec.encode", "codec.train", "codec.networks")}
    if start.startswith("codec.cli"):
        wrong -= {"codec.encode.options"}  # plain values, used by the parameters that commands share
    assert not wrong


def test_encoding_never_reaches_decoder_or_training():
    reached = reach("codec.encode.encoder")
    assert not {m for m in reached if unit(m) in ("codec.decode", "codec.train", "codec.networks")}
    # The command decodes its output before it removes a source.
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


def test_every_public_name_exists():
    assert set(codec.__all__) <= set(dir(codec))
    for name in codec.__all__:
        assert getattr(codec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = codec.missing
