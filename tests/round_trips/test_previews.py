"""A preview equals the scaled-down picture to one or two levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import codec
from codec.cli.main import main
from codec.encode.encoder import Encoder
from codec.inference.weights import load_model
from codec.model.config import PATCH
from codec.model.index import default_model_id
from codec.networks.layers import unlap
from codec.networks.network import float_network
from codec.tiles.preview import means
from codec.tiles.transforms import Block


def drawn(width, height):
    """Columns of bars on white, which are stored losslessly."""
    samples = np.full((height, width, 3), 255, np.uint8)
    samples[:, ::9] = samples[:, 1::9] = (200, 30, 60)
    return samples


@pytest.mark.parametrize("scale", [8, 16])
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA"])
def test_preview_is_the_picture_scaled_down(encoder, decoder, photo, psnr, scale, mode):
    source = Image.fromarray(photo(613, 299)).convert(mode)
    if mode.endswith("A"):
        source.putalpha(Image.fromarray(photo(613, 299)[..., 0]))
    data = encoder.encode(source)
    # Band by band, because Pillow weights colour by alpha.
    bands = decoder.decode(data).split()
    expected = Image.merge(mode, [band.reduce(scale) for band in bands])
    found = decoder.decode(data, scale=scale)
    assert (found.mode, found.size) == (mode, expected.size)
    assert found.size == (-(-613 // scale), -(-299 // scale))
    # Pixels of the last row and column cover squares that reach beyond the picture.
    inner = np.s_[: 299 // scale, : 613 // scale]
    assert psnr(np.asarray(found)[inner], np.asarray(expected)[inner]) > 42
    assert psnr(found, expected) > 36
    if mode.endswith("A"):
        assert np.array_equal(found.getchannel("A"), expected.getchannel("A"))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (8, 16), (17, 9)])
def test_small_pictures(encoder, decoder, photo, size):
    found = decoder.decode(encoder.encode(photo(*size)), scale=8)
    assert found.size == tuple(-(-side // 8) for side in size)
    assert abs(np.asarray(found, float).mean() - photo(*size).mean()) < 16


def test_lossless_tiles_are_scaled_exactly(decoder, photo, psnr):
    samples = photo(1100, 600).copy()
    samples[:512, 512:1024] = drawn(512, 512)
    data = Encoder(75, threads=2).encode(samples)
    assert codec.info(data).lossless_tiles == 1
    expected = np.asarray(decoder.decode(data).reduce(8))
    found = np.asarray(decoder.decode(data, scale=8))
    assert np.array_equal(found[:64, 64:128], expected[:64, 64:128])
    for beside in (np.s_[:64, 62:64], np.s_[:64, 128:130], np.s_[64:66, 64:128]):
        assert psnr(found[beside], expected[beside]) > 40


def test_region_of_a_preview(encoder, decoder, photo):
    data = encoder.encode(photo(1200, 700))
    whole = np.asarray(decoder.decode(data, scale=8))
    for x, y, width, height in ((0, 0, 1, 1), (500, 505, 30, 20), (1199, 699, 1, 1), (16, 8, 800, 600)):
        part = decoder.decode(data, scale=8, region=(x, y, width, height))
        touched = np.s_[y // 8 : -(-(y + height) // 8), x // 8 : -(-(x + width) // 8)]
        assert np.abs(np.asarray(part, int) - whole[touched]).max() <= 1


@pytest.mark.parametrize("scale", [0, 2, 3, 32, -8, "8"])
def test_other_scales_are_refused(encoder, decoder, photo, scale):
    with pytest.raises(codec.UsageError, match="scale must be 1, 8 or 16"):
        decoder.decode(encoder.encode(photo(20, 20)), scale=scale)


def test_resolution_metadata_is_scaled(encoder, decoder, face):
    face = face.copy()
    face.info["dpi"] = (320, 320)
    assert decoder.decode(encoder.encode(face), scale=16).info["dpi"] == pytest.approx((20, 20), abs=0.01)


def test_command(tmp_path, encoder, photo, capsys):
    (tmp_path / "in.vae").write_bytes(encoder.encode(photo(100, 60)))
    assert main(["decompress", str(tmp_path / "in.vae"), "--scale", "1/8", "-Q"]) == 0
    with Image.open(tmp_path / "in.png") as found:
        assert found.size == (13, 8)
    assert main(["decompress", str(tmp_path / "in.vae"), "--scale", "1/3", "-f"]) == 2
    assert "1/3" in capsys.readouterr().err


def test_preview_means_match_the_linear_path():
    """One matrix product of the latent equals the mean of g_s without its non-linear branch, to rounding."""
    g_s = float_network(load_model(default_model_id())).g_s
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(1, g_s.linear.in_channels, 6, 7, generator=generator)
    with torch.inference_mode():
        pixels = unlap(
            F.pixel_shuffle(g_s.unpatch(F.pixel_shuffle(g_s.linear(y), 2)), PATCH), g_s.unlap.matrix
        )
        expected = F.avg_pool2d(pixels, 8)[0]
        model = load_model(default_model_id())
        whole = torch.from_numpy(means(model, y[0].numpy(), Block(0, 0, 6, 7), None))
        assert torch.allclose(whole, expected, atol=1e-5)
        part = torch.from_numpy(means(model, y[0].numpy(), Block(1, 2, 4, 6), None))
        assert torch.allclose(part, expected[:, 2:8, 4:12], atol=1e-5)
