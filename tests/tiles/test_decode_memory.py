"""The memory estimate that is computed from the header covers what decoding uses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import codec
from codec.bitstream.container import write_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.header import Header
from codec.decode.decoder import Decoder
from codec.encode.tile_coder import encode_tile
from codec.errors import LimitExceeded
from codec.inference.weights import load_model
from codec.limits import DEFAULT_LIMITS, UNLIMITED, Limits
from codec.model.config import ModelConfig
from codec.model.index import default_model_id
from codec.tiles.synthesis import affordable_workers

# Print the peak memory beyond the loaded model; run in a process of its own.
CHILD = """
import json, sys
from pathlib import Path
from codec.bitstream.container import parse_container
from codec.decode.decoder import Decoder
from codec.inference.weights import load_model

def mebibytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(name))

data, threads = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
load_model(parse_container(data).header.model_id)
before = mebibytes("VmRSS:")
Decoder(threads=threads).decode(data)
print(json.dumps(mebibytes("VmHWM:") - before))
"""


def fewest_bytes(header: Header) -> int:
    """Return the smallest memory limit with which one worker may decode the whole picture."""
    config = load_model(default_model_id()).config
    with pytest.raises(LimitExceeded) as refused:
        affordable_workers(Limits(max_memory_bytes=0), header, config, (header.width, header.height), 1)
    return int(str(refused.value).split(": ")[1].split(", the")[0].replace(",", ""))


@pytest.fixture
def coded(photo):
    """Return a function: (width, height, binary logarithm of the tile size) -> a file."""

    def make(width: int, height: int, log2: int) -> bytes:
        model, pixels = load_model(default_model_id()), photo(width, height)
        header = Header(width, height, 1715, model.model_id, log2)
        tiles = tile_grid(width, height, header.tile_size)
        return write_container(header, [encode_tile(model, pixels, tile, rate_index=1715) for tile in tiles])

    return make


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("width", "height", "log2"), [(1024, 1024, 12), (1100, 700, 9)])
def test_the_estimate_covers_the_peak(coded, tmp_path, width, height, log2):
    data = coded(width, height, log2)
    (tmp_path / "a.vae").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "a.vae"), "1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(codec.__file__).parents[1],
    )
    estimate = fewest_bytes(Header(width, height, 1715, default_model_id(), log2)) / (1 << 20)
    assert json.loads(done.stdout) <= estimate


def test_file_above_the_limit_is_refused_before_any_tile_is_decoded(coded):
    data = coded(64, 48, 9)
    least = fewest_bytes(Header(64, 48, 1715, default_model_id(), 9))
    assert Decoder(limits=Limits(max_memory_bytes=least)).decode(data).size == (64, 48)
    with pytest.raises(LimitExceeded, match="memory") as refused:
        Decoder(limits=Limits(max_memory_bytes=least - 1)).decode(data)
    assert refused.value.field == "max_memory_bytes"


def workers(header: Header, limits: Limits, wanted: int, box: tuple[int, int] | None = None) -> int:
    return affordable_workers(limits, header, ModelConfig(), box or (header.width, header.height), wanted)


def test_fewer_workers_are_used_before_a_file_is_refused():
    photo = Header(6000, 4000, 0, bytes(4))
    assert workers(photo, DEFAULT_LIMITS, 4) == 4
    assert workers(photo, UNLIMITED, 999) == 999
    most = workers(photo, DEFAULT_LIMITS, 999)
    assert 4 < most < 999
    assert workers(photo, Limits(max_memory_bytes=1 << 29), 4) < 4


def test_default_limits_accept_every_file_of_the_encoder():
    """The largest pictures of several shapes, in tiles of 512 pixels."""
    for width, height in ((13_377, 13_377), (65_535, 2730), (2730, 65_535)):
        assert workers(Header(width, height, 0, bytes(4), layout=3), DEFAULT_LIMITS, 2) == 2


def test_default_limits_refuse_large_pictures_in_large_tiles():
    """A tile of 4096 x 4096 pixels takes more than a gigabyte, and a file of few bytes can declare it."""
    header = Header(13_377, 13_377, 0, bytes(4), tile_log2=12)
    with pytest.raises(LimitExceeded, match="memory"):
        workers(header, DEFAULT_LIMITS, 1)
    assert workers(header, DEFAULT_LIMITS, 1, (100, 100)) == 1
