"""Decoding again and again takes no more memory than decoding a few times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import codec

CHILD = """
import gc
import sys
import time
from pathlib import Path
from codec.decoder import Decoder
from codec.heap import give_back

def resident():
    # A worker's memory goes when its thread does, some time after its result came; and of what is free the
    # heap keeps more or less as it happens to lie.
    time.sleep(0.3)
    gc.collect()
    give_back()
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

data, decoder = Path("a.vae").read_bytes(), Decoder(threads=1)
for count in range(300):
    if count == 200:
        before = resident()
    decoder.decode(data)
    try:
        decoder.decode(data[:-9])
    except ValueError:
        pass
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_kept_of_pictures_and_of_refusals(tmp_path, photo):
    (tmp_path / "a.vae").write_bytes(codec.compress(photo(40, 30)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(codec.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
    )
    assert int(done.stdout) < 1 << 20
