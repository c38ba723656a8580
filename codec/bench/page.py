"""Write the benchmark report: one HTML file with curves, tables and pictures at equal numbers of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from codec.bench import plots
from codec.bench.codecs import BenchCodec, MissingCodec, find_codec, read_pixels
from codec.bench.curves import METRIC_LABELS
from codec.bench.metrics import psnr_rgb
from codec.bench.plots import (
    OURS,
    Published,
    Row,
    compare,
    in_order,
    load_published,
    metrics_of,
    overlap,
    percent,
)
from codec.bench.results import Results, load_results
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.errors import BenchmarkError
from codec.image.load import RgbArray
from codec.io.files import write_atomic

RIVALS = ("jpeg", "webp", "avif")
TARGET_BPP = (0.25, 0.5)
# Larger pictures are cut around their middle, to limit the page and to show pixels one to one.
MAX_SIDE = 768
MAX_PAGE_BYTES = 8_000_000
# Reserved for everything except curves and pictures.
PAGE_TEXT_BYTES = 200_000
# Formats that browsers show; the page embeds the file that was measured.
_MIME = {"jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif"}


@dataclass(frozen=True)
class Version:
    """A picture coded by one codec.

    name, label: of the codec. n_bytes: of its file. psnr: in dB. data, mime: the file if browsers can show
    it, else the decoded picture as lossless WebP.
    """

    name: str
    label: str
    n_bytes: int
    psnr: float
    data: bytes
    mime: str

    @property
    def words(self) -> str:
        """Label, bytes and PSNR for the page."""
        return f"{self.label}: {self.n_bytes:,} bytes, {self.psnr:.2f} dB"


@dataclass(frozen=True)
class SideBySide:
    """A picture and, for each number of bytes, the version of vaezip followed by those of other codecs."""

    name: str
    width: int
    height: int
    original: bytes
    sizes: list[list[Version]]

    @property
    def embedded_bytes(self) -> int:
        """Bytes to embed in the page, before base64."""
        return len(self.original) + sum(len(version.data) for size in self.sizes for version in size)


def lossless(pixels: RgbArray) -> bytes:
    """Encode pixels as lossless WebP, which every browser shows."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, quality=100, method=4)
    return stream.getvalue()


def middle(pixels: RgbArray) -> RgbArray:
    """Return the middle of a picture, at most MAX_SIDE pixels a side."""
    height, width = pixels.shape[:2]
    top, left = max(0, height - MAX_SIDE) // 2, max(0, width - MAX_SIDE) // 2
    return np.ascontiguousarray(pixels[top : top + MAX_SIDE, left : left + MAX_SIDE])


def largest_within(encode: Callable[[int], bytes], highest: int, limit: int) -> bytes:
    """Return the encoding of highest quality, 0..highest, within `limit` bytes, or that of quality 0."""
    low, high = 0, highest
    best = encode(0)
    while low < high:
        quality = (low + high + 1) // 2
        data = encode(quality)
        if len(data) <= limit:
            low, best = quality, data
        else:
            high = quality - 1
    return best


def side_by_side(path: Path) -> SideBySide:
    """Encode one picture with vaezip at each of TARGET_BPP, and with its rivals within as many bytes."""
    pixels = middle(read_pixels(path))
    height, width = pixels.shape[:2]
    sizes = []
    for bpp in TARGET_BPP:
        ours = _version(find_codec(OURS), pixels, int(bpp * width * height / 8))
        rivals = (find_codec(name) for name in RIVALS if _is_installed(find_codec(name)))
        sizes.append([ours, *(_version(row, pixels, ours.n_bytes) for row in rivals)])
    return SideBySide(path.stem, width, height, lossless(pixels), sizes)


def _version(row: BenchCodec, pixels: RgbArray, limit: int) -> Version:
    highest = MAX_HEADER_RATE_INDEX if row.name == OURS else 100
    data = largest_within(lambda quality: row.encode(pixels, quality), highest, limit)
    decoded = row.decode(data)
    mime = _MIME.get(row.name)
    shown = data if mime else lossless(decoded)
    return Version(row.name, row.label, len(data), psnr_rgb(pixels, decoded), shown, mime or "image/webp")


def _is_installed(row: BenchCodec) -> bool:
    try:
        row.version()
    except MissingCodec:
        return False
    return True


def choose(pictures: Sequence[Path], budget: int) -> tuple[list[SideBySide], list[str]]:
    """Return comparisons of pictures within `budget` bytes of page, and the names of those left out."""
    chosen, left_out = [], []
    for path in pictures:
        pair = side_by_side(path)
        cost = pair.embedded_bytes * 4 // 3
        if cost > budget:
            left_out.append(path.name)
            continue
        budget -= cost
        chosen.append(pair)
    if pictures and not chosen:
        raise BenchmarkError(f"{pictures[0]}: too large for the page; choose smaller pictures")
    return chosen, left_out


def write_report(
    results_file: Path,
    folder: Path,
    pictures: Sequence[Path] = (),
    notes: Sequence[str] = (),
    published_file: Path | None = None,
) -> tuple[Path, list[str]]:
    """Write plots (PNG and SVG) and the page to a folder; return the page and the names of pictures left out.

    pictures: files to show side by side. notes: lines about them, such as licences. published_file: published
    points to show. Raises OSError, and BenchmarkError for results without vaezip or invalid files.
    """
    results = load_results(results_file)
    if OURS not in results.codecs:
        raise BenchmarkError(f"{results_file}: no points of {OURS}; run it first")
    published = load_published(published_file, results) if published_file else []
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {}
    for metric in metrics_of(results):
        figure = plots.draw(results, metric, published)
        drawings[metric] = plots.svg(figure, metric)
        write_atomic(folder / f"rd_{metric}.png", plots.png(figure), overwrite=True)
        write_atomic(folder / f"rd_{metric}.svg", drawings[metric].encode(), overwrite=True)
    budget = MAX_PAGE_BYTES - PAGE_TEXT_BYTES - sum(len(svg.encode()) for svg in drawings.values())
    pairs, left_out = choose(pictures, budget)
    text = render(results, compare(results, published), drawings, pairs, published, notes)
    write_atomic(folder / "report.html", text.encode(), overwrite=True)
    return folder / "report.html", left_out


def render(
    results: Results,
    rows: Sequence[Row],
    drawings: dict[str, str],
    pairs: Sequence[SideBySide],
    published: Sequence[Published] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the page. drawings: SVG by metric, trusted; all other text is escaped."""
    environment = Environment(
        loader=PackageLoader("codec.bench", "report"), autoescape=True, undefined=StrictUndefined
    )
    count = len(results.pictures)
    return environment.get_template("page.html").render(
        title=f"vaezip beside other codecs on {count} picture{'' if count == 1 else 's'}",
        lead=_lead(rows),
        results=results,
        pictures=list(results.pictures.values()),
        codecs=[results.codecs[name] for name in in_order(results)],
        metrics=metrics_of(results),
        rows=rows,
        # The XML declaration before the <svg> element is not valid inside HTML.
        drawings={metric: Markup(svg[svg.index("<svg") :]) for metric, svg in drawings.items()},  # noqa: S704
        pairs=pairs,
        published=published,
        notes=notes,
        labels=METRIC_LABELS,
        percent=percent,
        overlap=overlap,
        uri=_data_uri,
    )


def _lead(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Return label, percent and `more` or `fewer` for the comparisons with JPEG and WebP."""
    comparisons = []
    for row in rows:
        rate = row.of_mean.get("psnr_rgb")
        if row.name in ("jpeg", "webp") and rate is not None and rate.percent is not None:
            comparisons.append(
                (row.label, f"{abs(rate.percent):.1f}", "more" if rate.percent > 0 else "fewer")
            )
    return comparisons


def _data_uri(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
