"""A process that uses every optional library of vaezip, then keeps an Encoder for some time.

    python long_process.py PICTURE SECONDS

Works in the current folder and writes `out` there. Libraries that are not installed are left out. Fails if
unexpected threads or sockets remain.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from pathlib import Path


def sockets() -> list[str]:
    """Return the open sockets of this process; empty on systems without /proc."""
    found = []
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            found.append(os.readlink(entry))
        except OSError:
            continue
    return [name for name in found if name.startswith("socket:")]


def main(picture: str, seconds: float) -> None:
    """Compress and decompress by command, library, plugins and torch, then wait."""
    import numpy as np

    import codec
    from codec.cli.main import main as vaezip

    os.makedirs("out/many")
    encoder, decoder = codec.Encoder(threads=2), codec.Decoder(threads=2)
    decoder.decode(encoder.encode(picture))
    assert vaezip(["compress", picture, "-o", "out/one.vae", "-Q"]) == 0
    assert vaezip(["decompress", "out/one.vae", "-o", "out/one.png", "-Q"]) == 0
    assert vaezip(["batch", picture, "out/one.png", "-o", "out/many", "-j", "2", "-Q"]) == 0

    from PIL import Image

    import codec.pillow

    with Image.open("out/one.vae") as opened:
        opened.save("out/again.vae", format="VAEZIP")
    if importlib.util.find_spec("numcodecs"):
        from codec.plugins.numcodecs import Vaezip

        Vaezip(quality=50).encode(np.zeros((64, 64, 3), np.uint8))
    if importlib.util.find_spec("torch"):
        # Efforts from 2 on need torch's gradients; from here on the whole model runs on torch.
        assert vaezip(["compress", "out/one.png", "-o", "out/more.vae", "-e", "2", "-Q"]) == 0
        assert "torch" in sys.modules
        assert "torch._dynamo" not in sys.modules, "torch's compiler takes seconds to load, for nothing"
    if importlib.util.find_spec("bjontegaard"):
        from codec.bench.plots import Figure

        Figure().savefig("out/empty.png")

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert not sockets()
        time.sleep(0.1)
    assert decoder.decode(encoder.encode(picture)).size
    print(threading.active_count())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
