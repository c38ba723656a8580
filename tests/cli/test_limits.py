"""Pictures and files that are refused by size alone, how fast, and the options that raise the limits."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from codec.bitstream.container import write_container
from codec.bitstream.header import Header
from codec.bitstream.tile_payloads import TilePayload

LIMIT = 5
HEAVY = ("torch", "numpy", "PIL", "constriction", "safetensors")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """65,535 x 65,535 pixels in 42 bytes."""
    header = Header(65_535, 65_535, 0, b"\0\1\2\3").pack()
    tile = write_container(Header(1, 1, 0, b"\0\1\2\3"), [TilePayload(0, 0, 0, b"").pack()])
    return header + tile[-12:]


@pytest.mark.parametrize("call", ["main(['decompress', 'bomb.vae'])", "main(['info', 'bomb.vae'])"])
def test_bomb_is_refused_without_loading_heavy_modules(tmp_path, child_environment, bomb, call):
    assert len(bomb) < 100
    (tmp_path / "bomb.vae").write_bytes(bomb)
    code = (
        f"import sys, resource; from codec.cli.main import main\n"
        f"before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"code = {call}\n"
        f"grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        f"print(code, grown < 10 * 1024, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=child_environment
    )
    assert done.stdout == f"{LIMIT} True []\n", done.stderr
    assert "4,294,836,225" in done.stderr
    assert "--max-pixels" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.vae"]


def test_library_refuses_a_bomb_without_loading_torch(child_environment, bomb):
    code = (
        f"import sys, codec\n"
        f"for call in (codec.info, codec.decompress):\n"
        f"    try: call({bomb!r})\n"
        f"    except codec.LimitExceeded: print('refused', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment)
    assert done.stdout == "refused False\n" * 2, done.stderr


def test_max_pixels_lowers_the_limit(vaezip, tmp_path, hollow_stream, small_picture):
    (tmp_path / "a.vae").write_bytes(hollow_stream)
    for arguments in (["info", "a.vae"], ["decompress", "a.vae"]):
        done = vaezip(*arguments, "--max-pixels", "59999")
        assert done.returncode == LIMIT
        assert b"60,000, the limit is 59,999" in done.stderr
    done = vaezip("compress", "photo.png", "--max-pixels", "1199")
    assert done.returncode == LIMIT
    assert b"1,200 pixels and the limit is 1,199" in done.stderr
    assert vaezip("info", "a.vae", "--max-pixels", "60000").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vae", "photo.png"]


def test_max_pixels_raises_the_limit(vaezip, tmp_path):
    wide = Header(200_000_000, 1, 0, b"\0\1\2\3", tile_log2=12)
    (tmp_path / "a.vae").write_bytes(write_container(wide, [TilePayload(0, 0, 0, b"").pack()] * wide.tiles))
    assert vaezip("info", "a.vae").returncode == LIMIT
    assert b"200000000x1" in vaezip("info", "a.vae", "--max-pixels", "200000000").stdout
    # The stub has no samples and fails at once: what is tested is which check refuses it, and why.
    (tmp_path / "large.ppm").write_bytes(b"P6 20000 20000 255\n")
    assert b"the limit is" in vaezip("compress", "large.ppm").stderr
    assert b"incomplete" in vaezip("compress", "large.ppm", "--max-pixels", "400000000").stderr
    assert Image.MAX_IMAGE_PIXELS is not None
