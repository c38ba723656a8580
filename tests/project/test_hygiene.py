"""Project rules that the linters cannot check."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

import codec

PACKAGE = Path(codec.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_source(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "split the file: it is longer than 400 lines"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "dill", "shelve", "marshal"}
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in ("pickle", "dill", "shelve", "marshal")
        elif isinstance(node, ast.Call):
            check_call(node)


# Libraries that report, write or load too much by default, and the only module that may import each: it
# turns that off.
GATES = {
    "onnxruntime": "inference/onnx_backend.py",
    "matplotlib": "bench/curves.py",
    "bjontegaard": "bench/curves.py",
    "compressai": "train/model.py",
}


def test_gated_libraries_are_imported_in_one_module():
    found = set()
    for path in SOURCES:
        pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            pending.extend(ast.iter_child_nodes(node))
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            loaded = {name.partition(".")[0] for name in names} & set(GATES)
            found |= {(name, path.relative_to(PACKAGE).as_posix()) for name in loaded}
    assert found == set(GATES.items())


def check_call(node: ast.Call) -> None:
    """Refuse calls through which a data file could run code."""
    name = ast.unparse(node.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name == "torch.load":
        assert keywords.get("weights_only") == "True", "torch.load without weights_only=True runs pickles"
    assert keywords.get("allow_pickle", "False") == "False"
    assert name not in ("eval", "exec")
    assert "LOAD_TRUNCATED_IMAGES" not in name


def test_package_data_exists():
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "bitstream" / "FORMAT.md").is_file()
    assert (PACKAGE / "weights" / "index.json").is_file()


def test_version_is_the_installed_one():
    try:
        installed = importlib.metadata.version("vaezip")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from a checkout without an install")
    assert installed == codec.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", installed)


def test_shipped_weights_are_small():
    shipped = [path for path in (PACKAGE / "weights").iterdir() if not path.name.startswith("undecayed")]
    assert sum(path.stat().st_size for path in shipped) < 10_000_000
