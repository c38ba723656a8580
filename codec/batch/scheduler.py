"""Compress many files: select those to do, run them on workers, record results in a manifest."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import deque
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from codec.batch.manifest import Manifest
from codec.batch.task import Result, RunOptions, Task, failure, set_aside
from codec.batch.work import attempt
from codec.encode.options import EncodeKeywords, EncodeOptions
from codec.errors import CodecError, UsageError
from codec.io.files import writes_through
from codec.io.mapping import Claims, expand, is_picture, target_of
from codec.io.processes import run_pool
from codec.io.storage import local_path, stamp
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.index import default_model_id, model_entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from codec.batch.work import Bar

    Path: TypeAlias = str | os.PathLike[str]


def compress_many(
    items: Iterable[Path | tuple[Path, Path]],
    output: Path | None = None,
    *,
    quality: float = 75,
    overwrite: bool = False,
    skip_existing: bool = False,
    remove_sources: bool = False,
    manifest: Path | None = None,
    retry: bool = False,
    jobs: int | None = None,
    client: Any = None,
    limits: Limits = DEFAULT_LIMITS,
    **encoding: Unpack[EncodeKeywords],
) -> Iterator[Result]:
    """Compress pictures into .vae files; yield a `Result` for each when it ends.

    Work starts when the first result is requested.

    items: files, folders or patterns, as paths or fsspec URLs; or pairs (picture, .vae file).
    output: folder for the .vae files, in which the trees of folders and patterns are mirrored. Default: next
        to the pictures.
    quality, encoding: as for `Encoder`.
    overwrite: replace existing outputs. skip_existing: keep them.
    remove_sources: remove a local picture after its output was read back and decoded, unless there were
        warnings about it or the picture has changed since it was read.
    manifest: file to record results in, and to resume from. retry: try files again that the manifest records
        as set aside.
    jobs: worker processes, default one per core; 1 works in this process.
    client: a Dask `distributed.Client`, to work on its cluster instead. All machines must see the files under
        the same names.
    limits: limits on the pictures.

    A file that fails yields a Result with its `error`, and the others continue. So does a folder that cannot
    be listed or has no pictures, a pattern without a match, and a pipe or device in a folder. A file whose
    worker process dies twice is set aside. Outputs do not depend on `jobs` or `client`, and are written
    completely or not at all.
    Raises UsageError for options outside their range or a manifest of other options, WorkersUnavailable.
    """
    tasks = list(_plan(items, None if output is None else os.fspath(output)))
    options = RunOptions(
        EncodeOptions.of(quality, **encoding),
        overwrite=overwrite,
        skip_existing=skip_existing,
        limits=limits,
    )
    yield from process(
        tasks,
        options,
        jobs=jobs,
        client=client,
        manifest=manifest,
        retry=retry,
        remove_sources=remove_sources,
    )


def process(
    tasks: Sequence[Task],
    options: RunOptions,
    *,
    jobs: int | None = None,
    client: Any = None,
    manifest: Path | None = None,
    retry: bool = False,
    remove_sources: bool = False,
    bar: Bar | None = None,
) -> Generator[Result]:
    """Compress the files of `tasks`; arguments and results as for `compress_many`.

    bar: as in `compress_file`; used only for files compressed in this process.
    """
    _check(tasks, jobs, remove_sources=remove_sources)
    if retry and manifest is None:
        raise UsageError(
            "--retry repeats files that a manifest records as set aside; add --manifest", field="retry"
        )
    journal = None if manifest is None else Manifest(manifest, options, retry=retry)
    options = dataclasses.replace(
        options, adopt=options.adopt or journal is not None, verify=options.verify or remove_sources
    )
    claims = Claims(task.source for task in tasks)
    settled: deque[Result] = deque()
    todo = _todo(tasks, claims, journal, settled)
    with journal or nullcontext(), closing(_run(options, todo, jobs, client, bar)) as results:
        for result in results:
            yield from _drain(settled)
            if journal is not None:
                journal.add(result)
            if remove_sources and result.verified:
                if journal is not None:
                    journal.sync()
                result = _remove(result)
            yield result
        yield from _drain(settled)


def core_count() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def _plan(items: Iterable[Path | tuple[Path, Path]], output: str | None) -> Iterator[Task]:
    """Yield the tasks of `items`, with folders and patterns expanded."""
    for item in items:
        if isinstance(item, tuple):
            source, target = item
            yield Task(os.fspath(source), os.fspath(target))
        else:
            for found in expand(os.fspath(item), is_picture):
                target = "" if found.error is not None else target_of(found, output, ".vae")
                yield Task(found.name, target, mirrored=output is not None, error=found.error)


def _check(tasks: Sequence[Task], jobs: int | None, *, remove_sources: bool) -> None:
    """Check once what would fail for every file. Raises UsageError, or WeightsError without a model."""
    model_entry(default_model_id())
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"jobs must be a whole number above 0, not {jobs!r}", field="jobs")
    if remove_sources:
        for task in tasks:
            if local_path(task.source) is None:
                raise UsageError(f"{task.source}: only local files can be removed", field="remove_sources")
            path = local_path(task.target)
            if path is not None and writes_through(path):
                raise UsageError(
                    f"{task.source}: cannot be removed, as its output {task.target} cannot be read back",
                    field="remove_sources",
                )


def _todo(
    tasks: Sequence[Task], claims: Claims, journal: Manifest | None, settled: deque[Result]
) -> Iterator[Task]:
    """Yield the tasks to compress; append the results of all others to `settled`."""
    for task in tasks:
        try:
            if task.error is not None:
                raise task.error
            claims.claim(task.source, task.target)
        except (CodecError, OSError) as error:
            settled.append(failure(task, error))
            continue
        earlier = None if journal is None else journal.earlier(task)
        if earlier is not None:
            settled.append(earlier)
        else:
            yield dataclasses.replace(task, replace=journal is not None and journal.wrote_output(task))


def _run(
    options: RunOptions, todo: Iterator[Task], jobs: int | None, client: Any, bar: Bar | None
) -> Generator[Result]:
    """Compress files on a cluster, in this process or in a pool of processes; yield their results."""
    if client is not None:
        from codec.batch.cluster import run_cluster

        return run_cluster(functools.partial(attempt, options), todo, client)
    if jobs == 1:
        return (attempt(options, task, bar=bar) for task in todo)
    return run_pool(functools.partial(attempt, options), todo, jobs or core_count(), set_aside)


def _drain(settled: deque[Result]) -> Iterator[Result]:
    while settled:
        yield settled.popleft()


def _remove(result: Result) -> Result:
    """Remove the source of a verified output, unless it has changed since it was read.

    A source with warnings is kept: they mean that the output lacks a part of it.
    """
    if result.warnings:
        return _with_warning(result, "is not removed: its output lacks a part of it")
    path = local_path(result.source)
    try:
        if path is None or stamp(result.source) != result.stamp:
            return _with_warning(result, "is not removed: it has changed since it was read")
        os.unlink(path)
    except OSError as error:
        return _with_warning(result, f"cannot be removed: {error.strerror}")
    return result


def _with_warning(result: Result, text: str) -> Result:
    return dataclasses.replace(result, warnings=(*result.warnings, text))
