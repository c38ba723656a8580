"""FORMAT.md section 9, from symbols to samples, written out in float64 without torch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from codec.decode.symbols import decode_detail
from codec.inference.weights import load_model, read_verified
from codec.model.config import ModelConfig
from codec.model.index import model_entry
from codec.tiles.detail import dequantise, synthesise_detail


def act(t):
    return np.where(t >= 0, t, 0.1 * t)


def up(t, n):
    c, h, w = t.shape
    return t.reshape(c // n**2, n, n, h, w).transpose(0, 3, 1, 4, 2).reshape(c // n**2, n * h, n * w)


class Plain:
    """The tensors `network.*` of a weights file and the operations of section 9 on them."""

    def __init__(self, arrays, rate_index):
        self.tensors = {k.removeprefix("network."): v.astype(np.float64) for k, v in arrays.items()}
        self.i, self.f = min(rate_index >> 8, 9), rate_index - 256 * min(rate_index >> 8, 9)

    def conv(self, t, name):
        w, bias = self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias")
        p = w.shape[2] // 2
        windows = sliding_window_view(np.pad(t, ((0, 0), (p, p), (p, p))), w.shape[2:], axis=(1, 2))
        if name.endswith("depthwise"):
            out = np.einsum("cij,chwij->chw", w[:, 0], windows)
        else:
            out = np.tensordot(w, windows, ((1, 2, 3), (0, 3, 4)))
        return out if bias is None else out + bias[:, None, None]

    def factor(self, name):
        low, high = self.tensors[name][self.i : self.i + 2]
        return np.exp(low + (high - low) * self.f / 256)[:, None, None]

    def sep(self, t, name):
        return act(self.conv(act(self.conv(t, f"{name}.depthwise")), f"{name}.pointwise"))

    def means(self, symbols, ups):
        """Return the unscaled latent of a tile (9.1)."""
        h = act(self.conv(symbols.z.astype(np.float64), "h_s_mean.enter"))
        for i in range(ups):
            h = act(up(self.conv(h, f"h_s_mean.up.{i}"), 2))
        features = (h + self.sep(h, "h_s_mean.mix")) * self.factor("h_s_mean.rate.log_scale")
        c, y, x = np.indices(symbols.r.shape)
        key = (c % 4) ^ (2 * (y % 2) + x % 2)
        r = symbols.r.astype(np.float64)
        points = r + np.sign(r) * self.tensors["lean"][symbols.scale_index]
        latent = np.zeros(r.shape)
        for k in range(4):
            t = self.conv(features, f"context.from_hyper.{k}")
            if k:
                t += self.conv(latent, f"context.from_latent.{k - 1}")
            t = self.sep(act(t), f"context.mix.{k - 1}") if k else act(t)
            mu = self.conv(t, f"context.leave.{k}")
            latent = np.where(key == (0, 3, 2, 1)[k], mu + points, latent)
        return latent * self.factor("inverse_gain")

    def block(self, t, name):
        h = act(self.conv(act(self.conv(t, f"{name}.reduce")), f"{name}.mix"))
        return t + self.conv(h, f"{name}.expand")

    def synthesis(self, unscaled, config):
        """Return the samples of the whole latent (9.2)."""
        h = act(self.conv(unscaled, "g_s.in16")) * self.factor("g_s.rate16.log_scale")
        for i in range(config.blocks16):
            h = self.block(h, f"g_s.blocks16.{i}")
        h = act(up(self.conv(h, "g_s.in8"), 2)) * self.factor("g_s.rate8.log_scale")
        for i in range(config.blocks8):
            h = self.block(h, f"g_s.blocks8.{i}")
        f = up(self.conv(unscaled, "g_s.linear"), 2) + self.conv(h, "g_s.out")
        p, matrix = up(self.conv(f, "g_s.unpatch"), 8), self.tensors["g_s.unlap.matrix"]
        x = lapped(lapped(p, matrix, 1), matrix, 2) + 0.5
        return np.rint(255 * x).clip(0, 255)


def lapped(p, matrix, axis):
    out = np.moveaxis(p, axis, 0).copy()
    for boundary in range(16, out.shape[0], 16):
        window = out[boundary - 8 : boundary + 8]
        out[boundary - 8 : boundary + 8] = np.tensordot(matrix, window, 1)
    return np.moveaxis(out, 0, axis)


@pytest.mark.parametrize(("size", "quality"), [((72, 56), 10), ((530, 24), 60), ((24, 40), 100)])
def test_decoder_follows_the_format(photo, encoder, decode, symbols, size, quality):
    data = encoder(quality).encode(photo(*size))
    header, tiles = symbols(data)
    arrays, meta = read_verified(model_entry(header.model_id))
    config = ModelConfig.from_json(meta["config"])
    base = header.rate_index if header.rate_index <= config.detail_from else config.detail_base
    plain = Plain(arrays, base)
    stride = config.z_stride
    unscaled = np.full((config.m, *(-(-n // stride) * stride // 16 for n in size[::-1])), np.nan)
    for tile, _, decoded in tiles:
        part = plain.means(decoded, {16: 0, 32: 1, 64: 2}[stride])
        top, left = tile.y // 16, tile.x // 16
        unscaled[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    expected = plain.synthesis(unscaled, config).transpose(1, 2, 0)[: size[1], : size[0]]
    for tile, payload, _ in tiles:
        assert (payload.detail is not None) == (quality == 100)
        if payload.detail is not None:
            model = load_model(header.model_id)
            detail = decode_detail(model, tile, payload.detail)
            coefficients = dequantise(model.detail.tables, detail.coefficients, detail.step)
            added = synthesise_detail(coefficients, detail.transform, tile.height, tile.width)
            here = expected[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            here[:] = np.rint(here + added).clip(0, 255)
    difference = np.abs(expected - decode(data))
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 1e-3 * difference.size + 1
