"""Batches on a Dask cluster, with workers that die."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter

import pytest

import codec
from codec.batch import compress_many
from codec.batch.cluster import connect, run_cluster
from codec.batch.task import Result, Status, Task
from codec.io.processes import WorkerDied

cloudpickle = pytest.importorskip("cloudpickle", reason="needs the extra 'batch'")
distributed = pytest.importorskip("distributed", reason="needs the extra 'batch'")

# Dask leaves sockets to the garbage collector when a worker dies.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def started(n_workers, folder):
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(folder),
        memory_limit=0,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with started(2, tmp_path_factory.mktemp("dask")) as made:
        yield made


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as connected:
        yield connected


def test_command_runs_on_a_cluster(tmp_path, pictures, cluster, monkeypatch, capfd):
    from codec.cli.main import main

    folder = pictures("a.png", "b.png")
    monkeypatch.chdir(tmp_path)
    address = cluster.scheduler_address
    assert main(["batch", "--cluster", address, "pictures", "-o", "out", "--json", "-Q"]) == 0
    out = capfd.readouterr().out
    assert sorted(json.loads(line)["file"] for line in out.splitlines()) == [
        "pictures/a.png",
        "pictures/b.png",
    ]
    expected = codec.Encoder(75, threads=1).encode(folder / "b.png")
    assert (tmp_path / "out" / "b.vae").read_bytes() == expected
    assert main(["batch", "--cluster", address, "-j", "2", "pictures"]) == 2
    assert main(["batch", "--cluster", "nonsense://x", "pictures"]) == 2


def test_killed_worker_loses_no_file(tmp_path, pictures, client):
    names = [f"{number:02}.png" for number in range(16)]
    folder = pictures(*names)
    (folder / "bad.png").write_bytes(b"junk")
    manifest = tmp_path / "m.jsonl"
    results: list[Result] = []
    for result in compress_many([folder], tmp_path / "cluster", client=client, manifest=manifest):
        results.append(result)
        if len(results) == 4:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert Counter(result.status for result in results) == {Status.DONE: 16, Status.FAILED: 1}
    assert [type(r.error) for r in results if not r.ok] == [codec.UnsupportedImage]
    lines = [json.loads(line) for line in manifest.read_bytes().splitlines()[1:]]
    assert Counter(line["file"] for line in lines) == Counter(str(path) for path in folder.iterdir())

    # Local processes accept the same manifest and write the same bytes.
    again = list(compress_many([folder], tmp_path / "cluster", jobs=1, manifest=manifest))
    assert Counter(result.status for result in again) == {Status.SKIPPED: 16, Status.FAILED: 1}
    list(compress_many([folder], tmp_path / "local", jobs=1))
    for name in names:
        output = name.replace(".png", ".vae")
        assert (tmp_path / "cluster" / output).read_bytes() == (tmp_path / "local" / output).read_bytes()


def deadly(task: Task, tries: int) -> Result:
    """Kill the worker for some files."""
    with open(task.target, "a") as log:
        log.write(f"{os.path.basename(task.source)} {tries}\n")
    if "poison" in task.source:
        os.kill(os.getpid(), signal.SIGKILL)
    return Result(task.source, task.target, Status.DONE, tries=tries)


def test_file_that_ends_two_workers_is_set_aside(tmp_path):
    # A worker cannot import this test module.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    log = str(tmp_path / "log")
    names = ["a", "poison", "b", "c", "d"]
    tasks = [Task(name, log) for name in names]
    # Four, so that two remain even if Dask does not replace those that die.
    with started(4, tmp_path / "dask") as wide, distributed.Client(wide, set_as_default=False) as client:
        results = {r.source: r for r in run_cluster(deadly, tasks, client)}
    assert {name: result.status for name, result in results.items()} == {
        "a": Status.DONE, "poison": Status.SET_ASIDE, "b": Status.DONE, "c": Status.DONE, "d": Status.DONE,
    }  # fmt: skip
    assert isinstance(results["poison"].error, WorkerDied)
    begun = (tmp_path / "log").read_text().splitlines()
    # Dask repeats files whose results were lost with a worker.
    assert [line for line in begun if "poison" in line] == ["poison 1", "poison 2"]


def test_unreachable_scheduler_is_an_error():
    with pytest.raises(OSError, match="connect"):
        connect("tcp://127.0.0.1:9", timeout_s=0.5)
