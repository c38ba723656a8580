"""Peak memory beyond the pixels themselves does not grow with the size of the picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.bitstream.container import write_container
from codec.bitstream.header import Header
from codec.cli.output_formats import FORMATS
from codec.image.lossless import pack
from codec.model.index import default_model_id

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PEAK = """
import json, sys
def peak():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
"""
# Saves noise, which is incompressible, in each format in turn.
SAVE = (
    PEAK
    + """
from pathlib import Path
from PIL import Image
from codec.cli.output_formats import FORMATS, save
from codec.io.files import write_atomic
picture = Image.effect_noise((2000, 1500), 99).convert("RGB")
tiny = picture.crop((0, 0, 8, 8))
grown = {}
for suffix in sys.argv[1:]:
    for saved in (tiny, picture):
        before = peak()
        chosen = FORMATS[suffix]
        write_atomic(Path("a"), lambda file: save(saved, chosen, file), overwrite=True)
    grown[suffix] = peak() - before
print(json.dumps(grown))
"""
)
# Runs the command on a small and then on a large file, in one process.
RUN = (
    PEAK
    + """
from codec.cli.main import main
peaks = []
for name in ("small", "large"):
    files = [name + sys.argv[2], "-o", name + sys.argv[3]]
    assert main([sys.argv[1], "-Q", "--threads", "1", *sys.argv[4:], *files]) == 0
    peaks.append(peak())
print(json.dumps(peaks[1] - peaks[0]))
"""
)
SMALL, LARGE = 512, 3072
# Pillow stores RGB in four bytes per pixel; the slack covers one tile and the allocator.
BYTES_PER_PIXEL, SLACK = 4, 12 << 20


def run(program: str, folder: Path, *arguments: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(Path(codec.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_writers_do_not_buffer_the_whole_file(tmp_path):
    """WebP is excepted: its library buffers the file."""
    grown = run(SAVE, tmp_path, *(suffix for suffix in FORMATS if suffix != ".webp"))
    assert isinstance(grown, dict)
    assert max(grown.values()) < 3 << 20, grown


@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_peak_grows_only_by_the_pixels(tmp_path, verb):
    row = np.arange(SMALL, dtype=np.uint8)[None, :, None]
    tile = np.broadcast_to(row, (SMALL, SMALL, 3)).copy()
    for name, side in (("small", SMALL), ("large", LARGE)):
        if verb == "compress":
            Image.fromarray(np.tile(tile, (side // SMALL, side // SMALL, 1))).save(tmp_path / f"{name}.png")
        else:
            header = Header(side, side, 0, default_model_id())
            stream = pack(tile)
            data = write_container(header, [stream] * header.tiles, lossless=set(range(header.tiles)))
            (tmp_path / f"{name}.vae").write_bytes(data)
    arguments = (verb, ".png", ".vae", "--lossless") if verb == "compress" else (verb, ".vae", ".tif")
    grown = run(RUN, tmp_path, *arguments)
    pixels = BYTES_PER_PIXEL * (LARGE**2 - SMALL**2)
    assert 0.8 * pixels < grown < pixels + SLACK
