"""Compare other installations of torch with this one; run by hand before a release.

    python tests/exactness/versions.py OTHER_PYTHON...

Each OTHER_PYTHON is an interpreter with torch, numpy, pillow, safetensors and constriction. Both decode the
files that this and the other interpreter encode: symbols must be identical, samples within one level.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from cell import ROOT, run_cell

sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "tests" / "assets" / "chelsea.png"


def main() -> int:
    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder

    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"q{quality}.vae" for quality in (5, 50, 100)]
        for path, quality in zip(files, (5, 50, 100), strict=True):
            path.write_bytes(Encoder(quality).encode(PICTURE))
        out, arguments = folder / "out.npz", ["--picture", str(PICTURE)]
        base, pixels = run_cell(files, out, arguments)
        print(f"{'torch':14} {'symbols':9} {'float bits':11} {'samples off by one':19} largest  files back")
        for python in [sys.executable, *sys.argv[1:]]:
            record, other = run_cell(files, out, arguments, python=python)
            back = np.asarray(Decoder().decode(other["own_file"].tobytes()))
            pairs = [(other[f.stem], pixels[f.stem]) for f in files] + [(back, other["own_pixels"])]
            off = np.concatenate([(a.astype(int) - b).ravel() for a, b in pairs])
            same = record["symbols"] == base["symbols"]
            largest = int(np.abs(off).max())
            failed |= not same or largest > 1
            floats = "same" if record["floats"] == base["floats"] else "differ"
            share = f"{np.count_nonzero(off)} of {off.size}"
            symbols = "same" if same else "DIFFER"
            print(f"{record['torch']:14} {symbols:9} {floats:11} {share:19} {largest:7}  decoded")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
