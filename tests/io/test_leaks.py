"""Repeated decoding leaks no memory, counted by the allocations of the C library and of Python.

Resident memory would be less precise: the C library keeps free memory, in amounts that vary by megabytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import codec
from codec.io.memory import allocated_bytes

CHILD = """
import gc, json, sys, time
from pathlib import Path
from codec.decode.decoder import Decoder
from codec.io.memory import allocated_bytes

def kept():
    # A worker's memory goes when its thread does, some time after its result came.
    time.sleep(0.3)
    gc.collect()
    return allocated_bytes(), sys.getallocatedblocks()

data, decoder = Path("a.vae").read_bytes(), Decoder(threads=1)
for count in range(140):
    if count == 40:
        before = kept()
    decoder.decode(data)
    try:
        decoder.decode(data[:-9])
    except ValueError:
        pass
print(json.dumps([now - then for now, then in zip(kept(), before)]))
"""


@pytest.mark.skipif(allocated_bytes() is None, reason="asks glibc 2.33 or newer")
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_no_leak_of_pictures_and_refusals(tmp_path, photo, backend):
    if backend == "torch":
        pytest.importorskip("torch")
    (tmp_path / "a.vae").write_bytes(codec.compress(photo(40, 30)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "VAEZIP_BACKEND": backend,
        },
    )
    n_bytes, n_objects = json.loads(done.stdout)
    # Per picture and refusal, of 100 each: less than half a kilobyte, and at most a few objects.
    assert n_bytes < 50_000
    assert n_objects < 400
