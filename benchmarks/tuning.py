"""Measure the gains of `--tune visual` and `--roi`.

    python -m benchmarks.tuning DIR_OF_PICTURES OUT_DIR [--images N] [--only visual,roi]

Writes OUT_DIR/tuning.json. Visual tuning: BD-rate against `--tune psnr` by each metric. Region: PSNR inside
a square in the middle, at no more bytes than without the region. All at effort 0. Other parts of a
tuning.json of the same model are kept. Needs vaezip[bench].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import codec
from codec.bench.codecs import read_pixels
from codec.bench.curves import bd_rate, decibel, rising
from codec.bench.metrics import ms_ssim, psnr_rgb, psnr_y, ssimulacra2
from codec.model.index import default_model_id

QUALITIES = (25.0, 45.0, 65.0, 85.0)
METRICS = {
    "psnr_rgb": psnr_rgb,
    "psnr_y": psnr_y,
    "ms_ssim": lambda x, x_hat: decibel(ms_ssim(x, x_hat)),
    "ssimulacra2": ssimulacra2,
}
# A region of interest in the middle: its side in pixels, and the quality of the picture.
REGION, REGION_QUALITY = 128, 50.0


def main() -> None:
    """Run the requested measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=None, help="only so many pictures")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    arguments = parser.parse_args()
    pictures = read_pictures(arguments.folder)[: arguments.images]
    for name in arguments.only:
        record_part(arguments.out, name, {"pictures": len(pictures)} | PARTS[name](pictures))


def read_pictures(folder: Path) -> list[Any]:
    """Return the samples of the PNGs of a folder, in order of their names."""
    return [read_pixels(path) for path in sorted(folder.glob("*.png"))]


def record_part(out: Path, name: str, found: dict[str, Any]) -> None:
    """Write one part of OUT/tuning.json, and print it; parts of another model are dropped."""
    target, model = out / "tuning.json", default_model_id().hex()
    record = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    if record.get("model") != model:
        record = {"model": model}
    record[name] = found
    out.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(name, json.dumps({k: v for k, v in found.items() if k != "curves"}), flush=True)


def visual(pictures: list[Any]) -> dict[str, Any]:
    """Return BD-rates of --tune visual against --tune psnr on the mean curves."""
    curves = {tune: curve(pictures, tune) for tune in ("psnr", "visual")}
    rates = {
        metric: bd_rate(
            *(rising([p["bpp"] for p in points], [p[metric] for p in points]) for points in curves.values())
        ).percent
        for metric in METRICS
    }
    return {"bd_rate": {k: None if v is None else round(v, 2) for k, v in rates.items()}, "curves": curves}


def curve(pictures: list[Any], tune: str) -> list[dict[str, float]]:
    """Return mean bits per pixel and metrics at each quality; MS-SSIM in decibels."""
    decoder, points = codec.Decoder(), []
    for quality in QUALITIES:
        encoder, rows = codec.Encoder(quality, effort=0, tune=tune), []
        for x in pictures:
            data = encoder.encode(x)
            x_hat = np.asarray(decoder.decode(data))
            rows.append([8 * len(data) / x[..., 0].size, *(f(x, x_hat) for f in METRICS.values())])
        mean = np.mean(rows, 0).round(5).tolist()
        points.append({"quality": quality} | dict(zip(("bpp", *METRICS), mean, strict=True)))
    return points


def region(pictures: list[Any]) -> dict[str, Any]:
    """Return the PSNR gain inside a square in the middle with the default boost, at no more bytes."""
    plain_encoder, decoder = codec.Encoder(REGION_QUALITY, effort=0), codec.Decoder()
    gains, shares = [], []
    for x in pictures:
        height, width = x.shape[:2]
        top, left = (height - REGION) // 2, (width - REGION) // 2
        part = np.s_[top : top + REGION, left : left + REGION]
        plain = plain_encoder.encode(x)
        roi = f"{left},{top},{REGION},{REGION}"
        tuned = codec.compress(x, REGION_QUALITY, effort=0, roi=roi, target_size=len(plain))
        inside = [psnr_rgb(x[part], np.asarray(decoder.decode(data))[part]) for data in (plain, tuned)]
        gains.append(round(inside[1] - inside[0], 3))
        shares.append(len(tuned) / len(plain))
    return {
        "side": REGION,
        "quality": REGION_QUALITY,
        "gain_db": gains,
        "least_gain_db": min(gains),
        "mean_gain_db": round(float(np.mean(gains)), 3),
        "bytes_beside_plain": [round(min(shares), 4), round(max(shares), 4)],
    }


PARTS = {"visual": visual, "roi": region}

if __name__ == "__main__":
    main()
