"""Compare hard pictures made by code with WebP and AVIF: BD-rate by PSNR, counting whole files.

    python -m benchmarks.content RESULT.json README PAGE [--only NAME ...] [--tables]

Writes RESULT.json after each kind of hard_content.py, then a line each for the median and the worst kind in
README and a table in PAGE, which is docs/benchmarks.md. --only measures these kinds again and keeps the
others; --tables measures none, and compares again. The pictures have SIDE x SIDE pixels. vaezip encodes them
at RATE_INDICES with effort 0, WebP with method 6, AVIF with 4:2:0 and 4:4:4 at speed 6, both at half of the
qualities of `vaezip bench rd`; vaezip and WebP also without loss. All kinds take 4 minutes of one core.

The bytes that a codec needs for a PSNR are those of its curve there, by piecewise cubic interpolation of
log(bytes), or those of its smallest exact file if that is smaller or the curve ends below. Exact files thus
bound a curve, and their infinite PSNR enters nowhere. Exact are the lossless files and those of the curve
that vaezip made lossless by itself. Of AVIF's two curves the one with fewer bytes counts at each PSNR.

BD-rate is the mean of log(bytes of vaezip / bytes of the other). Its range starts at the lowest PSNR of one
of the curves, the higher, but at START_DB at the latest; below its lowest PSNR a codec needs its smallest
file. It ends at TOP_DB, or where a curve without an exact file ends. Needs vaezip[bench].
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import PchipInterpolator

import codec
from benchmarks.common import usual
from benchmarks.hard_content import KINDS, Pixels, picture
from codec.bench.codecs import find_codec
from codec.bench.curves import rising
from codec.bench.metrics import psnr_rgb
from codec.bench.plots import MINUS
from codec.bench.readme import replace_between
from codec.bitstream.container import parse_container
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.bitstream.tile_payloads import LosslessTile

SIDE = usual(256, small=128)
RATE_INDICES = (0, 320, 640, 960, 1280, 1920, 2560, 3200, MAX_HEADER_RATE_INDEX)
WEBP, AVIF = ("webp",), ("avif", "avif-444")
LABELS = {"webp": "WebP", "avif": "AVIF"}
# PSNR of `Point` for an exact copy, in place of infinity.
EXACT_DB = 100.0
# Above, differences are hard to see, and lossless files come near.
TOP_DB = 45.0
# The range starts here at the latest, so that a codec whose smallest files are nearly exact is compared.
START_DB = 30.0
GRID_DB = 0.05
# The range of the comparison at equal bytes.
EQUAL_DB = (25.0, 35.0)
START, END = "<!-- content: start, written by benchmarks/content.py -->", "<!-- content: end -->"
Record: TypeAlias = dict[str, Any]


class Point(NamedTuple):
    """A file: its bytes and its PSNR in dB, EXACT_DB if it is exact."""

    n_bytes: int
    psnr: float


class Costs:
    """The bytes that a codec needs for a PSNR.

    curves: points of each variant, of which the cheapest counts. More points without a curve, such as a
    lossless file, belong in `exact`.
    """

    def __init__(self, curves: Iterable[list[Point]], exact: Iterable[Point] = ()) -> None:
        curves = list(curves)
        files = [point for curve in (*curves, list(exact)) for point in curve]
        self._exact = min((p.n_bytes for p in files if p.psnr >= EXACT_DB), default=None)
        self._curves = []
        for points in curves:
            lossy = [point for point in points if point.psnr < EXACT_DB]
            curve = rising([float(point.n_bytes) for point in lossy], [point.psnr for point in lossy])
            if lossy:
                self._curves.append((curve.value, np.log(curve.bpp)))

    @property
    def low(self) -> float:
        """The lowest PSNR with a point; 0 if there are only exact files."""
        return min((float(values[0]) for values, _ in self._curves), default=0.0)

    @property
    def high(self) -> float:
        """The highest PSNR that is reached."""
        if self._exact is not None:
            return EXACT_DB
        return max((float(values[-1]) for values, _ in self._curves), default=0.0)

    def log_bytes(self, psnr: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log(bytes) at each PSNR; infinite where none is reached. Below `low` it is that of `low`."""
        found = np.full(psnr.shape, np.inf if self._exact is None else np.log(self._exact))
        for values, sizes in self._curves:
            inside = np.clip(psnr, values[0], values[-1])
            lossy = PchipInterpolator(values, sizes)(inside) if len(values) > 1 else sizes
            found = np.minimum(found, np.where(psnr <= values[-1], lossy, np.inf))
        return found


def bd_rate(ours: Costs, other: Costs) -> Record | None:
    """Return the BD-rate in percent and its range in dB; None if the range is empty."""
    low, high = min(max(ours.low, other.low), START_DB), min(ours.high, other.high, TOP_DB)
    if high <= low:
        return None
    grid = np.linspace(low, high, max(round((high - low) / GRID_DB), 2))
    change = np.exp(np.mean(ours.log_bytes(grid) - other.log_bytes(grid))) - 1
    return {"percent": round(100 * float(change), 1), "from_db": round(low, 2), "to_db": round(high, 2)}


def least_gain(ours: Costs, other: Costs) -> float | None:
    """Return the least gain in PSNR at equal bytes, over the PSNR of the other codec within EQUAL_DB.

    It is 10 dB at most. None if the other has no PSNR there, or takes fewer bytes than our smallest file.
    """
    wanted = np.arange(EQUAL_DB[0], EQUAL_DB[1] + GRID_DB / 2, GRID_DB)
    wanted = wanted[(wanted >= other.low) & (wanted <= other.high)]
    gains = np.arange(-10, 10 + GRID_DB / 2, GRID_DB)
    reached = [
        gains[(ours.log_bytes(level + gains) <= n_bytes) & (level + gains >= ours.low)]
        for level, n_bytes in zip(wanted, other.log_bytes(wanted), strict=True)
    ]
    if not reached or not all(part.size for part in reached):
        return None
    return round(float(min(part.max() for part in reached)), 2)


def classical(name: str, pixels: Pixels) -> list[Point]:
    """Return the curve of a codec of `vaezip bench rd`."""
    other = find_codec(name)
    qualities = {*other.qualities[:: usual(2, small=4)], other.qualities[-1]}
    files = [other.encode(pixels, quality) for quality in sorted(qualities)]
    return [Point(len(data), rounded_psnr(pixels, other.decode(data))) for data in files]


def rounded_psnr(pixels: Pixels, decoded: Pixels) -> float:
    """Return PSNR in dB, at most EXACT_DB, for a record."""
    return round(psnr_rgb(pixels, decoded), 3)


def webp_lossless(pixels: Pixels) -> int:
    """Return the bytes of a lossless WebP file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, quality=100, method=6)
    return stream.tell()


def parts(data: bytes) -> dict[str, int]:
    """Return the bytes of a vaezip file by what stores them: base, detail, lossless."""
    found = {"base": 0, "detail": 0, "lossless": 0}
    for tile in parse_container(data).tiles:
        if isinstance(tile, LosslessTile):
            found["lossless"] += len(tile.stream)
        else:
            found["base"] += len(tile.words)
            found["detail"] += len(tile.detail.words) if tile.detail else 0
    return {name: n_bytes for name, n_bytes in found.items() if n_bytes}


def measure(name: str, pixels: Pixels) -> Record:
    """Measure the curves of all codecs on one picture."""
    ours = find_codec("vaezip")
    rows = []
    for rate_index in usual(RATE_INDICES, small=RATE_INDICES[::4]):
        data = ours.encode(pixels, rate_index)
        point = Point(len(data), rounded_psnr(pixels, ours.decode(data)))
        rows.append({"rate_index": rate_index, **point._asdict(), **parts(data)})
        if point.psnr >= EXACT_DB:
            # A higher rate values errors higher, so that the file stays exact.
            break
    return {
        "kind": name,
        "vaezip": rows,
        "vaezip_lossless": len(codec.compress(Image.fromarray(pixels), lossless=True)),
        "webp_lossless": webp_lossless(pixels),
        **{other: classical(other, pixels) for other in (*WEBP, *AVIF)},
    }


def compared(kind: Record) -> Record:
    """Return the record of a kind with its comparisons added."""
    curve = [Point(row["n_bytes"], row["psnr"]) for row in kind["vaezip"]]
    ours = Costs([curve], [Point(kind["vaezip_lossless"], EXACT_DB)])
    lossy_webp = Costs([_points(kind, name) for name in WEBP])
    webp = Costs([_points(kind, name) for name in WEBP], [Point(kind["webp_lossless"], EXACT_DB)])
    avif = Costs([_points(kind, name) for name in AVIF])
    found = {"against_webp": bd_rate(ours, webp), "against_avif": bd_rate(ours, avif)}
    return {**kind, **found, "least_gain_over_webp_db": least_gain(ours, lossy_webp)}


def _points(kind: Record, name: str) -> list[Point]:
    return [Point(*point) for point in kind[name]]


def percents(record: Record, other: str) -> dict[str, float]:
    """Return the BD-rate of each kind against `webp` or `avif`, where it is defined."""
    found = {kind["kind"]: kind[f"against_{other}"] for kind in record["kinds"]}
    return {name: rate["percent"] for name, rate in found.items() if rate is not None}


def signed(percent: float) -> str:
    """Format a percentage, such as `+4.5 %`."""
    return f"{percent:+.1f} %".replace("-", MINUS)


def summary(record: Record) -> str:
    """Return the lines for README: the median and the worst kind against each codec."""
    rates = {label: percents(record, other) for other, label in LABELS.items()}
    median = [f"{signed(statistics.median(part.values()))} against {label}" for label, part in rates.items()]
    worst = [
        f"{signed(part[name])} against {label} ({name})"
        for label, part in rates.items()
        for name in [max(part, key=part.__getitem__)]
    ]
    return (
        f"- Hard content, {len(record['kinds'])} kinds made by code, median BD-rate: {', '.join(median)}.\n"
        f"- Worst of these kinds: {', '.join(worst)}."
    )


def table(record: Record, shown_as: str) -> str:
    """Return the table for the documentation. shown_as: path of the record in links."""
    intro = (
        f"BD-rate of vaezip by PSNR RGB on pictures of {record['side']}x{record['side']} pixels made by code "
        "(`benchmarks/hard_content.py`), counting whole files; negative means that vaezip needs fewer bytes. "
        "WebP has method 6; AVIF has 4:2:0 or 4:4:4, whichever is smaller, at speed 6. The lossless files of "
        f"vaezip and WebP count as points. The range ends at {record['top_db']:g} dB. All points are in "
        f"[`content.json`]({shown_as}/content.json)."
    )
    lines = [
        intro,
        "",
        "| kind | shows | WebP | range | AVIF |",
        "|---|---|---|---|---|",
    ]
    shows = {kind.name: kind.shows for kind in KINDS}
    for kind in record["kinds"]:
        webp, avif = kind["against_webp"], kind["against_avif"]
        span = f"{webp['from_db']:.0f} to {webp['to_db']:.0f} dB" if webp else ""
        cells = [signed(rate["percent"]) if rate else "no overlap" for rate in (webp, avif)]
        lines.append(f"| {kind['kind']} | {shows[kind['kind']]} | {cells[0]} | {span} | {cells[1]} |")
    medians = [signed(statistics.median(percents(record, other).values())) for other in LABELS]
    lines.append(f"| **median** | | {medians[0]} | | {medians[1]} |")
    return "\n".join(lines)


def update(record: Record, readme: Path, page: Path) -> None:
    """Write the lines of README and the table of the page."""
    shown_as = f"../benchmarks/results/{codec.__version__}"
    for path, block in ((readme, summary(record)), (page, table(record, shown_as))):
        text = path.read_text(encoding="utf-8")
        path.write_text(replace_between(text, START, END, block), encoding="utf-8")


def facts() -> Record:
    """Return a record without kinds: what must be equal for kinds to stand in one record."""
    codecs = ("vaezip", *WEBP, *AVIF)
    return {
        "versions": {name: find_codec(name).version() for name in codecs},
        "settings": {name: find_codec(name).settings for name in codecs},
        "side": SIDE,
        "start_db": START_DB,
        "top_db": TOP_DB,
        "exact_db": EXACT_DB,
    }


def stored(target: Path) -> list[Record]:
    """Return the kinds of a record. Exit if other versions or settings measured them."""
    record = json.loads(target.read_text(encoding="utf-8"))
    kinds: list[Record] = record.pop("kinds")
    if record != facts():
        sys.exit(f"{target}: other versions or settings measured the kinds of this record; measure all again")
    return kinds


def write(record: Record, target: Path) -> None:
    """Write a record, with its kinds in the order of KINDS."""
    order = [kind.name for kind in KINDS]
    record["kinds"].sort(key=lambda kind: order.index(kind["kind"]))
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parsed() -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("readme", type=Path)
    parser.add_argument("page", type=Path)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", choices=[kind.name for kind in KINDS], metavar="NAME")
    chosen.add_argument("--tables", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure the kinds, write the record and the pages, and print one line per kind."""
    arguments = parsed()
    if arguments.tables:
        record = json.loads(arguments.target.read_text(encoding="utf-8"))
        record["kinds"] = [compared(kind) for kind in record["kinds"]]
        write(record, arguments.target)
    else:
        record = measured(arguments.target, arguments.only)
    update(record, arguments.readme, arguments.page)
    print(summary(record))


def measured(target: Path, only: list[str] | None) -> Record:
    """Measure all kinds, or only some of a record; write the record after each."""
    wanted = [kind for kind in KINDS if not only or kind.name in only]
    kept = [kind for kind in stored(target) if kind["kind"] not in only] if only else []
    record = {**facts(), "kinds": kept}
    for kind in usual(wanted, small=wanted[:3]):
        found = compared(measure(kind.name, picture(kind, SIDE)))
        record["kinds"].append(found)
        write(record, target)
        print(line(found), flush=True)
    return record


def line(kind: Record) -> str:
    """Return a line of figures for the terminal."""
    rates = [kind[f"against_{other}"] for other in LABELS]
    cells = [f"{rate['percent']:+8.1f} %" if rate else "no overlap" for rate in rates]
    return f"{kind['kind']:26} {' '.join(cells)}  least gain {kind['least_gain_over_webp_db']} dB"


if __name__ == "__main__":
    main()
