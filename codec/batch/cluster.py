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
    from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    Work: TypeAlias = Callable[[Task, int], Result]

# For each thread of the cluster: one at work, one that is on its way.
_AHEAD = 2
_ASK_AGAIN_S = 5


def connect(address: str, timeout_s: float = 10) -> Any:
    """Return a client of the scheduler at an address such as tcp://scheduler:8786.

    Raises UsageError, or OSError where nobody answers.
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
    """Yield results as they come; arguments as for run_pool, and a `distributed.Client`.

    When a worker dies, Dask begins its tasks again on others. A file that was at work at two such deaths
    is set aside; those that only waited beside it are not held to blame. Tasks are drawn as workers get
    free, and all that are out are cancelled when the iteration is left early.
    """
    from distributed import Event, as_completed

    run = uuid.uuid4().hex
    room = _Room(client)
    fresh = enumerate(tasks)
    out: dict[Any, tuple[int, Task]] = {}
    done = as_completed(loop=client.loop)

    def submit(number: int, task: Task) -> None:
        # A name of its own, for Dask returns the old result, even an error, for a key that it knows.
        key = f"vaezip-{uuid.uuid4().hex}"
        future = client.submit(_begin, work, _absolute(task), f"vaezip-{run}-{number}", key=key)
        out[future] = number, task
        done.add(future)

    def forget(number: int) -> None:
        for tries in range(1, MAX_TRIES + 1):
            Event(f"vaezip-{run}-{number}-{tries}", client=client).clear()

    killed: set[int] = set()
    try:
        for number, task in itertools.islice(fresh, room.now()):
            submit(number, task)
        for future in done:
            number, task = out.pop(future)
            if _is_lost(future) and number not in killed:
                killed.add(number)
                submit(number, task)
                continue
            result = _result(future, task)
            forget(number)
            for upcoming in itertools.islice(fresh, max(0, room.now() - len(out))):
                submit(*upcoming)
            yield result
    finally:
        client.cancel(list(out))


class _Room:
    """How many tasks a cluster should hold; it may grow and shrink meanwhile."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._asked = -math.inf
        self._room = 1

    def now(self) -> int:
        if time.monotonic() - self._asked > _ASK_AGAIN_S:
            self._room = max(1, _AHEAD * sum(self._client.nthreads().values()))
            self._asked = time.monotonic()
        return self._room


def _begin(work: Work, task: Task, name: str) -> Result:
    """Run on a worker: note that this file is begun, then do it. name: of the file in this run."""
    from distributed import Event

    tries = _count(name)
    if tries > MAX_TRIES:
        error = WorkerDied(f"{task.source}: ended its worker at {MAX_TRIES} tries; set aside")
        return failure(task, error, MAX_TRIES, Status.SET_ASIDE)
    result = work(task, tries)
    if tries == MAX_TRIES:
        # Dask does a task again whose result was lost with its worker; that is no fault of the file.
        Event(f"{name}-{tries}").clear()
    return result


def _count(name: str) -> int:
    """Return how often a file has been begun, this time counted in; the scheduler remembers it."""
    from distributed import Event

    for tries in range(1, MAX_TRIES + 1):
        begun = Event(f"{name}-{tries}")
        if not begun.is_set():
            begun.set()
            return tries
    return MAX_TRIES + 1


def _is_lost(future: Any) -> bool:
    """Tell a task that Dask gave up, its workers having died, from one that ended."""
    from distributed import KilledWorker

    return future.status in ("cancelled", "lost") or (
        future.status == "error" and isinstance(future.exception(), KilledWorker)
    )


def _result(future: Any, task: Task) -> Result:
    if future.status == "finished":
        result: Result = future.result()
        return dataclasses.replace(result, source=task.source, target=task.target)
    if _is_lost(future):
        error = WorkerDied(f"{task.source}: every worker that it was given to has died; set aside")
        return failure(task, error, MAX_TRIES, Status.SET_ASIDE)
    return failure(task, portable(future.exception()))


def _absolute(task: Task) -> Task:
    """Return a task that means the same in whatever folder a worker runs."""
    source, target = (
        name if local_path(name) is None else os.path.abspath(str(local_path(name)))
        for name in (task.source, task.target)
    )
    return dataclasses.replace(task, source=source, target=target)


class CompressBatch:
    """Compress one column of pictures into a column of .vae bytes.

    column: holds arrays uint8 [H, W, 3], in one array [N, H, W, 3] or one by one, or the bytes of
    picture files. output: name of the column that is added. quality, encoding: as for `Encoder`.
    on_error: "raise", or "null" to go on: then a bad row gets None, and its error stands in the column
    `<output>_error`. threads: of one picture; Ray gives an actor one core unless told otherwise.

        dataset = ray.data.read_images("s3://bucket/pictures")
        dataset.map_batches(CompressBatch, fn_constructor_kwargs={"quality": 60}, concurrency=8)

    The model is loaded when an actor makes its object, once. Needs no Ray itself.
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
        """Return the batch with the column added. Raises what `Encoder.encode` raises, unless "null"."""
        import numpy as np

        if self._column not in batch:
            raise UsageError(f"the batch has no column {self._column!r}, but {', '.join(batch)}")
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
