"""Files with detail layers: quality, layouts, regions, previews, damage, and models without the layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

import codec
from codec.bitstream import wire
from codec.bitstream.container import parse_container, write_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.tile_payloads import LosslessTile
from codec.decode.decoder import Decoder
from codec.decode.salvage import pattern, salvage
from codec.decode.symbols import decode_detail
from codec.encode.encoder import Encoder
from codec.encode.picture_coder import PictureCoder
from codec.errors import ChecksumMismatch, CorruptPayload
from codec.inference.weights import load_model
from codec.tiles.detail import dequantise, synthesise_detail

WIDTH, HEIGHT = 300, 200
DRAWN = 1


@pytest.fixture(scope="module")
def fine():
    return Encoder(100, threads=2)


@pytest.fixture(scope="module")
def pixels(photo):
    """A photo with lines where tile 1 of 128 pixels will be, which cost least without loss."""
    made = photo(WIDTH, HEIGHT).copy()
    made[:128, 128:256] = 255
    made[8:120:12, 136:250] = 0
    return made


@pytest.fixture(scope="module")
def tiled(pixels):
    """A file of 3 x 2 tiles of 128 pixels: one lossless, the others with detail layers."""
    # A region of interest makes tiles smaller; this one changes nothing.
    return codec.compress(pixels, quality=100, roi="0,0,1,1:+0", effort=0)


def changed(data, change):
    """Return a file with other tiles, all CRCs of the container valid. change: index, tile -> tile."""
    found = parse_container(data)
    tiles = [change(index, tile) for index, tile in enumerate(found.tiles)]
    chunks = {chunk.kind: bytes(chunk.payload) for chunk in found.chunks}
    return write_container(
        found.header,
        [tile.pack() for tile in tiles],
        [(kind, payload) for kind, payload in chunks.items() if kind & wire.ANCILLARY],
        alpha=chunks.get(wire.ALPHA),
        lossless=[index for index, tile in enumerate(tiles) if isinstance(tile, LosslessTile)],
    )


def without_detail(data):
    def bare(_, tile):
        return tile if isinstance(tile, LosslessTile) else dataclasses.replace(tile, detail=None)

    return changed(data, bare)


def with_detail_fields(data, at, **fields):
    """Return a file whose tile `at` has other fields of its detail layer."""

    def other(index, tile):
        if index != at:
            return tile
        return dataclasses.replace(tile, detail=dataclasses.replace(tile.detail, **fields))

    return changed(data, other)


def details(data):
    return [getattr(tile, "detail", None) for tile in parse_container(data).tiles]


def added(data):
    """Return what the detail layer of a file of one tile adds, float32 [h, w, 3]."""
    found = parse_container(data)
    model = load_model(found.header.model_id)
    (tile,) = tile_grid(found.header.width, found.header.height, found.header.tile_size)
    detail = decode_detail(model, tile, found.tiles[0].detail)
    coefficients = dequantise(model.detail.tables, detail.coefficients, detail.step)
    return synthesise_detail(coefficients, detail.transform, tile.height, tile.width)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_layout(fine, decoder, psnr, face, soft_alpha, mode):
    picture = face.convert(mode.removesuffix("A"))
    if mode.endswith("A"):
        picture.putalpha(Image.fromarray(soft_alpha))
    data = fine.encode(picture)
    assert all(details(data))
    back, base = decoder.decode(data), decoder.decode(without_detail(data))
    assert (back.mode, back.size) == (mode, picture.size)
    seen = soft_alpha > 0 if mode.endswith("A") else ...
    colours = [np.asarray(p.convert(mode.removesuffix("A"))) for p in (picture, back, base)]
    assert psnr(colours[0], colours[1], seen) > max(41, psnr(colours[0], colours[2], seen) + 3)
    if mode.endswith("A"):
        assert back.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
    change = added(data) if "RGB" in mode else added(data).mean(2)
    assert np.abs(colours[1] - (colours[2] + change).clip(0, 255)).max() <= 0.501


@pytest.mark.parametrize("size", [(9, 31), (140, 20), (513, 20)])
def test_odd_sizes(fine, decoder, photo, psnr, size):
    data = fine.encode(photo(*size))
    codec.verify(data)
    assert any(details(data))
    assert psnr(photo(*size), decoder.decode(data)) > 40


def test_tiny_pictures_do_without(fine, decoder, photo, psnr):
    data = fine.encode(photo(1, 1))
    assert details(data) == [None]
    assert psnr(photo(1, 1), decoder.decode(data)) > 33


@pytest.mark.parametrize("layout", [1, 4])
def test_gray_layouts_get_the_mean_of_the_three_colours(fine, decoder, face, layout):
    found = parse_container(fine.encode(face))
    payloads = [tile.pack() for tile in found.tiles]
    gray = write_container(dataclasses.replace(found.header, layout=layout), payloads)
    change = added(gray)
    assert np.abs(change.mean(2) - change[:, :, 1]).max() > 1
    back, base = (np.asarray(decoder.decode(data)) for data in (gray, without_detail(gray)))
    if layout == 4:
        assert (back == back[:, :, :1]).all()
        back, base = back[:, :, 0], base[:, :, 0]
    assert np.abs(back - (base + change.mean(2)).clip(0, 255)).max() <= 0.501


def test_detail_beside_a_lossless_tile(tiled, decoder, pixels, psnr):
    tiles = parse_container(tiled).tiles
    assert [isinstance(tile, LosslessTile) for tile in tiles] == [index == DRAWN for index in range(6)]
    assert all(detail for index, detail in enumerate(details(tiled)) if index != DRAWN)
    codec.verify(tiled)
    back = np.asarray(decoder.decode(tiled))
    assert np.array_equal(back[:128, 128:256], pixels[:128, 128:256])
    for tile in tile_grid(WIDTH, HEIGHT, 128):
        here = np.s_[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        assert psnr(pixels[here], back[here]) > 40, tile.index
    # Columns and rows at the borders of tiles are as good as the others.
    learned = np.abs(back.astype(int) - pixels).mean(2)
    for seam in (learned[126:130], learned[:, 254:258], learned[128:, 126:130]):
        assert seam.mean() < 1.5 * learned[learned > 0].mean()


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 1, 1),
        (299, 199, 1, 1),
        (100, 90, 60, 70),
        (129, 3, 20, 20),
        (250, 120, 9, 80),
        (0, 0, 300, 200),
    ],
)
def test_region_equals_a_crop_of_the_whole(tiled, decoder, region):
    x, y, width, height = region
    whole = np.asarray(decoder.decode(tiled)).astype(int)
    part = np.asarray(decoder.decode(tiled, region=region))
    difference = np.abs(part - whole[y : y + height, x : x + width])
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 1e-3 * difference.size + 1


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_region_with_alpha(fine, decoder, face, soft_alpha, mode):
    picture = face.convert(mode.removesuffix("A"))
    picture.putalpha(Image.fromarray(soft_alpha))
    data = fine.encode(picture)
    whole = np.asarray(decoder.decode(data)).astype(int)
    part = np.asarray(decoder.decode(data, region=(21, 33, 40, 30)))
    assert np.abs(part - whole[33:63, 21:61]).max() <= 1
    assert np.array_equal(part[..., -1], whole[33:63, 21:61, -1])


@pytest.mark.parametrize("scale", [8, 16])
def test_previews_omit_the_detail(tiled, decoder, scale):
    damaged = with_detail_fields(tiled, 3, crc=0)
    plain = decoder.decode(without_detail(tiled), scale=scale)
    for data in (tiled, damaged):
        assert decoder.decode(data, scale=scale).tobytes() == plain.tobytes()


def test_region_of_interest_gets_a_finer_step(photo, psnr):
    source = photo(256, 128)
    data = codec.compress(source, quality=95, roi="0,0,100,100:+5", effort=0)
    inside, outside = details(data)
    assert inside.step < outside.step
    back = codec.decompress(data)
    left, right = (np.s_[:, :128], np.s_[:, 128:])
    assert psnr(source, back, left) > psnr(source, back, right) + 2


def test_region_of_interest_alone_has_detail(photo):
    data = codec.compress(photo(256, 128), quality=60, roi="0,0,100,100:+38", effort=0)
    inside, outside = details(data)
    assert inside is not None
    assert outside is None


def test_threads_do_not_change_the_file(tiled, pixels):
    one = Encoder(100, threads=1, roi="0,0,1,1:+0", effort=0)
    assert one.encode(pixels) == tiled


@pytest.mark.parametrize("kind", ["RGB", "L"])
@pytest.mark.parametrize("target", [44.5, 46])
def test_target_is_measured_on_what_the_file_decodes_to(pixels, monkeypatch, psnr, kind, target):
    picture = Image.fromarray(pixels).convert(kind)
    seen = {}
    decoded = PictureCoder.decoded

    def watched(self, coded):
        samples = decoded(self, coded)
        seen[self.file(coded)] = np.asarray(samples[:, :])
        return samples

    monkeypatch.setattr(PictureCoder, "decoded", watched)
    data = codec.compress(picture, target_psnr=target, effort=0)
    assert any(details(data))
    back = np.asarray(codec.decompress(data).convert("RGB"))
    difference = np.abs(back.astype(int) - seen[data])
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 1e-4 * difference.size + 1
    assert target <= psnr(picture, codec.decompress(data)) < target + 0.6


def damages(detail):
    words = bytearray(detail.words)
    words[len(words) // 2] ^= 0x10
    return {
        "CRC": {"crc": detail.crc ^ 1},
        "words": {"words": bytes(words)},
        "transform": {"transform": 1 - detail.transform},
        "no words": {"words": b""},
        "words left over": {"words": bytes(detail.words) + b"\1" * 12},
        "a last word of 0": {"words": bytes(detail.words) + bytes(4)},
    }


@pytest.mark.parametrize(
    "kind", ["CRC", "words", "transform", "no words", "words left over", "a last word of 0"]
)
def test_damage_is_found(tiled, decoder, kind):
    damaged = with_detail_fields(tiled, 4, **damages(details(tiled)[4])[kind])
    error = ChecksumMismatch if kind == "CRC" else (ChecksumMismatch, CorruptPayload)
    for check in (codec.verify, decoder.decode):
        with pytest.raises(error, match="tile 4: detail"):
            check(damaged)
    elsewhere = (0, 0, 120, 100)
    assert decoder.decode(damaged, region=elsewhere) == decoder.decode(tiled, region=elsewhere)


def test_salvage_loses_the_tile_whose_detail_is_damaged(tiled):
    damaged = with_detail_fields(tiled, 5, crc=details(tiled)[5].crc ^ 1)
    found = salvage(damaged, threads=1)
    assert [tile.index for tile in found.lost] == [5]
    codec.verify(found.data)
    back, whole = np.asarray(found.picture), np.asarray(codec.decompress(tiled))
    assert np.array_equal(back[128:, 256:], pattern(44, 72, gray=False))
    assert np.array_equal(back[:, :160], whole[:, :160])
    kept = details(found.data)
    assert all(kept[index] == details(tiled)[index] for index in (0, 2, 3, 4))


def test_model_without_the_layer(tiled, photo, monkeypatch):
    bare = dataclasses.replace(load_model(parse_container(tiled).header.model_id), detail=None)
    for module in ("decode.decoder", "decode.symbols", "decode.salvage", "encode.encoder"):
        monkeypatch.setattr(f"codec.{module}.load_model", lambda *_: bare)
    for check in (codec.verify, Decoder(threads=1).decode):
        with pytest.raises(CorruptPayload, match="has no detail layer"):
            check(tiled)
    data = Encoder(100, threads=1).encode(photo(60, 50))
    assert details(data) == [None]
    codec.verify(data)


def test_quality_rises_through_the_start_of_detail_layers(face, decoder, psnr):
    found = []
    for quality in (80, 86, 90, 94, 98):
        data = Encoder(quality, threads=1, effort=0).encode(face)
        found.append((len(data), psnr(face, decoder.decode(data))))
    for values in zip(*found, strict=True):
        assert list(values) == sorted(values)
