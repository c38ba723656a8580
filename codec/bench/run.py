"""Run codecs on a folder of pictures in parallel, and resume interrupted runs."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from codec.bench.codecs import BenchCodec, MissingCodec, find_codec, read_pixels
from codec.bench.metrics import measure
from codec.bench.results import CodecFacts, Key, Picture, Point, Results, machine, versions
from codec.errors import BenchmarkError, CodecError
from codec.image.load import RgbArray

# Interval at which results are saved during a run.
SAVE_SECONDS = 10.0


@dataclass(frozen=True)
class Task:
    """One point to measure. n_bytes: size found by an earlier run, None for a new point."""

    key: Key
    path: Path
    metrics: tuple[str, ...]
    n_bytes: int | None


@dataclass
class Outcome:
    """Messages of a run: files and codecs left out, and failed points."""

    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def find_pictures(folder: Path, outcome: Outcome) -> dict[str, tuple[Path, Picture]]:
    """Return the pictures directly in a folder by SHA-256, sorted by name.

    outcome: gets the names of files that are left out. Raises OSError, and BenchmarkError if there are none.
    """
    found: dict[str, tuple[Path, Picture]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != "."):
        try:
            height, width = read_pixels(path).shape[:2]
        except CodecError as error:
            outcome.left_out.append(str(error))
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 in found:
            outcome.left_out.append(f"{path}: the same picture as {found[sha256][0].name}")
            continue
        found[sha256] = path, Picture(sha256, path.name, width, height)
    if not found:
        raise BenchmarkError(f"{folder}: no picture that can be read; name another folder")
    return found


def usable_codecs(names: Sequence[str], outcome: Outcome) -> dict[str, tuple[BenchCodec, CodecFacts]]:
    """Return the named codecs that are installed; outcome gets the names of the others."""
    found = {}
    for name in names:
        row = find_codec(name)
        try:
            found[name] = row, CodecFacts(row.label, row.version(), row.settings)
        except MissingCodec as error:
            outcome.left_out.append(f"{name}: {error}")
    return found


def run(
    results: Results,
    folder: Path,
    codecs: Sequence[str],
    metrics: Sequence[str],
    *,
    jobs: int = 1,
    fresh: bool = False,
    save: Callable[[], None] = lambda: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Measure the points of codecs on the pictures of a folder that are missing in `results`, and add them.

    metrics: names of the metrics of every point. jobs: processes, each on one core; numbers never depend on
    it. fresh: measure existing points of the codecs again. save: called every SAVE_SECONDS and at the end,
    even after an exception. progress: called with the number of points done and of all. A point that fails is
    named in the outcome. Raises BenchmarkError if the results are of other pictures.
    """
    outcome = Outcome()
    pictures = find_pictures(folder, outcome)
    others = [old.name for sha256, old in results.pictures.items() if sha256 not in pictures]
    if others:
        raise BenchmarkError(
            f"the results are of other pictures ({others[0]}, ...); choose another file with -o"
        )
    results.pictures = {sha256: picture for sha256, (_, picture) in pictures.items()}
    chosen = usable_codecs(codecs, outcome)
    for name, (_, facts) in chosen.items():
        if results.use(name, facts) or fresh:
            results.points = {key: point for key, point in results.points.items() if key[0] != name}
    tasks = list(_missing(results, pictures, chosen, tuple(metrics)))
    if tasks:
        results.versions = versions()
        if machine() not in results.machines:
            results.machines.append(machine())
    saved = time.monotonic()
    progress(0, len(tasks))
    try:
        for done, (task, point) in enumerate(_points(tasks, jobs), 1):
            if isinstance(point, Point):
                known = results.points.setdefault(task.key, Point(point.n_bytes))
                known.metrics.update(point.metrics)
            else:
                outcome.failed.append(f"{task.key[0]} at {task.key[1]}: {task.path}: {point}")
            progress(done, len(tasks))
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    finally:
        save()
    return outcome


def _missing(
    results: Results,
    pictures: dict[str, tuple[Path, Picture]],
    codecs: dict[str, tuple[BenchCodec, CodecFacts]],
    metrics: tuple[str, ...],
) -> Iterator[Task]:
    """Yield the points to measure, picture by picture, so that a process rarely reads a picture twice."""
    for sha256, (path, _) in pictures.items():
        for name, (row, _) in codecs.items():
            for quality in row.qualities:
                key = name, quality, sha256
                point = results.points.get(key)
                wanted = tuple(metric for metric in metrics if point is None or metric not in point.metrics)
                if wanted:
                    yield Task(key, path, wanted, point.n_bytes if point else None)


def _points(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Point | str]]:
    """Yield every task with its point, or with the reason for its failure."""
    if jobs == 1:
        threads = torch.get_num_threads()
        _start_process()
        try:
            for task in tasks:
                yield task, _do(task)
        finally:
            torch.set_num_threads(threads)
        return
    # Not fork: a forked process can hang if torch has run in its parent.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_process) as pool:
        futures: dict[Future[Point | str], Task] = {pool.submit(_do, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    torch.set_num_threads(1)
    with suppress(ModuleNotFoundError):
        find_codec("jxl").version()  # registers the format in this process


@functools.lru_cache(maxsize=2)
def _picture(path: Path) -> RgbArray:
    pixels = read_pixels(path)
    pixels.flags.writeable = False
    return pixels


def _do(task: Task) -> Point | str:
    """Measure one point; return it, or the reason for its failure."""
    name, quality, _ = task.key
    row = find_codec(name)
    try:
        pixels = _picture(task.path)
        data = row.encode(pixels, quality)
        decoded = row.decode(data)
    except (CodecError, OSError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    if decoded.shape != pixels.shape:
        return f"the decoded shape is {list(decoded.shape)}, not {list(pixels.shape)}"
    if task.n_bytes not in (None, len(data)):
        return f"{len(data)} bytes, in an earlier run {task.n_bytes}; measure it again with --fresh"
    return Point(len(data), measure(pixels, decoded, task.metrics))
