"""Out of memory while decoding: one named error, no output, and the next file decodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.bitstream.container import write_container
from codec.bitstream.header import Header
from codec.decode.symbols import verify
from codec.errors import ChecksumMismatch, CodecError, LimitExceeded
from codec.image.lossless import pack
from codec.io.memory import is_out_of_memory, memory_errors
from codec.model.index import default_model_id

CHILD = """
import resource
from pathlib import Path
from codec.cli.main import main
from codec.decode.decoder import Decoder

def size():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmSize:"))

large = Path("large.vae").read_bytes()
decoder = Decoder(threads=1)
decoder.decode(Path("small.vae").read_bytes())
_, hard = resource.getrlimit(resource.RLIMIT_AS)
# Room for threads, their stacks and arenas, and not for the 144 MiB of pixels.
resource.setrlimit(resource.RLIMIT_AS, (size() + (96 << 20), hard))
try:
    decoder.decode(large)
except Exception as error:
    print(type(error).__name__, error.field)
print(main(["decompress", "--threads", "1", "large.vae"]), Path("large.png").exists())
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(decoder.decode(large).size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_too_small_address_space(tmp_path, photo):
    header = Header(8192, 6144, 0, default_model_id())
    tile = pack(np.full((512, 512, 3), 90, np.uint8))
    large = write_container(header, [tile] * header.tiles, lossless=set(range(header.tiles)))
    (tmp_path / "large.vae").write_bytes(large)
    (tmp_path / "small.vae").write_bytes(codec.compress(photo(40, 30)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(codec.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["LimitExceeded memory", "5 False", "(8192, 6144)"]
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.vae", "small.vae"]


@pytest.mark.parametrize("read", [codec.decompress, verify, codec.salvage])
def test_every_function_that_reads_a_file(read, photo, monkeypatch):
    data = codec.compress(photo(40, 30), lossless=True)

    def full(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(LimitExceeded, match="not enough memory"):
        read(data)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free."),
        RuntimeError("could not create a memory object"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
    ],
)
def test_memory_errors_of_libraries_are_recognised(error):
    with pytest.raises(LimitExceeded, match="not enough memory") as raised, memory_errors():
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [ChecksumMismatch("cannot allocate memory"), RuntimeError("another fault")])
def test_other_errors_pass(error):
    assert not is_out_of_memory(error)
    with pytest.raises((CodecError, RuntimeError)) as raised, memory_errors():
        raise error
    assert raised.value is error
