"""Work on a sequence a little ahead of its consumer: lazy, in order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeAlias, TypeVar

from codec.errors import CodecError, UsageError
from codec.types import Failure

T = TypeVar("T")
R = TypeVar("R")

OnError: TypeAlias = Literal["raise", "yield"]


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, on_error: OnError
) -> Iterator[R | Failure]:
    """Yield function(item) of every item, in order, at most 2 * workers items ahead.

    A result that is ready goes out before another item is asked for. One worker never looks ahead: it takes
    an item, yields its result, and only then asks for the next. on_error: 'raise' ends with the first
    CodecError or OSError of an item; 'yield' gives a Failure in the item's place and goes on. What `items`
    itself raises is always raised, behind the results of what came before it.
    """
    if on_error not in ("raise", "yield"):
        raise UsageError(f"on_error must be 'raise' or 'yield', not {on_error!r}", field="on_error")
    return (
        _one_by_one(function, items, on_error) if workers == 1 else _ahead(function, items, workers, on_error)
    )


def _one_by_one(function: Callable[[T], R], items: Iterable[T], on_error: OnError) -> Iterator[R | Failure]:
    for index, item in enumerate(items):
        try:
            result: R | Failure = function(item)
        except (CodecError, OSError) as error:
            if on_error == "raise":
                raise
            result = Failure(index, error)
        yield result


def _ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, on_error: OnError
) -> Iterator[R | Failure]:
    pool = ThreadPoolExecutor(workers, "vaezip-map")
    running: deque[Future[R]] = deque()

    def first() -> R:
        return running.popleft().result()

    try:
        pending = _futures(pool, function, items, running, 2 * workers)
        yield from _one_by_one(lambda _: first(), pending, on_error)
    finally:
        # A consumer that stops early does not wait for what it will never take.
        pool.shutdown(wait=True, cancel_futures=True)


def _futures(
    pool: ThreadPoolExecutor,
    function: Callable[[T], R],
    items: Iterable[T],
    running: deque[Future[R]],
    most: int,
) -> Iterator[None]:
    """Yield whenever the oldest of `running` should be taken, having started as many as may run."""
    try:
        for item in items:
            running.append(pool.submit(function, item))
            while len(running) >= most or (running and running[0].done()):
                yield
    except Exception:
        while running:
            yield
        raise
    while running:
        yield
