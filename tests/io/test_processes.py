"""Worker processes that die, hang or never start."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from codec.batch.task import Status, Task, set_aside
from codec.io.processes import WorkerDied, WorkersUnavailable, run_pool

WORK = """
import os, signal, sys, time
from codec.batch.task import Result, Status

if {stillborn!r} and os.getpid() != {pid}:
    sys.exit(3)

def work(task, tries):
    with open(task.target, "a") as log:
        log.write(f"{{task.source}} {{tries}}\\n")
    if task.source == "always" or (task.source == "once" and tries == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.source == "slow":
        try:
            time.sleep(60)
        finally:
            with open(task.target, "a") as log:
                log.write("unwound\\n")
    return Result(task.source, task.target, Status.DONE, tries=tries)
"""


@pytest.fixture
def work(tmp_path, monkeypatch, request):
    """A function that workers can import: it logs its tasks and kills its worker at some of them."""
    name = f"work_{request.node.originalname}"
    (tmp_path / f"{name}.py").write_text(WORK.format(stillborn=hasattr(request, "param"), pid=os.getpid()))
    monkeypatch.syspath_prepend(tmp_path)
    return __import__(name).work


def tasks(log, names):
    return [Task(name, str(log)) for name in names]


def test_task_that_kills_two_workers_is_set_aside(tmp_path, work):
    log = tmp_path / "log"
    names = ["a", "always", "b", "once", "c", "d", "e"]
    results = {result.source: result for result in run_pool(work, tasks(log, names), 2, set_aside)}
    assert set(results) == set(names)
    assert {name for name in names if results[name].status is Status.DONE} == set(names) - {"always"}
    poison = results["always"]
    assert poison.status is Status.SET_ASIDE
    assert poison.tries == 2
    assert isinstance(poison.error, WorkerDied)
    assert "always: its worker process died (SIGKILL) at 2 tries" in str(poison.error)
    assert results["once"].tries == 2
    begun = log.read_text().splitlines()
    assert sorted(begun) == sorted(
        ["a 1", "always 1", "always 2", "b 1", "once 1", "once 2", "c 1", "d 1", "e 1"]
    )


def test_closing_early_ends_workers_and_lets_them_clean_up(tmp_path, work):
    log = tmp_path / "log"
    results = run_pool(work, tasks(log, ["slow", "quick", "next"]), 2, set_aside)
    assert next(results).source == "quick"
    while "slow" not in log.read_text():
        time.sleep(0.01)
    results.close()
    assert "unwound\n" in log.read_text()
    assert not [child for child in multiprocessing.active_children() if child.name == "vaezip"]


def test_tasks_are_fetched_as_workers_become_free(tmp_path, work):
    drawn = []

    def endless():
        while True:
            drawn.append(Task(f"{len(drawn)}", str(tmp_path / "log")))
            yield drawn[-1]

    results = run_pool(work, endless(), 2, set_aside)
    assert len({next(results).source for _ in range(5)}) == 5
    results.close()
    assert len(drawn) <= 5 + 4


@pytest.mark.parametrize("work", [None], indirect=True)
def test_workers_that_do_not_start_are_not_blamed_on_files(tmp_path, work, capfd):
    with pytest.raises(WorkersUnavailable, match="__main__"):
        list(run_pool(work, tasks(tmp_path / "log", ["a", "b"]), 2, set_aside))


def test_no_tasks_start_no_workers(work):
    assert list(run_pool(work, [], 2, set_aside)) == []
