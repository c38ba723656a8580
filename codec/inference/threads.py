"""Worker threads that each compute on one core, and work ahead of its consumer."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeAlias, TypeVar

from codec.errors import CodecError, Failure, UsageError
from codec.inference.backends import choose_backend

T = TypeVar("T")
R = TypeVar("R")

Progress: TypeAlias = Callable[[int, int], None]

_setting = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: a thread that held the lock in the parent will never let it go there."""
    global _setting  # noqa: PLW0603
    _setting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def worker_count(threads: int | None) -> int:
    """Return what was asked for, or one worker for each core this process may use. Raises UsageError."""
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else (os.cpu_count() or 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads must be a whole number above 0, not {threads!r}", field="threads")
    return threads


def _single_threaded() -> None:
    """Keep this worker's operators of torch, if that is in use, on one core, and nobody else's.

    torch.set_num_threads holds for the calling thread and for threads yet to come. A thread takes the latter
    at its first use of torch, so that use must come before; and a thread of its own puts it back at once.
    """
    if "torch" not in sys.modules and not _will_use_torch():
        return
    import torch

    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        keeper = threading.Thread(target=torch.set_num_threads, args=(before,))
        keeper.start()
        keeper.join()


def _will_use_torch() -> bool:
    try:
        return choose_backend() == "torch"
    except CodecError:
        # Whoever needs it will say so.
        return False


def on_worker(function: Callable[[], R]) -> R:
    """Call a function on a worker thread of its own.

    After a fork the caller's own thread may wait for ever for helpers that OpenMP had given it in the parent.
    """
    return map_ordered(lambda _: function(), [None], 1)[0]


def map_ordered(
    function: Callable[[T], R], items: Iterable[T], threads: int, progress: Progress | None = None
) -> list[R]:
    """Apply `function` to all items on worker threads and return the results in order.

    progress: called with the number of items done so far and of all items, on this thread.

    Always on workers, even with one, so that results never depend on the caller's torch threads.
    """
    with ThreadPoolExecutor(threads, "vaezip", _single_threaded) as pool:
        if progress is None:
            return list(pool.map(function, items))
        items, results = list(items), []
        for result in pool.map(function, items):
            results.append(result)
            progress(len(results), len(items))
        return results


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
