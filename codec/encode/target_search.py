"""Rate control: search for the rate index at which a file meets a target of size or similarity."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.encode.options import PSNR_ABOVE, SIZE_BYTES, SIZE_SHARE, SSIM_ABOVE, Target
from codec.encode.picture_coder import LAST_PRICE, Coded, PictureCoder
from codec.errors import LimitExceeded
from codec.image.picture import Picture
from codec.image.similarity import MEASURES, decibel
from codec.model.index import ModelEntry, from_rate_index

T = TypeVar("T")

MAX_TRIALS = 8
# Least distance of a guess from the ends of its bracket, as a share of it, so that both ends converge.
_MARGIN = 0.05


class Trial(NamedTuple, Generic[T]):
    """One attempt: the rate index 0..3840, the measured value, and the result, such as the file."""

    rate_index: int
    value: float
    result: T


class Outcome(NamedTuple, Generic[T]):
    """Result of a search.

    chosen: the trial to use, or None if the band lies beyond an end of the range. low, high: the trials with
    the least and the greatest value.
    """

    chosen: Trial[T] | None
    low: Trial[T]
    high: Trial[T]


def search(
    attempt: Callable[[int], tuple[float, T]],
    band: tuple[float, float],
    start: int,
    last: int,
    *,
    from_below: bool,
) -> Outcome[T]:
    """Find a rate index 0..last whose value lies in a band (low, high), by regula falsi in MAX_TRIALS trials.

    attempt: rate index -> (value, result); the value should increase with the rate index, about linearly.
    start: the first guess. from_below: if no trial is in the band, choose the greatest value below it (True)
    or the least value above it (False); a value on the other side of the band is never chosen.
    """
    low, high = band
    aim = (low + high) / 2
    trials: dict[int, Trial[T]] = {}
    below, above = -1, last + 1
    moves: list[bool] = []
    rate_index = min(max(start, 0), last)
    while len(trials) < MAX_TRIALS:
        trial = Trial(rate_index, *attempt(rate_index))
        trials[rate_index] = trial
        if low <= trial.value <= high:
            break
        moves.append(trial.value < low)
        if moves[-1]:
            below = max(below, rate_index)
        else:
            above = min(above, rate_index)
        if above - below <= 1 or below >= last or above <= 0:
            break
        stuck = len(moves) > 2 and moves[-1] == moves[-2]
        rate_index = _next(trials, below, above, last, aim, stuck=stuck)
    ordered = sorted(trials.values(), key=lambda trial: trial.value)
    fitting = [t for t in ordered if (t.value <= high if from_below else t.value >= low)]
    chosen = (fitting[-1] if from_below else fitting[0]) if fitting else None
    return Outcome(chosen, ordered[0], ordered[-1])


def _next(trials: dict[int, Trial[T]], below: int, above: int, last: int, aim: float, *, stuck: bool) -> int:
    """Return the next rate index to try, strictly between below and above.

    stuck: True if one end of the bracket has not moved for two trials, since the curve is not straight.
    """
    if below >= 0 and above <= last:
        (x0, y0), (x1, y1) = ((trials[r].rate_index, trials[r].value) for r in (below, above))
        share = min(max((aim - y0) / (y1 - y0), 0), 1) if y1 > y0 else 0.5
        if stuck:
            # As in the Illinois method, move the guess closer to the end that has not moved.
            share = 2 * share / (1 + share) if next(reversed(trials)) == below else share / (2 - share)
        guess = x0 + (x1 - x0) * min(max(share, _MARGIN), 1 - _MARGIN)
    elif len(trials) == 1:
        # No slope is known after one trial, and none is assumed: bisect.
        guess = (below + above) / 2
    else:
        # Only one end of the bracket is known: extrapolate from the two nearest trials.
        nearest = sorted(trials, key=lambda r: abs(trials[r].value - aim))[:2]
        (x0, y0), (x1, y1) = ((r, trials[r].value) for r in nearest)
        guess = x0 + (aim - y0) * (x1 - x0) / (y1 - y0) if y1 != y0 else (below + above) / 2
        # Overshoot a little, so that the next trial closes the bracket.
        guess += 0.1 * (guess - x0)
    return min(max(round(guess), below + 1, 0), above - 1, last)


class _File(NamedTuple):
    """Bytes of a file; has_lossless is True if any of its tiles is stored losslessly."""

    data: bytes
    has_lossless: bool


def encode_to_target(
    coder: PictureCoder, picture: Picture, target: Target, start: int, entry: ModelEntry
) -> bytes:
    """Return a file that meets the target, found in at most 2 * MAX_TRIALS trials.

    start: the rate index 0..3840 to try first. Raises LimitExceeded if no file meets the target; the message
    names the closest value.
    """
    if target.is_size:
        return _by_size(coder, target, target.n_bytes(picture.width * picture.height), start, entry)
    return _by_metric(coder, picture, target, start, entry)


def _by_size(coder: PictureCoder, target: Target, most: int, start: int, entry: ModelEntry) -> bytes:
    least = most - max(SIZE_BYTES, math.floor(SIZE_SHARE * most))

    def attempt(code: Callable[[int], Coded], position: int) -> tuple[float, _File]:
        coded = code(position)
        data = coder.file(coded)
        return math.log(len(data)), _File(data, bool(coded.lossless))

    by_rate, by_price = (functools.partial(attempt, code) for code in (coder.code, coder.code_at_price))
    band = (math.log(max(least, 1)), math.log(max(most, 1)))
    found = search(by_rate, band, start, MAX_HEADER_RATE_INDEX, from_below=True)
    if found.chosen is None:
        n_bytes = len(found.low.result.data)
        raise _missed(
            f"{target}: the smallest file possible", found.low.rate_index, f"{n_bytes} bytes", entry
        )
    chosen = found.chosen.result
    n_bytes = len(chosen.data)
    if n_bytes < least:
        first = found.chosen.rate_index
        between = search(by_price, band, first, LAST_PRICE, from_below=True).chosen
        if between is not None and len(between.result.data) > n_bytes:
            chosen, n_bytes = between.result, len(between.result.data)
    # A file with lossless tiles may be smaller than the target even at the highest rate index.
    is_last = found.chosen.rate_index == MAX_HEADER_RATE_INDEX and not found.chosen.result.has_lossless
    if n_bytes < least and is_last:
        what = f"{target}: the largest file possible, short of --lossless,"
        raise _missed(what, MAX_HEADER_RATE_INDEX, f"{n_bytes} bytes", entry)
    return chosen.data


def _by_metric(coder: PictureCoder, picture: Picture, target: Target, start: int, entry: ModelEntry) -> bytes:
    measure = MEASURES[target.kind]

    def attempt(code: Callable[[int], Coded], position: int) -> tuple[float, Coded]:
        coded = code(position)
        return measure(picture.colour, coder.decoded(coded)), coded

    by_rate, by_price = (functools.partial(attempt, code) for code in (coder.code, coder.code_at_price))
    if target.kind == "psnr":
        low, above = target.value, PSNR_ABOVE
    else:
        low, above = decibel(target.value), SSIM_ABOVE
    found = search(by_rate, (low, low + above), start, MAX_HEADER_RATE_INDEX, from_below=False)
    chosen = found.chosen
    if chosen is None or (chosen.value > low + above and chosen.rate_index > 0):
        first = found.high.rate_index if chosen is None else chosen.rate_index
        between = search(by_price, (low, low + above), first, LAST_PRICE, from_below=False).chosen
        if between is not None and (chosen is None or between.value < chosen.value):
            return coder.file(between.result)
    if chosen is None:
        best = _shown(target, found.high.value)
        what = f"{target}: the best possible, short of --lossless,"
        raise _missed(what, found.high.rate_index, best, entry)
    if chosen.rate_index == 0 and chosen.value > low + above and not chosen.result.lossless:
        raise _missed(f"{target}: the lowest possible", 0, _shown(target, chosen.value), entry)
    return coder.file(chosen.result)


def _shown(target: Target, value: float) -> str:
    return f"{value:.2f} dB" if target.kind == "psnr" else f"{1 - 10 ** (-value / 10):.5f}"


def _missed(what: str, rate_index: int, best: str, entry: ModelEntry) -> LimitExceeded:
    return LimitExceeded(
        f"{what} is {best}, at quality {from_rate_index(rate_index, entry):g}", field="target"
    )
