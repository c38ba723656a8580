"""Map functions over items on worker threads that each compute on one core."""

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

# Called with the number of items done and the number of all items.
Progress: TypeAlias = Callable[[int, int], None]
OnError: TypeAlias = Literal["raise", "yield"]

# Held while torch's number of threads is changed and restored.
_torch_threads_lock = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where a thread of the parent that held it no longer exists."""
    global _torch_threads_lock  # noqa: PLW0603
    _torch_threads_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def worker_count(threads: int | None) -> int:
    """Return `threads`, or one worker for each core this process may use. Raises UsageError if below 1."""
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else (os.cpu_count() or 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads must be a whole number above 0, not {threads!r}", field="threads")
    return threads


def _single_threaded() -> None:
    """Limit torch, if it is in use, to one core in this worker thread and in no other.

    torch.set_num_threads sets the number for the calling thread, and the default that other threads adopt at
    their first use of torch. The default is therefore restored at once, by a thread that ends afterwards.
    """
    if "torch" not in sys.modules and not _will_use_torch():
        return
    import torch

    with _torch_threads_lock:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        keeper = threading.Thread(target=torch.set_num_threads, args=(before,))
        keeper.start()
        keeper.join()


def _will_use_torch() -> bool:
    try:
        return choose_backend() == "torch"
    except CodecError:
        # The caller that needs a backend reports the error.
        return False


def on_worker(function: Callable[[], R]) -> R:
    """Call a function on a new worker thread and return its result.

    After a fork, the calling thread could wait for ever for helper threads that OpenMP started in the parent.
    """
    return map_ordered(lambda _: function(), [None], 1)[0]


def map_ordered(
    function: Callable[[T], R], items: Iterable[T], threads: int, progress: Progress | None = None
) -> list[R]:
    """Apply `function` to all items on worker threads and return the results in order.

    Even a single worker is a separate thread, so that results do not depend on the caller's torch threads.
    progress: called on this thread with the number of items done and the number of all items.
    """
    with ThreadPoolExecutor(threads, "vaezip", _single_threaded) as pool:
        if progress is None:
            return list(pool.map(function, items))
        items, results = list(items), []
        for result in pool.map(function, items):
            results.append(result)
            progress(len(results), len(items))
        return results


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, on_error: OnError
) -> Iterator[R | Failure]:
    """Yield function(item) for every item, in order, reading at most 2 * workers items ahead.

    If the next result is ready, it is yielded before another item is read. One worker reads no item ahead.
    on_error: 'raise' stops at the first CodecError or OSError of an item; 'yield' returns a Failure in the
    item's place and continues. An exception of `items` itself is always raised, after the results of the
    items before it. Raises UsageError for another on_error.
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
        # If the consumer stops early, work that has not started is dropped.
        pool.shutdown(wait=True, cancel_futures=True)


def _futures(
    pool: ThreadPoolExecutor,
    function: Callable[[T], R],
    items: Iterable[T],
    running: deque[Future[R]],
    most: int,
) -> Iterator[None]:
    """Start tasks, up to `most` at a time, and yield whenever the oldest of `running` should be taken."""
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
