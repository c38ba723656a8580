"""Read files and decode their symbols on a big-endian machine; run by hand before a release.

    python tests/exactness/byte_order.py qemu-s390x -L ROOT ROOT/usr/bin/python3 > RESULT.json

The arguments are a command that starts a big-endian Python with numpy and pillow. Neither onnxruntime nor
torch runs there, so the scale indices are computed here. Tested are the container, the range decoder, alpha
and lossless tiles, on the files of processors.py.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def computed(files: list[Path], out: Path) -> None:
    """Write the tables of the model and the scale indices of all learned tiles to `out`."""
    from codec.bitstream.container import parse_container
    from codec.bitstream.geometry import tile_grid
    from codec.bitstream.tile_payloads import TilePayload
    from codec.decode.symbols import decode_symbols
    from codec.inference.weights import load_model

    arrays = {}
    for file in files:
        found = parse_container(file.read_bytes())
        header, model = found.header, load_model(found.header.model_id)
        arrays |= model.coder.tables.to_arrays()
        if model.detail is not None:
            arrays |= model.detail.tables.to_arrays()
        arrays[f"{file.stem} base"] = np.array(model.config.base_rate_index(header.rate_index))
        for tile in tile_grid(header.width, header.height, header.tile_size):
            payload = found.tiles[tile.index]
            if isinstance(payload, TilePayload):
                symbols = decode_symbols(model, tile, payload, header.rate_index)
                arrays[f"{file.stem} z {tile.index}"] = np.array(symbols.z.shape[1:])
                arrays[f"{file.stem} scale_index {tile.index}"] = symbols.scale_index
    np.savez(out, **arrays)


def child(given: Path, files: list[Path]) -> dict[str, object]:
    """Decode on the current machine; return a sha256 for each file."""
    from codec.bitstream import wire
    from codec.bitstream.container import parse_container
    from codec.bitstream.geometry import tile_grid
    from codec.bitstream.rate_index import nearest_rate_point
    from codec.bitstream.tile_payloads import TilePayload, parse_alpha
    from codec.entropy.coder import TileCoder, symbol_crc
    from codec.entropy.detail_coder import DetailCoder, detail_crc
    from codec.entropy.detail_context import DetailTables
    from codec.entropy.range_coder import BEST
    from codec.entropy.steps import STEPS
    from codec.entropy.tables import EntropyTables
    from codec.image.lossless import unpack, unpack_plane

    with np.load(given) as stored:
        arrays = {name: value.astype(value.dtype.newbyteorder("=")) for name, value in stored.items()}
    coder = TileCoder(EntropyTables.from_arrays(arrays))
    digests, tiles = {}, 0
    for file in files:
        found, digest = parse_container(file.read_bytes()), hashlib.sha256()
        header = found.header
        grid = tile_grid(header.width, header.height, header.tile_size)
        digest.update(repr((header, [(chunk.kind, bytes(chunk.payload)) for chunk in found.chunks])).encode())
        for tile, payload in zip(grid, found.tiles, strict=True):
            if not isinstance(payload, TilePayload):
                digest.update(unpack(payload.stream, file.name).tobytes())
                continue
            rate_index = payload.rate_index(int(arrays[f"{file.stem} base"]))
            decoder = coder.decoder(payload.words, nearest_rate_point(rate_index))
            z = decoder.z(*arrays[f"{file.stem} z {tile.index}"].tolist())
            for _ in range(STEPS):
                r = decoder.r(arrays[f"{file.stem} scale_index {tile.index}"])
            decoder.finish()
            assert symbol_crc(z, r) == payload.crc, file.name
            digest.update(z.astype("<i2").tobytes() + r.astype("<i2").tobytes())
            if payload.detail is not None:
                detail = DetailCoder(DetailTables.from_arrays(arrays))
                cells = -(-tile.height // 16), -(-tile.width // 16)
                q = detail.decode(payload.detail.words, payload.detail.transform, *cells).q
                assert detail_crc(q) == payload.detail.crc, file.name
                digest.update(q.astype("<i2").tobytes())
        for chunk in found.chunks:
            if chunk.kind == wire.ALPHA:
                for tile, part in zip(grid, parse_alpha(chunk.payload, grid), strict=True):
                    digest.update(unpack_plane(part, (tile.height, tile.width), file.name).tobytes())
        digests[file.name], tiles = digest.hexdigest(), tiles + len(grid)
    processor = {"processor": platform.machine(), "byte_order": sys.byteorder, "numpy": np.__version__}
    return {**processor, "range_coder": BEST.name, "tiles": tiles, "digests": digests}


def main() -> int:
    if sys.argv[1] == "--child":
        print(json.dumps(child(Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])))
        return 0
    from processors import files_to_decode, run_child

    with tempfile.TemporaryDirectory() as name:
        files, given = files_to_decode(Path(name)), Path(name) / "given.npz"
        computed(files, given)
        here, there = (
            run_child(python, __file__, given, files) for python in ([sys.executable], sys.argv[1:])
        )
    digests, others = here.pop("digests"), there.pop("digests")
    same = sum(digests[file.name] == others[file.name] for file in files)
    print(json.dumps({"here": here, "there": there, "files": len(files), "files_the_same": same}, indent=1))
    return int(same < len(files) or here["byte_order"] == there["byte_order"])


if __name__ == "__main__":
    sys.exit(main())
