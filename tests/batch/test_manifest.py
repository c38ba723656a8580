"""The manifest: what is recorded, and what a later run reads from it."""

from __future__ import annotations

import json
import os

import pytest

from codec.batch.manifest import Manifest
from codec.batch.task import Result, RunOptions, Status, Task, failure
from codec.encode.options import EncodeOptions
from codec.errors import UsageError
from codec.io.processes import WorkerDied
from codec.io.storage import stamp
from codec.model.index import default_model_id


@pytest.fixture
def done(tmp_path):
    """Return a function that makes a task and its result, with matching files on disk."""

    def make(name):
        source, target = tmp_path / f"{name}.png", tmp_path / f"{name}.vae"
        source.write_bytes(b"picture")
        target.write_bytes(b"coded")
        task = Task(str(source), str(target))
        result = Result(task.source, task.target, Status.DONE, 2, 3, 7, 5, stamp=stamp(task.source))
        return task, result

    return make


def test_done_files_are_skipped_until_source_or_output_changes(tmp_path, done):
    path = tmp_path / "m.jsonl"
    (first, first_result), (second, second_result) = done("first"), done("second")
    with Manifest(path, RunOptions()) as manifest:
        assert manifest.earlier(first) is None
        manifest.add(first_result)
        manifest.add(second_result)
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert entries[0]["vaezip_manifest"] == 1
    assert [entry["file"] for entry in entries[1:]] == [first.source, second.source]
    with Manifest(path, RunOptions()) as manifest:
        assert manifest.earlier(first).status is Status.SKIPPED
        os.utime(first.source, ns=(1, 1))
        assert manifest.earlier(first) is None
        assert manifest.wrote_output(first)
        os.unlink(second.source)
        assert manifest.earlier(second).status is Status.SKIPPED
        os.unlink(second.target)
        assert manifest.earlier(second) is None
        assert not manifest.wrote_output(second)


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_truncated_line_is_dropped_and_the_rest_is_kept(tmp_path, done, keep):
    path = tmp_path / "m.jsonl"
    (first, first_result), (second, second_result) = done("first"), done("second")
    with Manifest(path, RunOptions()) as manifest:
        manifest.add(first_result)
        before = path.stat().st_size
        manifest.add(second_result)
    os.truncate(path, before + keep)
    with Manifest(path, RunOptions()) as manifest:
        assert manifest.earlier(first).status is Status.SKIPPED
        assert manifest.earlier(second) is None
        manifest.add(second_result)
    assert [json.loads(line).get("file") for line in path.read_bytes().splitlines()] == [
        None, first.source, second.source,
    ]  # fmt: skip


def test_killed_before_the_first_line_was_complete(tmp_path, done):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"vaezip_mani')
    task, result = done("a")
    with Manifest(path, RunOptions()) as manifest:
        manifest.add(result)
    with Manifest(path, RunOptions()) as manifest:
        assert manifest.earlier(task).status is Status.SKIPPED


def test_files_set_aside_are_skipped_without_retry(tmp_path, done):
    path = tmp_path / "m.jsonl"
    task, _ = done("poison")
    failed, _ = done("failed")
    with Manifest(path, RunOptions()) as manifest:
        manifest.add(failure(task, WorkerDied("died"), 2, Status.SET_ASIDE))
        manifest.add(failure(failed, OSError(5, "went away"), 2))
    with Manifest(path, RunOptions()) as manifest:
        again = manifest.earlier(task)
        assert again.status is Status.SET_ASIDE
        assert "--retry" in str(again.error)
        assert manifest.earlier(failed) is None
    with Manifest(path, RunOptions(), retry=True) as manifest:
        assert manifest.earlier(task) is None


@pytest.mark.parametrize(
    "change", [{"quality": 50}, {"lossless": True}, {"strip": True}, {"seconds": 5}, {"roi": "1,2,3,4"}]
)
def test_other_settings_are_refused(tmp_path, change):
    path = tmp_path / "m.jsonl"
    with Manifest(path, RunOptions()):
        pass
    with (
        pytest.raises(UsageError, match="other settings"),
        Manifest(path, RunOptions(EncodeOptions.of(**change))),
    ):
        pass


PLAIN = {"quality": 75.0, "lossless": False, "strip": False, "effort": 0, "tune": "psnr"}


@pytest.mark.parametrize(
    ("settings", "keywords"),
    [
        ({}, {}),
        (
            {"quality": 40.0, "lossless": True, "strip": True},
            {"quality": 40, "lossless": True, "strip": True},
        ),
        ({"effort": 3, "tune": "visual", "seconds": 5}, {"effort": 3, "tune": "visual", "seconds": 5.0}),
        ({"seconds": 60}, {}),
        ({"roi": ["1,2,3,4", "m.png:-3"]}, {"roi": ("1,2,3,4:+30", "m.png:-3")}),
        ({"target_size": 50000}, {"target_size": "50kB"}),
        ({"target_ssim": 0.98}, {"target_ssim": 0.98}),
    ],
)
def test_settings_of_an_earlier_release_are_recognised(tmp_path, settings, keywords):
    path = tmp_path / "m.jsonl"
    stored = {**PLAIN, **settings, "model": default_model_id().hex()}
    first = json.dumps({"vaezip_manifest": 1, "settings": stored}) + "\n"
    path.write_text(first)
    with Manifest(path, RunOptions(EncodeOptions.of(**keywords))):
        pass
    assert path.read_text() == first
    with (
        pytest.raises(UsageError, match="other settings"),
        Manifest(path, RunOptions(EncodeOptions(33))),
    ):
        pass


@pytest.mark.parametrize(
    "settings",
    [None, [], {**PLAIN, "model": "00000000"}, {**PLAIN, "sharpen": 1}, {**PLAIN, "roi": 5}, {"effort": 99}],
)
def test_unknown_settings_are_refused(tmp_path, settings):
    path = tmp_path / "m.jsonl"
    if isinstance(settings, dict):
        settings = {"model": default_model_id().hex(), **settings}
    path.write_text(json.dumps({"vaezip_manifest": 1, "settings": settings}) + "\n")
    with pytest.raises(UsageError, match="other settings"), Manifest(path, RunOptions()):
        pass


def test_run_with_regions_resumes(tmp_path, done):
    path = tmp_path / "m.jsonl"
    task, result = done("a")
    options = RunOptions(EncodeOptions.of(roi=("10,20,30,40", "5,6,7,8:-12.5"), target_size="4kB"))
    with Manifest(path, options) as manifest:
        manifest.add(result)
    with Manifest(path, options) as manifest:
        assert manifest.earlier(task).status is Status.SKIPPED


@pytest.mark.parametrize("content", [b"dear diary\nend\n", b"dear diary\nend", b"dear diary", b"{}"])
def test_files_that_are_no_manifest_are_refused_and_kept(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no manifest"), Manifest(path, RunOptions()):
        pass
    assert path.read_bytes() == content


def test_two_runs_cannot_share_a_manifest(tmp_path):
    path = tmp_path / "m.jsonl"
    with (
        Manifest(path, RunOptions()),
        pytest.raises(UsageError, match="another run is using"),
        Manifest(path, RunOptions()),
    ):
        pass
