"""The rate index at which a rising measure lands in a narrow band, in few trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

MAX_TRIALS = 8
# Beyond this share of a bracket a guess is moved towards its middle, so that both ends close in.
_MARGIN = 0.05


class Trial(NamedTuple, Generic[T]):
    """One attempt: the rate index 0..2560, what was measured, and what was made."""

    rate_index: int
    value: float
    result: T


class Outcome(NamedTuple, Generic[T]):
    """chosen: the trial to use, None where the band lies beyond an end. low, high: of all trials."""

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
    """Find a rate index 0..last whose value lies in a band (low, high), by regula falsi in MAX_TRIALS.

    attempt: rate index -> (value, result); the value all but rises with it, not too far from linearly. start:
    a first guess. from_below: whether, where the band cannot be hit, the nearest value below it will do, or
    else the nearest above it. A value beyond the other end of the band is never chosen.
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

    stuck: whether one end of the bracket has not moved for two trials: the curve is bent.
    """
    if below >= 0 and above <= last:
        (x0, y0), (x1, y1) = ((trials[r].rate_index, trials[r].value) for r in (below, above))
        share = min(max((aim - y0) / (y1 - y0), 0), 1) if y1 > y0 else 0.5
        if stuck:
            # As in the Illinois method: closer to the end that has stayed than the straight line says.
            share = 2 * share / (1 + share) if next(reversed(trials)) == below else share / (2 - share)
        guess = x0 + (x1 - x0) * min(max(share, _MARGIN), 1 - _MARGIN)
    elif len(trials) == 1:
        # No slope is known yet: a guess at how fast a value moves would be the model's, so look at half way.
        guess = (below + above) / 2
    else:
        # Only one side is known: go on along its last two, or at once to the end.
        nearest = sorted(trials, key=lambda r: abs(trials[r].value - aim))[:2]
        (x0, y0), (x1, y1) = ((r, trials[r].value) for r in nearest)
        guess = x0 + (aim - y0) * (x1 - x0) / (y1 - y0) if y1 != y0 else (below + above) / 2
        # A little too far rather than short of it: then both sides are known.
        guess += 0.1 * (guess - x0)
    return min(max(round(guess), below + 1, 0), above - 1, last)
