"""The file that meets a target: a few trials of one picture at different rate indices."""

from __future__ import annotations

import math
from typing import NamedTuple

from codec.bitstream.quality import MAX_RATE_INDEX
from codec.coding.picture import Coded, PictureCoder
from codec.errors import LimitExceeded
from codec.image.picture import Picture
from codec.model.index import ModelEntry
from codec.model.quality import from_rate_index
from codec.ratecontrol.likeness import MEASURES, decibel
from codec.ratecontrol.search import search
from codec.ratecontrol.target import PSNR_ABOVE, SIZE_BYTES, SIZE_SHARE, SSIM_ABOVE, Target


class _File(NamedTuple):
    """Bytes of a file, and whether any of its tiles is stored without loss."""

    data: bytes
    has_exact: bool


def hit(coder: PictureCoder, picture: Picture, target: Target, start: int, entry: ModelEntry) -> bytes:
    """Return the file that meets a target, found in at most search.MAX_TRIALS trials.

    start: the rate index 0..2560 to try first. Raises LimitExceeded where none meets the target, and says
    what the nearest one gives.
    """
    if target.is_size:
        return _by_size(coder, target, target.n_bytes(picture.width * picture.height), start, entry)
    return _by_metric(coder, picture, target, start, entry)


def _by_size(coder: PictureCoder, target: Target, most: int, start: int, entry: ModelEntry) -> bytes:
    least = most - max(SIZE_BYTES, math.floor(SIZE_SHARE * most))

    def attempt(rate_index: int) -> tuple[float, _File]:
        coded = coder.code(rate_index)
        data = coder.file(coded)
        return math.log(len(data)), _File(data, bool(coded.exact))

    band = (math.log(max(least, 1)), math.log(max(most, 1)))
    found = search(attempt, band, start, MAX_RATE_INDEX, from_below=True)
    if found.chosen is None:
        n_bytes = len(found.low.result.data)
        raise _missed(
            f"{target}: the smallest file possible", found.low.rate_index, f"{n_bytes} bytes", entry
        )
    chosen = found.chosen.result
    # Where all that is left to gain is gained without loss, a smaller file is no miss.
    if found.chosen.rate_index == MAX_RATE_INDEX and len(chosen.data) < least and not chosen.has_exact:
        what = f"{target}: the largest file possible, short of --lossless,"
        raise _missed(what, MAX_RATE_INDEX, f"{len(chosen.data)} bytes", entry)
    return chosen.data


def _by_metric(coder: PictureCoder, picture: Picture, target: Target, start: int, entry: ModelEntry) -> bytes:
    measure = MEASURES[target.kind]

    def attempt(rate_index: int) -> tuple[float, Coded]:
        coded = coder.code(rate_index)
        return measure(picture.colour, coder.decoded(coded)), coded

    if target.kind == "psnr":
        low, above = target.value, PSNR_ABOVE
    else:
        low, above = decibel(target.value), SSIM_ABOVE
    found = search(attempt, (low, low + above), start, MAX_RATE_INDEX, from_below=False)
    if found.chosen is None:
        best = _shown(target, found.high.value)
        what = f"{target}: the best possible, short of --lossless,"
        raise _missed(what, found.high.rate_index, best, entry)
    chosen = found.chosen
    if chosen.rate_index == 0 and chosen.value > low + above and not chosen.result.exact:
        raise _missed(f"{target}: the least possible", 0, _shown(target, chosen.value), entry)
    return coder.file(found.chosen.result)


def _shown(target: Target, value: float) -> str:
    return f"{value:.2f} dB" if target.kind == "psnr" else f"{1 - 10 ** (-value / 10):.5f}"


def _missed(what: str, rate_index: int, best: str, entry: ModelEntry) -> LimitExceeded:
    return LimitExceeded(
        f"{what} is {best}, at quality {from_rate_index(rate_index, entry):g}", field="target"
    )
