"""Worker processes of this machine, any of which may die without harm to the others.

Not concurrent.futures: when one of its workers dies, all that were handed out fail, and nobody can say at
which of them it died.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections import deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from codec.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from multiprocessing.context import SpawnContext
    from types import FrameType

T = TypeVar("T")
R = TypeVar("R")

MAX_TRIES = 2
_READY = "ready"
_PATIENCE_S = 10


class WorkerDied(CodecError):
    """A file took its worker process down with it, at every try."""


class WorkersUnavailable(CodecError):
    """No worker can be started."""


class Entry(NamedTuple):
    """A task, and how often it will have been begun."""

    task: Any
    tries: int


def run_pool(
    work: Callable[[T, int], R], tasks: Iterable[T], jobs: int, set_aside: Callable[[T, str, int], R]
) -> Generator[R]:
    """Yield results as they come. work: called in a worker with a task and the number of this try.

    set_aside: makes the result of a task that ended its worker at every try, from the task, how that ended,
    such as SIGKILL, and the number of tries. What they return must be picklable, and never None.

    A worker has one task at a time, so that the one it died of is known: that one is begun again after all
    others, once, and then set aside. Tasks are drawn as workers get free. When the iteration is left early,
    by Ctrl-C or otherwise, workers are ended at once, and remove what they have half written.
    Raises WorkersUnavailable where they do not even start.
    """
    context = multiprocessing.get_context("spawn")
    queue = _Queue(tasks)
    free: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    try:
        while True:
            while len(busy) < jobs and (entry := queue.take()) is not None:
                worker = free.pop() if free else _Worker(context, work)
                worker.begin(entry)
                busy[worker.connection] = worker
            finished: list[R] = []
            for connection in wait(list(busy)) if busy else ():
                worker = busy[connection]  # type: ignore[index]
                answer = worker.answer()
                if answer == _READY:
                    worker.ready = True
                    continue
                del busy[worker.connection]
                if answer is not None:
                    free.append(worker)
                    finished.append(answer)
                elif worker.entry.tries < MAX_TRIES:
                    queue.again(worker.entry)
                else:
                    finished.append(set_aside(worker.entry.task, worker.how_it_ended(), MAX_TRIES))
            if not finished and not busy and queue.empty:
                break
            # Whoever takes the results may take their time: give out new work first.
            while len(busy) < jobs and free and (entry := queue.take()) is not None:
                worker = free.pop()
                worker.begin(entry)
                busy[worker.connection] = worker
            yield from finished
        for worker in free:
            worker.dismiss()
    finally:
        _end([*free, *busy.values()])


def portable(error: Exception) -> Exception:
    """Return an error that another process can read: anything unforeseen becomes a RuntimeError."""
    if isinstance(error, CodecError) or (
        isinstance(error, (OSError, MemoryError, RuntimeError)) and type(error).__module__ == "builtins"
    ):
        return error
    if isinstance(error, OSError):
        # Of some library, which this process may have and the other not.
        return OSError(error.errno or errno.EIO, error.strerror or str(error), error.filename)
    plain = RuntimeError(f"unexpected {type(error).__name__}: {error}")
    plain.__cause__ = error
    return plain


class _Queue:
    """New tasks first, drawn one by one; then those to be begun again."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._fresh = iter(tasks)
        self._again: deque[Entry] = deque()
        self.empty = False

    def take(self) -> Entry | None:
        if not self.empty:
            for task in self._fresh:
                return Entry(task, 1)
        if self._again:
            return self._again.popleft()
        self.empty = True
        return None

    def again(self, entry: Entry) -> None:
        self._again.append(Entry(entry.task, entry.tries + 1))
        self.empty = False


class _Worker:
    """A process and the pipe to it."""

    entry: Entry

    def __init__(self, context: SpawnContext, work: Callable[[Any, int], object]) -> None:
        self.ready = False
        self.connection, theirs = context.Pipe()
        # A daemon does not outlive this process, however that ends in Python.
        self.process = context.Process(target=_serve, args=(theirs, work), name="vaezip", daemon=True)
        with _sigint_blocked():
            self.process.start()
        # With the last copy of their end closed, the worker's death reads as the end of the pipe.
        theirs.close()

    def begin(self, entry: Entry) -> None:
        self.entry = entry
        # Where it is dead, answer() will say so.
        with suppress(OSError):
            self.connection.send(entry)

    def answer(self) -> Any:
        """Return what the worker says, or None if it has died. Raises WorkersUnavailable if at birth."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
        self.connection.close()
        if not self.ready:
            raise WorkersUnavailable(
                "worker processes do not start; in a script, call this below `if __name__ == '__main__':`"
            )
        return None

    def how_it_ended(self) -> str:
        """Say how a process that is no more ended, such as SIGKILL."""
        code = self.process.exitcode
        return f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name

    def dismiss(self) -> None:
        self.connection.close()
        self.process.join(_PATIENCE_S)


def _end(workers: list[_Worker]) -> None:
    """End workers that are left, whatever they are doing, but let them clean up."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_PATIENCE_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Let processes that start in this block never see Ctrl-C, not even while they load.

    It reaches every process of a terminal; the one that started the others ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    # Where a first start has to start the tracker too, that unblocks the signal, and the worker would see it.
    ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Callable[[Any, int], object]) -> None:
    """Work off what comes through the pipe until it closes: what a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _unwind)
    # One core each, before torch is loaded and asks.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        connection.send(_READY)
        while True:
            task, tries = connection.recv()
            connection.send(work(task, tries))
    except (EOFError, OSError):
        return


def _unwind(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
