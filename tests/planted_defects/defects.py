"""The defects to plant, one at a time, and the tests that must detect each."""

from __future__ import annotations

from typing import NamedTuple


class Defect(NamedTuple):
    """One change of one file, and the test files in which at least one test must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


_CONTAINER = "tests/bitstream/test_container.py"
_HEADER = "tests/bitstream/test_header.py"
_WIRE = "tests/bitstream/test_wire.py"
_METADATA = "tests/bitstream/test_metadata_chunks.py"
_DAMAGE = "tests/codec/test_damage.py"
_SALVAGE = "tests/codec/test_salvage.py"
_FILES = "tests/io/test_files.py"
_WEIGHTS = "tests/model/test_weights.py"
_CODER = "tests/entropy/test_coder.py"
_RANGE_CODER = "tests/entropy/test_range_coder.py"
_DETAIL_CODER = "tests/entropy/test_detail_coder.py"
_DETAIL = "tests/round_trips/test_detail.py"

DEFECTS = [
    Defect("header CRC unchecked", "codec/bitstream/header.py",
           'if zlib.crc32(body) != reader.uint(4, "header CRC"):',
           'if zlib.crc32(body) == -reader.uint(4, "header CRC") - 1:', _HEADER),
    Defect("chunk CRC unchecked", "codec/bitstream/wire.py",
           'if zlib.crc32(body) != reader.uint(4, "chunk CRC"):',
           'if zlib.crc32(body) == -reader.uint(4, "chunk CRC") - 1:', _CONTAINER),
    Defect("symbol CRC unchecked", "codec/decode/symbols.py",
           "if symbol_crc(z, r) != payload.crc:", "if symbol_crc(z, r) == -1:", _DAMAGE),
    Defect("limit off by one", "codec/limits.py",
           "if cap is not None and value > cap:", "if cap is not None and value > cap + 1:",
           f"{_CONTAINER} {_METADATA} tests/cli/test_limits.py"),
    Defect("pixels summed, not multiplied", "codec/limits.py",
           'self.max_pixels, width * height, f"{size} has"', 'self.max_pixels, width + height, f"{size} has"',
           f"{_HEADER} {_CONTAINER}"),
    Defect("pixels wrap at 32 bits", "codec/limits.py",
           'self.max_pixels, width * height, f"{size} has"',
           'self.max_pixels, width * height & 0xFFFFFFF, f"{size} has"', _HEADER),
    Defect("varint without an end", "codec/bitstream/wire.py",
           "for i in range(VARINT_BYTES):", "for i in range(99):", _WIRE),
    Defect("varint above 2**32", "codec/bitstream/wire.py",
           "if value > VARINT_MAX or (byte == 0 and i > 0):", "if byte == 0 and i > 0:", _WIRE),
    Defect("varint in long form", "codec/bitstream/wire.py",
           "if value > VARINT_MAX or (byte == 0 and i > 0):", "if value > VARINT_MAX:", _WIRE),
    Defect("reads past the end", "codec/bitstream/wire.py",
           "if self.left < n_bytes:", "if self.left + 1 < n_bytes:", f"{_WIRE} {_HEADER}"),
    Defect("bytes after the end taken", "codec/bitstream/container.py",
           "if n_bytes > end:", "if n_bytes > end + 1:", _CONTAINER),
    Defect("tiles not compared with bytes", "codec/bitstream/container.py",
           "if reader.left < least:", "if reader.left < 0:", _CONTAINER),
    Defect("critical chunks skipped", "codec/bitstream/container.py",
           "if not chunk.kind & wire.ANCILLARY and chunk.kind not in _KNOWN:",
           "if not chunk.kind and chunk.kind not in _KNOWN:", _CONTAINER),
    Defect("tile of another length than the index", "codec/bitstream/container.py",
           "    if reader.left:\n        msg = f\"tile {index} at byte {span.offset}: the index",
           "    if reader.left < 0:\n        msg = f\"tile {index} at byte {span.offset}: the index",
           _CONTAINER),
    Defect("inflates before it checks", "codec/bitstream/metadata_chunks.py",
           "limits.check_metadata(total + size)", "pass", _METADATA),
    Defect("metadata there twice", "codec/bitstream/metadata_chunks.py",
           "if chunk.kind in contents:", "if chunk.kind in ():", _METADATA),
    Defect("lossless stream of any size", "codec/bitstream/tile_payloads.py",
           "if found != (width, height) or bits >> 29:", "if bits >> 29:", _CONTAINER),
    Defect("escape beyond 16 bits", "codec/entropy/coder.py",
           "int(magnitude.max()) > R_MAX:", "int(magnitude.max()) > 2 * R_MAX:", _CODER),
    Defect("detail CRC unchecked", "codec/decode/symbols.py",
           "if detail_crc(detail.q) != payload.crc:", "if detail_crc(detail.q) == -1:", _DETAIL),
    Defect("detail of tiles unverified", "codec/decode/symbols.py",
           "        if payload.detail is not None:\n            decode_detail",
           "        if payload.detail is None:\n            decode_detail", _DETAIL),
    Defect("any transform of the detail", "codec/bitstream/tile_payloads.py",
           "    if transform >= TRANSFORMS:", "    if transform > TRANSFORMS:", _CONTAINER),
    Defect("more words than a tile with detail has", "codec/bitstream/tile_payloads.py",
           "or reader.left % 4 or reader.left < n_bytes:", "or reader.left % 4:", _CONTAINER),
    Defect("mean code of the detail out of range", "codec/entropy/detail_coder.py",
           "if int(stated.max()) > MEAN_MAX:", "if int(stated.max()) > 99:", _DETAIL_CODER),
    Defect("weights of the detail unbounded", "codec/entropy/detail_context.py",
           '_require(fits, "weight"', '_require(True, "weight"', _DETAIL_CODER),
    Defect("words left over", "codec/entropy/coder.py",
           "if not self._coder.maybe_exhausted():", "if self._coder is None:", f"{_CODER} {_DAMAGE}"),
    Defect("weights unhashed", "codec/inference/weights.py",
           "if hashlib.sha256(data).hexdigest() != sha256:", "if not data:", _WEIGHTS),
    Defect("known answer unchecked", "codec/inference/scale_network.py",
           "if self.known_answer(z) != expected:", "if self.known_answer(z) is None:", _WEIGHTS),
    Defect("output never replaced", "codec/io/files.py",
           "            temporary.replace(target)\n        else:",
           "            os.link(temporary, target)\n        else:", _FILES),
    Defect("disk that fills up unnoticed", "codec/io/files.py",
           '        data(cast("IO[bytes]", _NoDescriptor(file)))', "        data(file)",
           "tests/cli/test_faults.py"),
    Defect("temporary file left behind", "codec/io/files.py",
           "            temporary.unlink()\n    _sync", "            pass\n    _sync", _FILES),
    Defect("salvaged tile in a wrong place", "codec/bitstream/recovery.py",
           "return [*map(_span, before), *missing, *map(_span, after)]",
           "return [*map(_span, before), *map(_span, after), *missing]", _SALVAGE),
    Defect("salvage trusts tiles that do not decode", "codec/decode/salvage.py",
           "    except CodecError:\n        return False\n    return True",
           "    except CodecError:\n        return True\n    return True", _SALVAGE),
    Defect("memory unlimited", "codec/limits.py",
           "return min(wanted, (self.max_memory_bytes - shared) // each)", "return wanted",
           "tests/tiles/test_decode_memory.py"),
    Defect("plain range coder leaves its range", "codec/entropy/plain_range_coder.py",
           "            if quantile >= TOTAL:", "            if quantile > 2 * TOTAL:", _RANGE_CODER),
    Defect("plain range coder carries one word far", "codec/entropy/plain_range_coder.py",
           "        words[at] = 0\n        at -= 1\n", "        break\n", _RANGE_CODER),
    Defect("plain range coder ends anywhere", "codec/entropy/plain_range_coder.py",
           "return self._next >= len(self._words) and", "return self._next >= 0 and", _RANGE_CODER),
    Defect("verify out of memory", "codec/decode/symbols.py",
           "@memory_errors()\n", "@staticmethod\n", "tests/io/test_out_of_memory.py"),
    Defect("GPU in TF32", "codec/inference/torch_backend.py",
           '["ieee"] * len', '["tf32"] * len', "tests/model/test_backends.py"),
    Defect("pictures' faults let through", "codec/image/source.py",
           "        Exception\n", "        SyntaxError\n", "tests/image/test_mutated_files.py"),
    Defect("pictures opened at any size", "codec/image/load.py",
           "check_size(picture.width, picture.height, limits)", "check_size(1, 1, limits)",
           "tests/image/test_mutated_files.py"),
]  # fmt: skip
