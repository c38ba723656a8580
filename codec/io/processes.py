"""A pool of worker processes in which the death of one worker affects only its own task.

concurrent.futures does not fit: when one of its workers dies, all submitted tasks fail, and the task that
killed the worker is unknown.
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
_JOIN_TIMEOUT_S = 10


class WorkerDied(CodecError):
    """The worker process of a file died at every try."""


class WorkersUnavailable(CodecError):
    """Worker processes cannot be started."""


class Entry(NamedTuple):
    """A task and the number of this try, from 1."""

    task: Any
    tries: int


def run_pool(
    work: Callable[[T, int], R], tasks: Iterable[T], jobs: int, set_aside: Callable[[T, str, int], R]
) -> Generator[R]:
    """Run `work` on every task in at most `jobs` processes; yield results in the order of completion.

    work: called in a worker with a task and the number of this try, from 1. set_aside: called here with a
    task whose worker died at every try, how it ended, such as SIGKILL, and the number of tries. Results must
    be picklable and not None.

    A worker has one task at a time, so that the task it died of is known: it is tried once more after all
    others, then set aside. Tasks are drawn from the iterable as workers become free. If the iteration is left
    early, by Ctrl-C or otherwise, workers are terminated at once, and remove partly written files.
    Raises WorkersUnavailable if workers cannot start.
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
                    queue.retry(worker.entry)
                else:
                    finished.append(set_aside(worker.entry.task, worker.exit_reason(), MAX_TRIES))
            if not finished and not busy and queue.empty:
                break
            # The consumer of the results may be slow: assign new tasks first.
            while len(busy) < jobs and free and (entry := queue.take()) is not None:
                worker = free.pop()
                worker.begin(entry)
                busy[worker.connection] = worker
            yield from finished
        for worker in free:
            worker.close()
    finally:
        _terminate([*free, *busy.values()])


def portable(error: Exception) -> Exception:
    """Return an error that another process can unpickle.

    CodecErrors and built-in OSErrors, MemoryErrors and RuntimeErrors are returned unchanged, an OSError of a
    library as a plain OSError, any other error as a RuntimeError with its name and message.
    """
    if isinstance(error, CodecError) or (
        isinstance(error, (OSError, MemoryError, RuntimeError)) and type(error).__module__ == "builtins"
    ):
        return error
    if isinstance(error, OSError):
        # A class of a library that the other process may lack.
        return OSError(error.errno or errno.EIO, error.strerror or str(error), error.filename)
    plain = RuntimeError(f"unexpected {type(error).__name__}: {error}")
    plain.__cause__ = error
    return plain


class _Queue:
    """Tasks to run: new ones, drawn one by one, then those to retry."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._fresh = iter(tasks)
        self._retries: deque[Entry] = deque()
        self.empty = False

    def take(self) -> Entry | None:
        if not self.empty:
            for task in self._fresh:
                return Entry(task, 1)
        if self._retries:
            return self._retries.popleft()
        self.empty = True
        return None

    def retry(self, entry: Entry) -> None:
        self._retries.append(Entry(entry.task, entry.tries + 1))
        self.empty = False


class _Worker:
    """A worker process and the pipe to it."""

    entry: Entry

    def __init__(self, context: SpawnContext, work: Callable[[Any, int], object]) -> None:
        self.ready = False
        self.connection, theirs = context.Pipe()
        # Python terminates daemon processes when this process exits.
        self.process = context.Process(target=_serve, args=(theirs, work), name="vaezip", daemon=True)
        with _sigint_blocked():
            self.process.start()
        # The worker then holds the only copy of its end, so that its death reads as the end of the pipe.
        theirs.close()

    def begin(self, entry: Entry) -> None:
        self.entry = entry
        # If the worker is dead, answer() detects it.
        with suppress(OSError):
            self.connection.send(entry)

    def answer(self) -> Any:
        """Return the next message of the worker, or None if it has died.

        Raises WorkersUnavailable if it died before it was ready.
        """
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

    def exit_reason(self) -> str:
        """Return the signal or exit code that ended the process, such as "SIGKILL"."""
        code = self.process.exitcode
        return f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name

    def close(self) -> None:
        """Close the pipe, on which the worker exits, and wait for it."""
        self.connection.close()
        self.process.join(_JOIN_TIMEOUT_S)


def _terminate(workers: list[_Worker]) -> None:
    """Send SIGTERM to workers, so that they remove temporary files, and SIGKILL to those that do not exit."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_JOIN_TIMEOUT_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in processes that start in this block, from their first instruction on.

    Ctrl-C reaches every process of a terminal; only the parent handles it, and terminates the workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    # Starting the resource tracker unblocks the signal, so start it before the signal is blocked.
    ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Callable[[Any, int], object]) -> None:
    """Run tasks from the pipe until it closes: main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _unwind)
    # One core per worker; torch reads this when it is loaded.
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
