"""Continue training on one GPU, compiled, captured as a CUDA graph, and with the data on the device.

    python -m benchmarks.training.on_gpu DIR_OF_TILES OUT --init UNDECAYED.safetensors --seconds 500

The networks, quantiser and objective are those of `vaezip train run`, written for a GPU: channels last,
depthwise convolutions as shifted products, fused kernels between matrix products (torch.compile), and no
Python between the kernels of a step (a CUDA graph). On an H200 it reached 193 Mpx/s; the same step reached
105 without torch.compile, and 42 without the graph. Compiling took two and a half minutes there.

DIR_OF_TILES holds 512x512 tiles. Writes OUT/undecayed.safetensors (bf16, averaged, when the decay begins),
OUT/last.safetensors every 45 seconds, OUT/final.safetensors (float32) and OUT/log.csv. The compiled gradient
is compared with the eager one before training starts: in a first run, with TF32 and with a scattered sum for
the gradient of `lean`, its norm was a thousand times too large and training diverged; which of the two was
the cause is not known. Therefore products are in float32 and `lean` keeps its values. Needs only torch and
safetensors: if compressai is not installed, its two entropy models are replaced.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import time
import types
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.rate_index import RATE_POINTS
from codec.entropy.tables import Z_MAX
from codec.inference.gradients import floor_through, round_through
from codec.inference.graphs import ACTIVATION_MAX
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN, ModelConfig
from codec.train.crops import draw_over, split_held_out

TILE = 512
SCALED_SIDES = (320, 384, 448, 512)
TAPS, DEVIATION = 11, 1.5
CLIP_NORM, DENSITY_FACTOR = 1.0, 4.0
LEAST_LIKELIHOOD = 1e-9
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def stand_in() -> None:
    """Provide the parameters of compressai's entropy models under its name if it is not installed."""

    class EntropyBottleneck(nn.Module):
        def __init__(self, channels: int, init_scale: float = 10.0) -> None:
            super().__init__()
            sizes = (1, 3, 3, 3, 3, 1)
            scale = init_scale ** (1 / (len(sizes) - 1))
            self.matrices, self.biases, self.factors = (nn.ParameterList() for _ in range(3))
            for rows, out in itertools.pairwise(sizes):
                value = math.log(math.expm1(1 / scale / out))
                self.matrices.append(nn.Parameter(torch.full((channels, out, rows), value)))
                self.biases.append(nn.Parameter(torch.rand(channels, out, 1) - 0.5))
                self.factors.append(nn.Parameter(torch.zeros(channels, out, 1)))
            self.factors = self.factors[:-1]
            self.quantiles = nn.Parameter(torch.zeros(channels, 1, 3))

    class GaussianConditional(nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

    package, module = types.ModuleType("compressai"), types.ModuleType("compressai.entropy_models")
    module.EntropyBottleneck = EntropyBottleneck
    module.GaussianConditional = GaussianConditional
    package.entropy_models = module
    sys.modules |= {"compressai": package, "compressai.entropy_models": module}


try:
    from codec.train.model import TrainModel
except ModuleNotFoundError:
    stand_in()
    from codec.train.model import TrainModel

from codec.networks.integer_scales import FakeQuantisedConv, magnitude_code  # noqa: E402
from codec.networks.layers import step_masks  # noqa: E402
from codec.train import loss as losses  # noqa: E402
from codec.train.loss import distortion_of, loss_of  # noqa: E402


def act(h: Tensor) -> Tensor:
    """Leaky ReLU of the float networks."""
    return F.leaky_relu(h, 0.1)


def pointwise(h: Tensor, conv: nn.Module) -> Tensor:
    """1x1 convolution of [B, h, w, C]."""
    return F.linear(h, conv.weight.flatten(1), conv.bias)


def spatial(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3x3 convolution of [B, h, w, C]."""
    return F.conv2d(h.permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)


def unshuffle(h: Tensor) -> Tensor:
    """[B, h, w, C] -> [B, h / 2, w / 2, 4 C], channels as pixel_unshuffle orders them."""
    b, rows, columns, c = h.shape
    return (
        h.view(b, rows // 2, 2, columns // 2, 2, c)
        .permute(0, 1, 3, 5, 2, 4)
        .reshape(b, rows // 2, columns // 2, -1)
    )


def shuffle(h: Tensor) -> Tensor:
    """Undo `unshuffle`."""
    b, rows, columns, c = h.shape
    return (
        h.view(b, rows, columns, c // 4, 2, 2)
        .permute(0, 1, 4, 2, 5, 3)
        .reshape(b, 2 * rows, 2 * columns, c // 4)
    )


def separable(h: Tensor, block: nn.Module) -> Tensor:
    """Depthwise 3x3 convolution as nine shifted products, which can be fused, then 1x1."""
    rows, columns = h.shape[1:3]
    padded, weight = F.pad(h, (0, 0, 1, 1, 1, 1)), block.depthwise.weight.to(h.dtype)
    out = block.depthwise.bias.to(h.dtype).expand_as(h)
    for i in range(3):
        for j in range(3):
            out = out + padded[:, i : i + rows, j : j + columns] * weight[:, 0, i, j]
    return act(pointwise(act(out), block.pointwise))


def bottleneck(h: Tensor, block: nn.Module) -> Tensor:
    """Residual block."""
    mixed = spatial(act(pointwise(h, block.reduce)), block.mix.weight, block.mix.bias)
    return h + pointwise(act(mixed), block.expand)


def at_rate(table: Tensor, share: Tensor) -> Tensor:
    """Interpolate table [R, C] by shares [B, R] of neighbouring rate points -> [B, 1, 1, C]."""
    return (share[:, :, None] * table[None]).sum(1)[:, None, None]


def lapped(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """Apply the lapped filter to x [B, 3, H, W] along a dimension, across boundaries of 16 samples."""
    size = x.shape[dim]
    windows = x.narrow(dim, 8, size - 16).unflatten(dim, (size // 16 - 1, 16))
    spec = "oi,bchni->bchno" if dim == 3 else "oi,bcniw->bcnow"
    filtered = torch.einsum(spec, matrix, windows).flatten(dim, dim + 1)
    return torch.cat([x.narrow(dim, 0, 8), filtered, x.narrow(dim, size - 8, 8)], dim)


def integer_layer(layer: FakeQuantisedConv, x: Tensor) -> Tensor:
    """One layer of the scale network on [B, h, w, C], in float32."""
    weight, bias = layer.integers()
    total = spatial(x, weight, bias) if layer.layer.kernel == 3 else F.linear(x, weight.flatten(1), bias)
    out = floor_through(total * 2.0**-layer.layer.shift)
    return out if layer.last else out.clamp(0, ACTIVATION_MAX)


def likelihood_of_z(density: nn.Module, z: Tensor) -> Tensor:
    """Return the probability of [z - 1/2, z + 1/2], [C, N], by a factorised density (Balle et al. 2018)."""

    def cumulative(value: Tensor) -> Tensor:
        h = value[:, None]
        for index, (matrix, bias) in enumerate(zip(density.matrices, density.biases, strict=True)):
            h = (F.softplus(matrix)[..., None] * h[:, None]).sum(2) + bias
            if index < len(density.factors):
                h = h + torch.tanh(density.factors[index]) * torch.tanh(h)
        return h[:, 0]

    return torch.sigmoid(cumulative(z + 0.5)) - torch.sigmoid(cumulative(z - 0.5))


def bits(likelihood: Tensor) -> Tensor:
    """Return -log2 of a likelihood, with a floor that gradients pass."""
    return -(likelihood + (likelihood.clamp(min=LEAST_LIKELIHOOD) - likelihood).detach()).log2()


class Networks(nn.Module):
    """The training pass in channels last: x [B, 3, S, S] and rates [B] -> x_hat, bits of y, bits of z."""

    def __init__(self, model: TrainModel, crop: int, *, half: bool) -> None:
        super().__init__()
        self.model, self.half = model, half
        side = crop // 16
        masks = step_masks(model.config.m, side, side).permute(0, 2, 3, 1).float()
        self.register_buffer("mask", masks.contiguous())
        self.register_buffer("points", torch.arange(RATE_POINTS).float())

    def _exact(self) -> torch.autocast:
        return torch.autocast(self.mask.device.type, enabled=False)

    def analyse(self, x: Tensor) -> Tensor:
        """g_a, its linear path in float32."""
        g = self.model.network.g_a
        with self._exact():
            f = lapped(lapped(x - 0.5, g.lap.matrix, 3), g.lap.matrix, 2)
            f = F.linear(F.pixel_unshuffle(f, 8).permute(0, 2, 3, 1), g.patch.weight.flatten(1))
            y = pointwise(unshuffle(f), g.linear)
        h = act(pointwise(f, g.in8))
        for block in g.blocks8:
            h = bottleneck(h, block)
        h = act(pointwise(unshuffle(h), g.in16))
        for block in g.blocks16:
            h = bottleneck(h, block)
        return y + pointwise(h, g.out).float()

    def synthesise(self, y_hat: Tensor, share: Tensor) -> Tensor:
        """g_s, its linear path in float32."""
        g = self.model.network.g_s
        h = act(pointwise(y_hat, g.in16))
        h = h * at_rate(g.rate16.log_scale, share).exp().to(h.dtype)
        for block in g.blocks16:
            h = bottleneck(h, block)
        h = act(shuffle(pointwise(h, g.in8)))
        h = h * at_rate(g.rate8.log_scale, share).exp().to(h.dtype)
        for block in g.blocks8:
            h = bottleneck(h, block)
        out = pointwise(h, g.out)
        with self._exact():
            f = F.linear(shuffle(pointwise(y_hat, g.linear)) + out.float(), g.unpatch.weight.flatten(1))
            x = F.pixel_shuffle(f.permute(0, 3, 1, 2), 8)
            return lapped(lapped(x, g.unlap.matrix, 2), g.unlap.matrix, 3) + 0.5

    def forward(self, x: Tensor, rate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the forward pass; sample i is near rate point i mod RATE_POINTS."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.half):
            return self._forward(x, rate)

    def _forward(self, x: Tensor, rate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        net, scale = self.model.network, self.model.scale
        share = (1 - (rate[:, None] - self.points).abs()).clamp(min=0)
        y = self.analyse(x) * at_rate(net.gain, share).exp()
        h = act(pointwise(y.sign() * torch.log1p(y.abs()), net.h_a.enter))
        h = act(spatial(h, net.h_a.mix.weight, net.h_a.mix.bias))
        with self._exact():
            z = pointwise(h.float(), net.h_a.leave)
            z_hat = round_through(z)
            hidden = z_hat.clamp(-Z_MAX, Z_MAX)
            *before, last = scale.layers
            for layer in before:
                hidden = integer_layer(layer, hidden)
            offset = floor_through(at_rate(scale.offset_integers(), share) + 0.5)
            start = integer_layer(last, hidden) + offset
        mean = net.h_s_mean
        h = act(spatial(z_hat, mean.enter.weight, mean.enter.bias))
        features = (h + separable(h, mean.mix)) * at_rate(mean.rate.log_scale, share).exp().to(h.dtype)
        mu_all, y_hat, residual, index_all = (torch.zeros_like(y) for _ in range(4))
        for step, mask in enumerate(self.mask):
            with self._exact():
                sixteenths = start
                if step:
                    out = torch.cat([magnitude_code(residual), hidden], -1)
                    for layer in scale.context[step - 1]:
                        out = integer_layer(layer, out)
                    sixteenths = sixteenths + out
                index = floor_through(sixteenths / 16).clamp(0, 63)
            integer = index.detach().nan_to_num(0).long()
            lean = net.lean.detach()[integer]
            context = net.context
            h = pointwise(features, context.from_hyper[step])
            if step:
                h = act(h + pointwise(y_hat, context.from_latent[step - 1]))
                h = separable(h, context.mix[step - 1])
            else:
                h = act(h)
            mu = pointwise(h, context.leave[step]).float()
            distance = (y - mu).detach()
            zero = (distance.abs() < self.model.threshold[integer]) | (integer == 0)
            r = torch.where(zero, torch.zeros_like(distance), distance.round())
            y_hat = y_hat + (y + (mu + r - y).detach() + r.sign() * lean) * mask
            mu_all, residual, index_all = mu_all + mu * mask, residual + r * mask, index_all + index * mask
        x_hat = self.synthesise(y_hat * at_rate(net.inverse_gain, share).exp(), share)
        return x_hat, self._bits_y(y, mu_all, index_all), self._bits_z(z)

    def _bits_y(self, y: Tensor, mu: Tensor, index: Tensor) -> Tensor:
        sigma = SCALE_MIN * (index * SCALE_LOG_STEP).exp()
        away = (y - mu + torch.rand_like(y) - 0.5).abs()
        upper, lower = (0.5 * torch.erfc((away - side) / sigma * 0.5**0.5) for side in (0.5, -0.5))
        return bits(upper - lower).sum((1, 2, 3))

    def _bits_z(self, z: Tensor) -> Tensor:
        count, rows, columns, channels = z.shape
        noisy = z + torch.rand_like(z) - 0.5
        split = noisy.view(count // RATE_POINTS, RATE_POINTS, rows * columns, channels)
        split = split.permute(1, 3, 0, 2)
        likelihood = likelihood_of_z(self.model.density, split.reshape(RATE_POINTS * channels, -1))
        return bits(likelihood.view(split.shape)).sum((1, 3)).t().reshape(-1)


def block_blur(crop: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that blurs like `codec.train.loss.blur`, in blocks, with a fifth of the products."""
    window = torch.exp(-((torch.arange(TAPS) - TAPS // 2) ** 2) / (2 * DEVIATION**2))
    window /= window.sum()
    bands = {}
    for size in (crop >> k for k in range(len(losses.SCALE_WEIGHTS))):
        places = size - TAPS + 1
        block = max(d for d in range(1, min(places, 64) + 1) if places % d == 0)
        band = torch.zeros(block + TAPS - 1, block)
        for place in range(block):
            band[place : place + TAPS, place] = window
        bands[size] = band.to(device)

    def blur(planes: Tensor) -> Tensor:
        band = bands[planes.shape[-1]]
        planes = (planes.unfold(-1, *band.shape) @ band).flatten(-2)
        band = bands[planes.shape[-2]]
        return (band.T @ planes.unfold(-2, *band.shape).transpose(-1, -2)).flatten(-3, -2)

    return blur


class Tiles:
    """Training tiles on the device, unmodified ones first; crops are sampled there, some scaled down."""

    def __init__(self, tiles: NDArray[np.uint8], plain: int, device: torch.device) -> None:
        self.tiles, self.plain, self.device = torch.from_numpy(tiles).to(device), plain, device

    def crops(self, count: int, side: int, drawn_share: float) -> Tensor:
        """uint8 [count, 3, side, side], flipped and transposed at random."""
        device = self.device
        index = torch.randint(self.plain, (count,), device=device)
        if self.plain < len(self.tiles):
            other = torch.randint(self.plain, len(self.tiles), (count,), device=device)
            index = torch.where(torch.rand(count, device=device) < drawn_share, other, index)
        along, places = torch.arange(side, device=device), []
        for _ in range(2):
            first = torch.randint(TILE - side + 1, (count, 1), device=device)
            flip = torch.rand(count, 1, device=device) < 0.5
            places.append(first + torch.where(flip, side - 1 - along, along))
        crops = self.tiles[index[:, None, None], places[0][:, :, None], places[1][:, None, :]]
        turn = torch.rand(count, 1, 1, 1, device=device) < 0.5
        return torch.where(turn, crops.transpose(1, 2), crops).permute(0, 3, 1, 2)

    def batch(self, count: int, crop: int, scaled: int, drawn_share: float, side: int) -> Tensor:
        """Float [count, 3, crop, crop] in [0, 1]; the first `scaled` are crops of `side`, scaled down."""
        large = self.crops(scaled, side, drawn_share).float()
        small = F.interpolate(large, size=(crop, crop), mode="bilinear", antialias=True)
        plain = self.crops(count - scaled, crop, drawn_share).float()
        return (torch.cat([small.round().clamp(0, 255), plain]) / 255).contiguous()


def read(path: str) -> NDArray[np.uint8]:
    """Return the samples of a tile, uint8 [512, 512, 3]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def drawn(job: tuple[str, int]) -> NDArray[np.uint8]:
    """Return a tile with graphics drawn over each of its quarters."""
    path, seed = job
    rng, tile, half = np.random.default_rng(seed), read(path).copy(), TILE // 2
    for row in (0, half):
        for column in (0, half):
            part = np.s_[row : row + half, column : column + half]
            tile[part] = draw_over(tile[part], rng)
    return tile


def load_tiles(folder: Path, count: int, device: torch.device) -> Tiles:
    """Read all tiles of a folder that are not held out, and draw graphics over `count` of them."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    paths = [str(folder / name) for name in split_held_out(names)[0]]
    chosen = np.random.default_rng(5).integers(0, len(paths), count)
    with Pool(os.cpu_count()) as pool:
        plain = pool.map(read, paths, chunksize=8)
        over = pool.map(drawn, [(paths[k], 1_000_003 + i) for i, k in enumerate(chosen)], chunksize=8)
    return Tiles(np.stack(plain + over), len(plain), device)


def optimiser_of(model: TrainModel, rate: float, linear_share: float) -> torch.optim.Optimizer:
    """Return AdamW with the parameter groups of `vaezip train run`."""
    net = model.network
    linear = [net.g_a.patch.weight, net.g_a.linear.weight, net.g_s.unpatch.weight, net.g_s.linear.weight]
    slow = [*linear, net.g_a.lap.matrix, net.g_s.unlap.matrix]
    quick = [p for p in model.density.parameters() if p.requires_grad]
    apart = {id(p) for p in slow + quick}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
    groups = [(rest, rate), (slow, rate * linear_share), (quick, rate * DENSITY_FACTOR)]
    made = [{"params": parameters, "lr": lr, "base": lr} for parameters, lr in groups]
    return torch.optim.AdamW(made, betas=(0.9, 0.95), weight_decay=0.0, fused=True)


class Trainer:
    """The state of one run on one device."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # The variances of SSIM are small differences of large numbers, which TF32 would lose.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(options.seed)
        self.rng = np.random.default_rng(options.seed)
        self.model = TrainModel(ModelConfig())
        stored = load_file(options.init)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(stored[name].float())
        self.model.network.lean.requires_grad_(False)
        self.model.to(self.device)
        losses.blur = block_blur(options.crop, self.device)
        self.networks = Networks(self.model, options.crop, half=self.device.type == "cuda").to(self.device)
        self.optimiser = optimiser_of(self.model, options.lr, options.linear_share)
        self.parameters = dict(self.model.named_parameters())
        self.live = [p for p in self.parameters.values() if p.requires_grad]
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.data = load_tiles(options.folder, options.drawn, self.device)
        point = torch.arange(options.batch, device=self.device) % RATE_POINTS
        self.low, self.high = (point - 0.5).clamp(min=0), (point + 0.5).clamp(max=RATE_POINTS - 1)
        self.step, self.pixels, self.started = 0, 0, 0.0

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sample crops, their rates and lmbda."""
        options, config = self.options, self.model.config
        side = int(self.rng.choice([s for s in SCALED_SIDES if s > options.crop]))
        x = self.data.batch(options.batch, options.crop, options.scaled, options.drawn_share, side)
        rate = self.low + (self.high - self.low) * torch.rand(options.batch, device=self.device)
        span = math.log(config.lmbda_max / config.lmbda_min)
        return x, rate, config.lmbda_min * (span * rate / (RATE_POINTS - 1)).exp()

    def objective(self, x: Tensor, rate: Tensor, lmbda: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss, bits per pixel [B] and mean squared error [B]."""
        x_hat, bits_y, bits_z = self.networks(x, rate)
        bpp = (bits_y + bits_z) / (x.shape[2] * x.shape[3])
        shares = (0.0, self.options.structure_share, self.options.perceptual_share)
        distortion, mse = distortion_of(x_hat, x, *shares)
        return loss_of(bpp, distortion, lmbda), bpp.detach(), mse.detach()

    def norm_of(self, step: Step, batch: tuple[Tensor, Tensor, Tensor]) -> float:
        """Return the norm of the gradient of a batch."""
        self.optimiser.zero_grad(set_to_none=True)
        step(*batch)[0].backward()
        norm = float(nn.utils.get_total_norm([p.grad for p in self.live]))
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def compiled(self) -> Step:
        """Return the compiled step after checking that its gradient agrees with the eager one."""
        step = torch.compile(self.objective, dynamic=False)
        batch = self.draw()
        wanted, found = self.norm_of(self.objective, batch), self.norm_of(step, batch)
        if not found < 2 * wanted + 20:
            raise SystemExit(f"the compiled gradient has norm {found:.1f}, the eager one {wanted:.1f}")
        return step

    def captured(self, step: Step) -> Step:
        """Return a step that replays forward and backward passes as one CUDA graph."""
        held = self.draw()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self.norm_of(step, held)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = step(*held)
            found[0].backward()

        def replay(*batch: Tensor) -> tuple[Tensor, ...]:
            for target, value in zip(held, batch, strict=True):
                target.copy_(value)
            graph.replay()
            return tuple(value.detach().clone() for value in found)

        return replay

    def update(self, progress: float) -> None:
        """Apply the gradients of the parameters; skip the step if they are not finite."""
        options = self.options
        factor = min(1.0, (self.step + 1) / options.warm_up)
        factor *= 0.01 + 0.99 * min(1.0, (1 - progress) / options.decay)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor
        norm = nn.utils.clip_grad_norm_(self.live, CLIP_NORM)
        if self.device.type == "cuda":
            self.optimiser.found_inf, self.optimiser.grad_scale = (~torch.isfinite(norm)).float(), None
        self.optimiser.step()
        if self.step % 8 == 7:
            self.model.scale.enforce_bounds()
        self.model.network.project_windows()
        decay = min(options.ema, (1 + self.step) / (10 + self.step))
        values = [p.detach() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), values, 1 - decay)

    def save(self, name: str, dtype: torch.dtype) -> None:
        """Write the averaged weights."""
        tensors = {k: v.to(dtype).contiguous().cpu() for k, v in self.average.items()}
        public = {k: v for k, v in vars(self.options).items() if k not in ("folder", "out", "init")}
        meta = {
            "step": self.step,
            "seconds": time.monotonic() - self.started,
            "pixels": self.pixels,
            "options": public,
        }
        partial = self.options.out / f"{name}.part"
        save_file(tensors, partial, {"vaezip": json.dumps(meta)})
        os.replace(partial, self.options.out / name)

    def run(self) -> None:
        """Train until the time is up."""
        options = self.options
        cuda = self.device.type == "cuda"
        step = self.compiled() if options.compile else self.objective
        replayed = self.captured(step) if cuda else None
        self.started = saved = time.monotonic()
        undecayed, rows = False, []
        with (options.out / "log.csv").open("w", encoding="utf-8") as log:
            while True:
                spent = time.monotonic() - self.started
                progress = self.step / options.steps if options.steps else spent / options.seconds
                if progress >= 1:
                    break
                if progress >= 1 - options.decay and not undecayed:
                    self.save("undecayed.safetensors", torch.bfloat16)
                    undecayed = True
                if replayed:
                    rows.append(replayed(*self.draw()))
                else:
                    self.optimiser.zero_grad(set_to_none=True)
                    rows.append(step(*self.draw()))
                    rows[-1][0].backward()
                with torch.no_grad():
                    self.update(progress)
                self.step += 1
                self.pixels += options.batch * options.crop**2
                if len(rows) == options.report:
                    log.write(self.line(rows, spent) + "\n")
                    log.flush()
                    rows = []
                if time.monotonic() - saved > 45:
                    saved = time.monotonic()
                    self.save("last.safetensors", torch.bfloat16)
        self.save("final.safetensors", torch.float32)

    def line(self, rows: list[tuple[Tensor, ...]], spent: float) -> str:
        """Return a log line: step, seconds, pixels, loss, then bpp and PSNR of each rate point."""
        loss, bpp, mse = (torch.stack([row[k] for row in rows]) for k in range(3))
        means = [v.view(-1, RATE_POINTS).mean(0) for v in (bpp, mse)]
        points = torch.stack([means[0], -10 * means[1].log10()], 1).flatten().tolist()
        line = ",".join(
            [f"{self.step},{spent:.1f},{self.pixels},{float(loss.mean()):.5f}", *(f"{p:.4f}" for p in points)]
        )
        print(line, flush=True)
        return line


def parsed() -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--init", required=True, help="weights to continue from")
    parser.add_argument("--seconds", type=float, default=500, help="of training, compiling not counted")
    parser.add_argument("--steps", type=int, default=0, help="stop after as many steps instead")
    parser.add_argument("--batch", type=int, default=7 * RATE_POINTS)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument(
        "--scaled", type=int, default=2 * RATE_POINTS, help="crops of a step that are scaled down"
    )
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--linear-share", type=float, default=0.05)
    parser.add_argument("--ema", type=float, default=0.9995)
    parser.add_argument("--decay", type=float, default=0.2, help="share of the run")
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--structure-share", type=float, default=0.35)
    parser.add_argument("--perceptual-share", type=float, default=0.35)
    parser.add_argument("--drawn", type=int, default=2000, help="tiles that are drawn over")
    parser.add_argument("--drawn-share", type=float, default=0.1)
    parser.add_argument("--report", type=int, default=250, help="steps to a line of the log")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--seed", type=int, default=21)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parsed()
    arguments.out.mkdir(parents=True, exist_ok=True)
    Trainer(arguments).run()
