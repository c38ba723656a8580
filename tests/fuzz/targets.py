"""Fuzz targets: functions that, for arbitrary bytes, return or raise a CodecError.

They must not catch `Exception`. Decoding uses a tiny model instead of the shipped one.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable
from io import BytesIO

import numpy as np
import tiny
from PIL import Image

import codec.decode.decoder
import codec.decode.salvage
import codec.decode.symbols
import codec.encode.encoder
from codec.bitstream import wire
from codec.bitstream.container import parse_container, read_info, write_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header, parse_header
from codec.bitstream.metadata_chunks import Metadata, pack_metadata, parse_metadata
from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.bitstream.tile_payloads import DetailPayload, LosslessTile, pack_alpha, parse_alpha, parse_tile
from codec.cli import output_formats
from codec.decode.decoder import shown_box
from codec.encode.tile_coder import encode_tile
from codec.entropy import reference
from codec.entropy.coder import TileCoder, symbol_crc
from codec.entropy.detail_coder import DetailCoder, detail_crc
from codec.entropy.range_coder import PLAIN
from codec.entropy.steps import STEPS, step_of
from codec.errors import CodecError
from codec.image.lossless import pack, pack_plane
from codec.image.metadata import attach
from codec.limits import UNLIMITED, Limits
from codec.stream import Index, Reader, Writer
from codec.tiles.detail import cells
from codec.tiles.preview import SCALES

LIMITS = Limits(max_pixels=1 << 16, max_side=1 << 12, max_chunks=50, max_metadata_bytes=1 << 16)
TINY = tiny.tiny_model()
Z_SIZE = (5, 6)
R_SHAPE = (5, 6, 7)


def load_tiny(_model_id: bytes, _device: str = "cpu") -> object:
    """Replace load_model: return the tiny model for any id."""
    return TINY


LOADING = (codec.decode.decoder, codec.encode.encoder, codec.decode.salvage, codec.decode.symbols)
for module in LOADING:
    module.load_model = load_tiny  # type: ignore[attr-defined]


@functools.cache
def _decoder() -> codec.decode.decoder.Decoder:
    return codec.decode.decoder.Decoder(threads=1, limits=LIMITS)


@functools.cache
def _encoder(quality: float, lossless: bool) -> codec.encode.encoder.Encoder:
    return codec.encode.encoder.Encoder(quality, threads=1, lossless=lossless)


def header(data: bytes) -> None:
    """Parse a header; an accepted one must be written back unchanged."""
    found = parse_header(data, LIMITS)
    assert data.startswith(found.pack())


def container(data: bytes) -> None:
    """Parse the whole structure: chunks, index, alpha, payloads of tiles."""
    read_info(data, LIMITS)
    found = parse_container(data, LIMITS)
    grid = tile_grid(found.header.width, found.header.height, found.header.tile_size)
    assert len(found.tiles) == len(grid)
    for chunk in found.chunks:
        if chunk.kind == wire.ALPHA:
            parse_alpha(chunk.payload, grid)
    exact = {i for i, tile in enumerate(found.tiles) if isinstance(tile, LosslessTile)}
    metadata = [(c.kind, bytes(c.payload)) for c in found.chunks if c.kind & wire.ANCILLARY]
    alpha = next((bytes(c.payload) for c in found.chunks if c.kind == wire.ALPHA), None)
    payloads = [tile.pack() for tile in found.tiles]
    assert write_container(found.header, payloads, metadata, alpha=alpha, lossless=exact) == data


def metadata(data: bytes) -> None:
    """Parse metadata chunks and write their content into a PNG."""
    kinds = (wire.ICC, wire.EXIF, wire.XMP, wire.TEXT, wire.DENSITY)
    kind = kinds[data[0] % len(kinds)] if data else wire.ICC
    found = parse_metadata([wire.Chunk(kind, memoryview(data)[1:], 0)], LIMITS)
    picture = Image.new("RGB", (1, 1))
    attach(found, picture)
    output_formats.save(picture, output_formats.FORMATS[".png"], BytesIO())


@functools.cache
def _decoders() -> tuple[tuple[TileCoder, TileCoder], reference.Tables]:
    tables = TINY.coder.tables
    h = tables.z_channels
    return (TINY.coder, TileCoder(tables, PLAIN)), reference.Tables(
        r_half=tables.r_half.tolist(),
        r_freq=[[]] + [tables.r_table(index).tolist() for index in range(1, SCALE_COUNT)],
        z_lo=tables.z_lo.tolist(),
        z_freq=[[tables.z_table(b, c).tolist() for c in range(h)] for b in range(RATE_POINTS)],
    )


def _own_index(step: int, r: list[list[list[int]]]) -> list[list[list[int]]]:
    """Return scale indices that depend on earlier residuals, as the network's do; some are 0."""
    total = sum(abs(v) for plane in r for row in plane for v in row)
    return [
        [
            [(7 * c + 5 * y + 3 * x + step + total) % SCALE_COUNT for x in range(R_SHAPE[2])]
            for y in range(R_SHAPE[1])
        ]
        for c in range(R_SHAPE[0])
    ]


def entropy(data: bytes) -> None:
    """Decode range coder words: both decoders and the reference agree on z, r and refusal."""
    coders, plain = _decoders()

    def coded(coder: TileCoder) -> tuple[object, object, int]:
        decoder = coder.decoder(data, 0)
        z = decoder.z(*Z_SIZE)
        r = np.zeros(R_SHAPE, np.int16)
        for step in range(STEPS):
            r = decoder.r(np.array(_own_index(step, r.tolist()), np.uint8))
        decoder.finish()
        return z.tolist(), r.tolist(), symbol_crc(z, r)

    def slow() -> tuple[object, object, int]:
        decoder = reference.RangeDecoder(data)
        z = reference.decode_z(decoder, plain, 0, *Z_SIZE)
        r = reference.decode_r(decoder, plain, R_SHAPE, _own_index)
        decoder.finish()
        return z, r, reference.symbol_crc(z, r)

    outcomes: list[object] = []
    for decode in (*(functools.partial(coded, coder) for coder in coders), slow):
        try:
            outcomes.append(decode())
        except CodecError as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1] == outcomes[2], outcomes
    if isinstance(outcomes[0], type):
        raise outcomes[0]("refused by all")


def _words(seed: int) -> bytes:
    """Return the words of a valid tile with escapes, to be used whole, truncated or mutated."""
    (coder, _), _ = _decoders()
    rng = np.random.default_rng(seed)
    z = rng.integers(-4, 4, (coder.tables.z_channels, *Z_SIZE)).astype(np.int16)
    drawn = np.rint(rng.choice([-1, 1], R_SHAPE) * 40 ** rng.random(R_SHAPE)).astype(np.int16)
    r, index, steps = np.zeros(R_SHAPE, np.int16), np.zeros(R_SHAPE, np.uint8), step_of(*R_SHAPE)
    for step in range(STEPS):
        own = np.array(_own_index(step, r.tolist()), np.uint8)
        index = np.where(steps == step, own, index)
        r = np.where((steps == step) & (own > 0), drawn, r)
    return coder.encode(z, r, index, 0)


@functools.cache
def _detail_decoders() -> tuple[tuple[DetailCoder, DetailCoder], reference.DetailTables]:
    assert TINY.detail is not None
    tables = TINY.detail.tables
    plain = reference.DetailTables(
        tables.weight.tolist(),
        tables.shape.tolist(),
        tables.half.tolist(),
        [[]] + [tables.entropy.r_table(index).tolist() for index in range(1, SCALE_COUNT)],
    )
    return (TINY.detail, DetailCoder(tables, PLAIN)), plain


def detail(data: bytes) -> None:
    """Decode words of a detail layer: both decoders and the reference agree on coefficients and refusal.

    The first byte selects the transform and the rows and columns of cells. The reference is slow, so it takes
    part only where there is one cell.
    """
    coders, plain = _detail_decoders()
    first, words = (data[0], data[1:]) if data else (0, data)
    transform, rows, columns = first & 1, 1 + (first >> 1) % 3, 1 + (first >> 3) % 3

    def coded(coder: DetailCoder) -> int:
        return detail_crc(coder.decode(words, transform, rows, columns).q)

    def slow() -> int:
        return reference.detail_crc(
            reference.decode_detail(words, plain, transform, rows, columns)[0], rows, columns
        )

    decoders: list[Callable[[], int]] = [functools.partial(coded, coder) for coder in coders]
    decoders += [slow] * (rows * columns == 1)
    outcomes: list[object] = []
    for decode in decoders:
        try:
            outcomes.append(decode())
        except CodecError as error:
            outcomes.append(type(error))
    assert len(set(outcomes)) == 1, outcomes
    if isinstance(outcomes[0], type):
        raise outcomes[0]("refused by all")


def _coefficients(seed: int, rows: int, columns: int) -> np.ndarray:
    """Return coefficients of a tile, most of them 0 and some far outside the tables."""
    rng = np.random.default_rng(seed)
    shape = (3, 16, 16, rows, columns)
    drawn = rng.choice([-1, 1], shape) * rng.choice([3, 3, 3, 20000], shape) ** rng.random(shape)
    drawn *= rng.random(shape) < 0.03
    return np.rint(drawn).astype(np.int16)


def _detail_words(seed: int) -> bytes:
    """Return an input of the target `detail` that it accepts."""
    (coder, _), _ = _detail_decoders()
    transform, rows, columns = seed & 1, 1 + (seed >> 1) % 3, 1 + (seed >> 3) % 3
    return bytes([seed]) + coder.encode(_coefficients(seed, rows, columns), transform)


def _is_sound(data: bytes) -> bool:
    try:
        codec.decode.symbols.verify(data, threads=1, limits=LIMITS)
    except CodecError:
        return False
    return True


def decode(data: bytes) -> None:
    """Decode pixels, a region and a preview; exactly the valid files are decoded."""
    sound = _is_sound(data)
    try:
        picture = _decoder().decode(data)
    except CodecError:
        assert not sound
        raise
    assert sound
    assert picture.width * picture.height <= 1 << 16
    box = (picture.width // 3, picture.height // 3, 1 + picture.width // 2, 1 + picture.height // 2)
    part = _decoder().decode(data, region=box)
    assert part.size == box[2:]
    scale = SCALES[len(data) % len(SCALES)]
    small = _decoder().decode(data, scale=scale)
    assert small.size == (-(-picture.width // scale), -(-picture.height // scale))
    left, top, right, bottom = shown_box((*box[:2], box[0] + box[2], box[1] + box[3]), scale)
    corner = _decoder().decode(data, region=box, scale=scale)
    apart = np.asarray(corner).astype(int) - np.asarray(small.crop((left, top, right, bottom)))
    assert np.abs(apart).max() <= 1


def salvage(data: bytes) -> None:
    """Salvage a file; the result must be a valid file of the same size."""
    found = codec.decode.salvage.salvage(data, threads=1, limits=LIMITS)
    assert parse_container(found.data, LIMITS).header == parse_header(data, LIMITS)


def roundtrip(data: bytes) -> None:
    """Code and decode a small picture: same size and mode, and exact where the format promises it."""
    rng = random.Random(data)
    mode = rng.choice(("L", "LA", "RGB", "RGBA"))
    width, height = rng.randint(1, 70), rng.randint(1, 70)
    channels = len(Image.new(mode, (1, 1)).getbands())
    raw = (data or b"\0") * (1 + width * height * channels // max(1, len(data)))
    picture = Image.frombytes(mode, (width, height), raw[: width * height * channels])
    lossless = rng.random() < 0.5
    coded = _encoder(rng.choice((0, 40, 100)), lossless).encode(picture)
    back = _decoder().decode(coded)
    assert (back.mode, back.size) == (picture.mode, picture.size)
    if mode in ("LA", "RGBA"):
        assert back.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    elif lossless:
        assert back.tobytes() == picture.tobytes()


class Halting:
    """A file that returns a few bytes per read, as sockets do."""

    def __init__(self, data: bytes) -> None:
        self._file, self._rng = BytesIO(data), random.Random(data)

    def read(self, n_bytes: int = -1) -> bytes:
        """Return a part of the requested bytes, at least one unless the file has ended."""
        most = 100 if n_bytes < 0 else n_bytes
        return self._file.read(min(most, self._rng.choice((1, 2, 7, 100))))


def splits(data: bytes) -> None:
    """Decode a file in pieces: same pixels as in one piece, or refused like it."""
    try:
        whole = _decoder().decode(data)
    except CodecError:
        # Bytes after the picture are not read in pieces, so only they may make a difference.
        _decoder().decode_from(Halting(data))  # type: ignore[arg-type]
        return
    assert _decoder().decode_from(Halting(data)).tobytes() == whole.tobytes()  # type: ignore[arg-type]


def _indexed(data: bytes) -> None:
    try:
        index = Index(BytesIO(data))
    except CodecError:
        return
    for number in range(len(index)):
        try:
            parse_container(index[number], UNLIMITED)
        except CodecError:
            continue


def frames(data: bytes) -> None:
    """Read a stream in pieces: valid frames in rising order, an end for every stream, and its index."""
    strict = Reader(Halting(data))  # type: ignore[arg-type]
    lenient = Reader(BytesIO(data), on_loss="skip", max_frame_bytes=1 << 16)
    numbers = []
    for frame in lenient:
        parse_container(frame.data, UNLIMITED)
        numbers.append(frame.number)
    assert numbers == sorted(set(numbers))
    _indexed(data)
    assert [frame.number for frame in strict] == numbers


Target = Callable[[bytes], None]
CHEAP: dict[str, Target] = {"header": header, "container": container, "metadata": metadata, "frames": frames}
FULL: dict[str, Target] = {
    "entropy": entropy, "detail": detail, "decode": decode, "salvage": salvage, "splits": splits,
    "roundtrip": roundtrip,
}  # fmt: skip
TARGETS = {**CHEAP, **FULL}


def _with_detail(payload: bytes, tile: Tile) -> bytes:
    """Return the payload of a tile with a detail layer added."""
    (coder, _), _ = _detail_decoders()
    q, transform = _coefficients(tile.index, *cells(tile.height, tile.width)), tile.index // 2 % 2
    layer = DetailPayload(90, transform, detail_crc(q), coder.encode(q, transform))
    return dataclasses.replace(parse_tile(payload, tile.index), detail=layer).pack()


@functools.cache
def files() -> list[bytes]:
    """Return valid files of every kind, made with the tiny model."""
    rng = np.random.default_rng(2)
    made = []
    for size, log2, layout in (
        ((40, 30), 9, 0), ((17, 9), 9, 1), ((30, 20), 9, 2), ((20, 30), 9, 3),
        ((150, 70), 6, 0), ((70, 130), 6, 3),
    ):  # fmt: skip
        head = Header(*size, 700, tiny.MODEL_ID, log2, layout)
        ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])) * 2 % 256
        pixels = np.dstack([ramp, ramp[::-1], 255 - ramp]).astype(np.uint8)
        payloads, exact, parts = [], set(), []
        for tile in tile_grid(*size, head.tile_size):
            here = np.s_[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            if tile.index % 3 == 1:
                exact.add(tile.index)
                payloads.append(pack(pixels[here]))
            else:
                payloads.append(encode_tile(TINY, pixels, tile, rate_index=700))
                if tile.index % 2 == layout % 2:
                    payloads[-1] = _with_detail(payloads[-1], tile)
            parts.append(pack_plane(pixels[here][..., 1]))
        alpha = pack_alpha(parts) if head.has_alpha else None
        beside = Metadata(
            b"", b"II*\0\x08\0\0\0\0\0", b"<x/>", (("k", "v" * int(rng.integers(1, 60))),), (72, 96)
        )
        told = pack_metadata(beside) if layout else []
        made.append(write_container(head, payloads, told, alpha=alpha, lossless=exact))
    return made


@functools.cache
def seeds(name: str) -> list[bytes]:
    """Return the initial inputs of a target."""
    if name == "metadata":
        found = [c for data in files() for c in parse_container(data).chunks]
        order = [wire.ICC, wire.EXIF, wire.XMP, wire.TEXT, wire.DENSITY]
        return [bytes([order.index(c.kind)]) + bytes(c.payload) for c in found if c.kind in order]
    if name == "entropy":
        return [np.random.default_rng(i).bytes(4 * i) for i in range(1, 40)] + [_words(i) for i in range(20)]
    if name == "detail":
        return [np.random.default_rng(i).bytes(1 + 4 * i) for i in range(20)] + [
            _detail_words(i) for i in range(0, 40, 3)
        ]
    if name == "frames":
        streams = []
        for count in range(4):
            out = BytesIO()
            with Writer(out, index=bool(count % 2)) as writer:
                for data in files()[:count]:
                    writer.write(data)
            streams.append(out.getvalue())
        return streams
    if name == "header":
        return [data[:40] for data in files()]
    return files()
