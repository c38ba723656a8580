"""The plain range coder writes and reads the words of constriction, and refuses the same input."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

import codec
from codec.entropy.range_coder import BEST, PLAIN
from codec.entropy.tables import TOTAL
from codec.inference.backends import choose_backend

needs_both = pytest.mark.skipif(BEST is PLAIN, reason="constriction has no wheel here")
GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "v0").glob("*.vae"))
PICTURE = Path(__file__).parents[1] / "assets" / "chelsea.png"
# Without constriction, compress the picture that is the first argument and decompress the other files.
WITHOUT = """
import hashlib, json, sys
sys.modules["constriction"] = None
from pathlib import Path
import codec
from codec.entropy.range_coder import BEST
coded = hashlib.sha256(codec.compress(sys.argv[1])).hexdigest()
pictures = [codec.decompress(Path(path).read_bytes()) for path in sys.argv[2:]]
print(json.dumps([BEST.name, coded, [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]]))
"""


def table(rng, n):
    """Return a table of n entries: nearly all on a random one, nearly all on the last, or random."""
    style = rng.integers(3)
    if style < 2:
        k = np.ones(n, np.int64)
        k[-1 if style else rng.integers(n)] += TOTAL - n
        return k.astype(np.uint32)
    cuts = np.sort(rng.choice(TOTAL - 1, size=n - 1, replace=False) + 1)
    return np.diff(np.concatenate(([0], cuts, [TOTAL]))).astype(np.uint32)


def parts(rng, count):
    """Return models of both coders with symbols: likely ones, random ones, or always the last."""
    for _ in range(count):
        if rng.random() < 0.2:
            bits = int(rng.integers(1, 16))
            both = BEST.uniform_model(bits), PLAIN.uniform_model(bits)
            n, share = 1 << bits, None
        else:
            freq = table(rng, int(rng.integers(2, 300)))
            both = BEST.table_model(freq), PLAIN.table_model(freq)
            n, share = freq.size, freq / TOTAL
        size = int(rng.integers(0, 60))
        how = rng.integers(3)
        likely = rng.choice(n, size, p=share) if how == 0 else rng.integers(0, n, size)
        yield both, np.full(size, n - 1, np.int32) if how == 2 else likely.astype(np.int32)


@needs_both
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 12))
def test_the_same_words(seed, count):
    coded = list(parts(np.random.default_rng(seed), count))
    fast, plain = BEST.encoder(), PLAIN.encoder()
    for (model, own), symbols in coded:
        fast.encode(symbols, model)
        plain.encode(symbols, own)
    words = plain.get_compressed()
    assert words.dtype == np.uint32
    assert words.tolist() == plain.get_compressed().tolist()
    trimmed = np.trim_zeros(words, "b")
    assert trimmed.tolist() == np.trim_zeros(fast.get_compressed(), "b").tolist()
    decoder = PLAIN.decoder(trimmed)
    for (_, own), symbols in coded:
        found = decoder.decode(own, symbols.size)
        assert found.dtype == np.int32
        assert found.tolist() == symbols.tolist()
    assert decoder.maybe_exhausted()


def straddled(encoder):
    """Code symbols whose intervals contain the point where a carry starts, until it spans several words.

    Returns the tables and symbols.
    """
    coded = []

    def put(freq, symbol):
        freq = np.array([k for k in freq if k], np.uint32)
        encoder.encode(np.array([symbol], np.int32), PLAIN.table_model(freq))
        coded.append((freq, symbol))

    rng = np.random.default_rng(3)
    while encoder._low + encoder._range <= 2**64:
        put([TOTAL // 3, TOTAL - TOTAL // 3], int(rng.integers(2)))
    for _ in range(12):
        below = (2**64 - encoder._low) // (encoder._range >> 24)
        put([below, 1, TOTAL - below - 1], int(below > 0))
    below = (2**64 - encoder._low) // (encoder._range >> 24)
    assert encoder._words[-4:] == [2**32 - 1] * 4
    put([below + 1, TOTAL - below - 1], 1)
    return coded


@needs_both
def test_carry_propagates_through_words():
    plain, fast = PLAIN.encoder(), BEST.encoder()
    for freq, symbol in straddled(plain):
        fast.encode(np.array([symbol], np.int32), BEST.table_model(freq))
    assert 0 in plain.get_compressed()[-6:]
    assert np.trim_zeros(plain.get_compressed(), "b").tolist() == fast.get_compressed().tolist()


@needs_both
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_refusals(seed):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, int(rng.integers(0, 6)), dtype=np.uint32)
    words = np.trim_zeros(np.where(rng.random(words.size) < 0.3, np.uint32(2**32 - 1), words), "b")
    fast, plain, n_symbols = BEST.decoder(words), PLAIN.decoder(words), 0
    for (model, own), symbols in parts(rng, 6):
        n_symbols += symbols.size
        outcomes = []
        for decoder, its in ((fast, model), (plain, own)):
            try:
                outcomes.append(decoder.decode(its, symbols.size).tolist())
            except AssertionError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]
        if outcomes[0] is None:
            return
        # Before the first symbol the coder is exhausted only if there are no words.
        assert n_symbols == 0 or fast.maybe_exhausted() == plain.maybe_exhausted()


@pytest.mark.parametrize(
    ("system", "machine", "needed"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", False),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", True),
        ("win32", "AMD64", True),
        ("win32", "ARM64", False),
    ],
)
def test_constriction_is_required_only_where_it_has_wheels(system, machine, needed):
    found = [Requirement(text) for text in requires("vaezip")]
    marker = next(r.marker for r in found if r.name == "constriction")
    where = {"sys_platform": system, "platform_machine": machine, "extra": ""}
    assert marker.evaluate(where) == needed


def test_files_without_constriction():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(PICTURE), *map(str, GOLDEN)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(codec.__file__).parents[1]), "VAEZIP_BACKEND": choose_backend()},
    )
    assert done.returncode == 0, done.stderr
    pictures = [codec.decompress(path.read_bytes()).tobytes() for path in GOLDEN]
    coded, *decoded = (hashlib.sha256(data).hexdigest() for data in (codec.compress(PICTURE), *pictures))
    assert json.loads(done.stdout) == ["plain", coded, decoded]
