"""Batches on a Dask cluster (extra `batch`), and a callable for Ray Data's map_batches."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from codec.batch.task import Result, Status, Task, failure
from codec.encode.options import EncodeKeywords
from codec.errors import CodecError, UsageError
from codec.io.processes import MAX_TRIES, WorkerDied, portable
from codec.io.storage import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from numpy.typing import NDArray

    Work: TypeAlias = Callable[[Task, int], Result]

# Tasks submitted per thread of the cluster: one that runs and one that waits.
_TASKS_PER_THREAD = 2
_REFRESH_S = 5


def connect(address: str, timeout_s: float = 10) -> Any:
    """Return a client of the Dask scheduler at an address such as tcp://scheduler:8786.

    Raises UsageError without Dask or for a malformed address, OSError if nothing answers within `timeout_s`.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UsageError("a cluster needs Dask; install vaezip with its extra 'batch'") from None
    try:
        return Client(address, timeout=timeout_s, set_as_default=False)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{address}: {error}") from error


def run_cluster(work: Work, tasks: Iterable[Task], client: Any) -> Generator[Result]:
    """Run `work` on every task on a Dask cluster; yield results in the order of completion.

    work, tasks: as for `run_pool`. client: a `distributed.Client`. When a worker dies, Dask restarts its
    tasks on others. A file that was being compressed at two such deaths is set aside; files that only waited
    on the same worker are not counted. Tasks are drawn as workers become free, and submitted ones are
    cancelled when the iteration is left early.
    """
    from distributed import Event, as_completed

    run = uuid.uuid4().hex
    capacity = _Capacity(client)
    fresh = enumerate(tasks)
    submitted: dict[Any, tuple[int, Task]] = {}
    done = as_completed(loop=client.loop)

    def submit(number: int, task: Task) -> None:
        # A unique key: for a known one Dask returns the old result, even an error.
        key = f"vaezip-{uuid.uuid4().hex}"
        future = client.submit(_begin, work, _absolute(task), f"vaezip-{run}-{number}", key=key)
        submitted[future] = number, task
        done.add(future)

    def forget(number: int) -> None:
        for tries in range(1, MAX_TRIES + 1):
            Event(f"vaezip-{run}-{number}-{tries}", client=client).clear()

    killed: set[int] = set()
    try:
        for number, task in itertools.islice(fresh, capacity.now()):
            submit(number, task)
        for future in done:
            number, task = submitted.pop(future)
            if _is_lost(future) and number not in killed:
                killed.add(number)
                submit(number, task)
                continue
            result = _result(future, task)
            forget(number)
            for upcoming in itertools.islice(fresh, max(0, capacity.now() - len(submitted))):
                submit(*upcoming)
            yield result
    finally:
        client.cancel(list(submitted))


class _Capacity:
    """The number of tasks to keep submitted; follows a cluster that grows and shrinks."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._refreshed = -math.inf
        self._n_tasks = 1

    def now(self) -> int:
        """Return the capacity, at most _REFRESH_S old."""
        if time.monotonic() - self._refreshed > _REFRESH_S:
            self._n_tasks = max(1, _TASKS_PER_THREAD * sum(self._client.nthreads().values()))
            self._refreshed = time.monotonic()
        return self._n_tasks


def _begin(work: Work, task: Task, name: str) -> Result:
    """Record on the scheduler that a file is started, then run `work` on it. Called on a worker.

    name: unique name of the file in this run.
    """
    from distributed import Event

    tries = _count(name)
    if tries > MAX_TRIES:
        error = WorkerDied(f"{task.source}: its worker process died at {MAX_TRIES} tries; set aside")
        return failure(task, error, MAX_TRIES, Status.SET_ASIDE)
    result = work(task, tries)
    if tries == MAX_TRIES:
        # Dask repeats a task whose result was lost with its worker, which must not count as a death.
        Event(f"{name}-{tries}").clear()
    return result


def _count(name: str) -> int:
    """Return how often a file has been started, including this time, counted by events of the scheduler."""
    from distributed import Event

    for tries in range(1, MAX_TRIES + 1):
        begun = Event(f"{name}-{tries}")
        if not begun.is_set():
            begun.set()
            return tries
    return MAX_TRIES + 1


def _is_lost(future: Any) -> bool:
    """Return whether Dask gave up a task because its workers died."""
    from distributed import KilledWorker

    return future.status in ("cancelled", "lost") or (
        future.status == "error" and isinstance(future.exception(), KilledWorker)
    )


def _result(future: Any, task: Task) -> Result:
    """Return the result of a finished, failed or lost future, with the names of the original task."""
    if future.status == "finished":
        result: Result = future.result()
        return dataclasses.replace(result, source=task.source, target=task.target)
    if _is_lost(future):
        error = WorkerDied(f"{task.source}: every worker process that it was given to died; set aside")
        return failure(task, error, MAX_TRIES, Status.SET_ASIDE)
    return failure(task, portable(future.exception()))


def _absolute(task: Task) -> Task:
    """Return a task with absolute local paths: workers run in other folders."""
    source, target = (
        name if local_path(name) is None else os.path.abspath(str(local_path(name)))
        for name in (task.source, task.target)
    )
    return dataclasses.replace(task, source=source, target=target)


class CompressBatch:
    """Callable for Ray Data's map_batches that adds a column of .vae bytes to a column of pictures.

        dataset = ray.data.read_images("s3://bucket/pictures")
        dataset.map_batches(CompressBatch, fn_constructor_kwargs={"quality": 60}, concurrency=8)

    column: the pictures, as one array uint8 [N, H, W, 3], as arrays uint8 [H, W, 3], or as bytes of picture
    files. output: name of the new column. quality, encoding: as for `Encoder`.
    on_error: "raise"; or "null" to set a failed row to None and its message in the column `<output>_error`.
    threads: threads per picture; Ray assigns one core to an actor by default.
    The model is loaded once per actor, by the constructor. Does not import Ray.
    Raises UsageError for options outside their range and for a batch without the column.
    """

    def __init__(
        self,
        quality: float = 75,
        *,
        column: str = "image",
        output: str = "vae",
        on_error: str = "raise",
        threads: int = 1,
        **encoding: Unpack[EncodeKeywords],
    ) -> None:
        from codec.encode.encoder import Encoder

        if on_error not in ("raise", "null"):
            raise UsageError(f"on_error must be 'raise' or 'null', not {on_error!r}", field="on_error")
        self._column = column
        self._output = output
        self._on_error = on_error
        self._encoder = Encoder(quality, threads=threads, **encoding)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the batch with the new columns. Raises the errors of `Encoder.encode`, unless "null"."""
        import numpy as np

        if self._column not in batch:
            raise UsageError(f"the batch has no column {self._column!r}; its columns: {', '.join(batch)}")
        pictures = batch[self._column]
        coded = np.empty(len(pictures), object)
        errors = np.full(len(pictures), None, object)
        for index, picture in enumerate(pictures):
            try:
                coded[index] = self._encoder.encode(picture)
            except (CodecError, OSError) as error:
                if self._on_error == "raise":
                    raise
                errors[index] = f"{type(error).__name__}: {error}"
        extra = {f"{self._output}_error": errors} if self._on_error == "null" else {}
        return {**batch, self._output: coded, **extra}
