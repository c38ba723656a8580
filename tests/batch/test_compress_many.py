"""`compress_many`: outputs, refusals, and second runs over the same files."""

from __future__ import annotations

import json
import os
import sys
from typing import ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

import codec
from codec.batch import compress_many
from codec.batch.task import Status


def run(*arguments, **options):
    """Compress in this process; return the results by the file name of their source."""
    results = list(compress_many(*arguments, **{"jobs": 1, **options}))
    found = {str(result.source).rpartition("/")[2]: result for result in results}
    assert len(found) == len(results)
    return found


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_tree_is_mirrored_with_mtimes_and_bytes_of_the_encoder(tmp_path, pictures):
    folder = pictures("a.png", "sub/b.png")
    os.utime(folder / "sub" / "b.png", ns=(10**18, 10**18))
    (folder / "bad.png").write_bytes(b"junk")
    (folder / "notes.txt").write_bytes(b"no picture")
    results = run([folder], tmp_path / "out", quality=60)
    assert files(tmp_path / "out") == ["a.vae", "sub/b.vae"]
    assert {name: result.status for name, result in results.items()} == {
        "a.png": Status.DONE, "b.png": Status.DONE, "bad.png": Status.FAILED,
    }  # fmt: skip
    assert isinstance(results["bad.png"].error, codec.UnsupportedImage)
    assert (tmp_path / "out" / "sub" / "b.vae").stat().st_mtime_ns == 10**18
    expected = codec.Encoder(60, threads=1).encode(folder / "a.png")
    assert (tmp_path / "out" / "a.vae").read_bytes() == expected
    done = results["a.png"]
    assert (done.width, done.height, done.output_bytes) == (64, 64, len(expected))
    assert done.input_bytes == (folder / "a.png").stat().st_size


def test_processes_write_the_same_bytes_and_each_file_once(tmp_path, pictures):
    folder = pictures(*(f"{number}.png" for number in range(6)))
    (folder / "bad.png").write_bytes(b"junk")
    here = run([folder], tmp_path / "here")
    pool = run([folder], tmp_path / "pool", jobs=2, manifest=tmp_path / "m.jsonl")
    assert here.keys() == pool.keys()
    assert [type(r.error) for r in pool.values() if not r.ok] == [codec.UnsupportedImage]
    for number in range(6):
        assert (tmp_path / "pool" / f"{number}.vae").read_bytes() == (
            tmp_path / "here" / f"{number}.vae"
        ).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_bytes().splitlines()[1:]]
    assert sorted(line["file"] for line in lines) == sorted(result.source for result in pool.values())


def test_resumed_run_skips_done_files_and_recognises_its_outputs(tmp_path, pictures):
    folder = pictures("a.png", "b.png", "c.png", "d.png")
    out, manifest = tmp_path / "out", tmp_path / "m.jsonl"
    run([folder], out, manifest=manifest)
    before = {name: (out / name).stat().st_ino for name in files(out)}
    # b: killed between output and manifest line. c: an unrelated file. d: the picture has changed.
    lines = manifest.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b"b.png" not in line and b"c.png" not in line]
    manifest.write_bytes(b"".join(kept))
    (out / "c.vae").write_bytes(b"precious")
    Image.open(folder / "a.png").save(folder / "d.png")
    results = run([folder], out, manifest=manifest)
    assert {name: result.status for name, result in results.items()} == {
        "a.png": Status.SKIPPED, "b.png": Status.DONE, "c.png": Status.FAILED, "d.png": Status.DONE,
    }  # fmt: skip
    assert isinstance(results["c.png"].error, FileExistsError)
    assert (out / "c.vae").read_bytes() == b"precious"
    assert [(out / name).stat().st_ino == before[name] for name in ("a.vae", "b.vae", "d.vae")] == [
        True, True, False,
    ]  # fmt: skip
    assert (out / "d.vae").read_bytes() == (out / "a.vae").read_bytes()


def test_existing_outputs(tmp_path, pictures):
    folder = pictures("a.png")
    output = folder / "a.vae"
    output.write_bytes(b"old")
    assert isinstance(run([folder])["a.png"].error, FileExistsError)
    assert run([folder], skip_existing=True)["a.png"].status is Status.SKIPPED
    assert output.read_bytes() == b"old"
    assert run([folder], overwrite=True)["a.png"].status is Status.DONE
    assert codec.info(output).width == 64


def test_outputs_that_are_inputs_or_shared_are_refused(tmp_path, pictures):
    folder = pictures("a.png", "a.webp", "b.png")
    before = (folder / "b.png").read_bytes()
    os.link(folder / "b.png", tmp_path / "alias")
    results = list(
        compress_many(
            [folder / "a.png", folder / "a.webp", (folder / "b.png", tmp_path / "alias")],
            overwrite=True,
            jobs=1,
        )
    )
    errors = {os.path.basename(result.source): type(result.error) for result in results}
    assert errors == {"a.png": type(None), "a.webp": FileExistsError, "b.png": codec.UsageError}
    assert (folder / "b.png").read_bytes() == before


def test_sources_are_removed_only_when_their_output_decodes(tmp_path, pictures):
    folder = pictures("a.png", "b.png", "c.png")
    (folder / "bad.png").write_bytes(b"junk")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c.vae").write_bytes(b"taken")

    results = run([folder], tmp_path / "out", remove_sources=True)
    assert results["a.png"].verified
    assert files(folder) == ["bad.png", "c.png"]
    assert not results["c.png"].verified
    decoded = codec.decompress((tmp_path / "out" / "a.vae").read_bytes())
    assert decoded.size == (64, 64)


@pytest.mark.parametrize("jobs", [1, 2])
def test_source_with_a_conversion_warning_is_not_removed(tmp_path, pictures, jobs):
    """Any warning keeps the source: about frames, bit depth, colours or metadata."""
    folder = pictures("whole.png")
    face = Image.open(folder / "whole.png")
    face.save(folder / "frames.gif", save_all=True, append_images=[face.rotate(90)])
    face.convert("CMYK").save(folder / "cmyk.tif")
    Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    face.save(folder / "profile.png", icc_profile=b"no profile")
    results = run([folder], tmp_path / "out", remove_sources=True, jobs=jobs)
    assert files(folder) == ["cmyk.tif", "deep.png", "frames.gif", "profile.png"]
    for name, result in results.items():
        assert (result.status, result.verified) == (Status.DONE, True)
        if name == "whole.png":
            assert not result.warnings
        else:
            assert len(result.warnings) > 1
            assert "not removed" in result.warnings[-1]


def test_raw_file_that_starts_with_a_thumbnail_is_refused_and_kept(tmp_path, pictures):
    folder = pictures("face.png")
    with Image.open(folder / "face.png") as face:
        face.resize((16, 16)).save(folder / "raw.tif", tiffinfo={254: 1})
    result = run([folder / "raw.tif"], tmp_path / "out", remove_sources=True)["raw.tif"]
    assert result.status is Status.FAILED
    assert "thumbnail" in str(result.error)
    assert files(folder) == ["face.png", "raw.tif"]


def test_source_that_changes_while_it_is_compressed_is_kept(tmp_path, pictures, monkeypatch):
    from codec.batch import work

    folder = pictures("a.png")
    deliver = work._deliver

    def deliver_late(*arguments):
        deliver(*arguments)
        (folder / "a.png").write_bytes(b"a newer picture")

    monkeypatch.setattr(work, "_deliver", deliver_late)
    result = run([folder], remove_sources=True)["a.png"]
    assert result.verified
    assert "changed" in result.warnings[-1]
    assert (folder / "a.png").read_bytes() == b"a newer picture"


@pytest.mark.parametrize("damage", ["flip", "short"])
def test_source_is_kept_when_its_output_does_not_read_back(tmp_path, pictures, monkeypatch, damage):
    from codec.batch import work

    folder = pictures("a.png")
    deliver = work._deliver

    def deliver_damaged(options, task, data):
        deliver(options, task, data[:-1] if damage == "short" else data[:-1] + bytes([data[-1] ^ 1]))

    monkeypatch.setattr(work, "_deliver", deliver_damaged)
    result = run([folder], remove_sources=True)["a.png"]
    assert result.status is Status.FAILED
    assert "read back" in str(result.error)
    assert (folder / "a.png").exists()


def test_urls_of_memory_and_file(tmp_path, pictures):
    folder = pictures("a.png", "sub/b.png")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/many/in/a.png", (folder / "a.png").read_bytes())
    try:
        there = run(["memory://many/in/"], "memory://many/out")
        assert there["a.png"].status is Status.DONE
        expected = codec.Encoder(75, threads=1).encode(folder / "a.png")
        assert memory.cat_file("/many/out/a.vae") == expected
        twice = run(["memory://many/in/a.png"], "memory://many/out")
        assert isinstance(twice["a.png"].error, FileExistsError)
        again = run(["memory://many/in/"], "memory://many/out", manifest=tmp_path / "m.jsonl")
        assert again["a.png"].status is Status.DONE
        again = run(["memory://many/in/"], "memory://many/out", manifest=tmp_path / "m.jsonl")
        assert again["a.png"].status is Status.SKIPPED
        mixed = run([f"file://{folder}"], "memory://many/mixed")
        assert sorted(memory.find("/many/mixed")) == ["/many/mixed/a.vae", "/many/mixed/sub/b.vae"]
        assert mixed["b.png"].ok
        run([f"file://{folder}"], f"file://{tmp_path}/local")
        assert files(tmp_path / "local") == ["a.vae", "sub/b.vae"]
        assert (tmp_path / "local" / "a.vae").read_bytes() == expected
        with pytest.raises(codec.UsageError, match="local files"):
            run(["memory://many/in/"], "memory://many/new", remove_sources=True)
        missing = run(["memory://many/in/none.png"])["none.png"]
        assert isinstance(missing.error, FileNotFoundError)
    finally:
        memory.rm("/many", recursive=True)


class Flaky(MemoryFileSystem):
    """Storage that fails at the first read of each name, and at every read of some names."""

    protocol = "flaky"
    seen: ClassVar[set[str]] = set()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("flaky://", "memory://"))

    def _open(self, path, mode="rb", **options):
        if mode == "rb" and (path not in self.seen or "never" in path):
            self.seen.add(path)
            raise OSError(110, "timed out", path)
        return super()._open(path, mode, **options)


def test_failing_storage_is_tried_twice(pictures, monkeypatch):
    from codec.batch import work

    monkeypatch.setattr(work, "RETRY_AFTER_S", 0)
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    folder = pictures("a.png")
    data = (folder / "a.png").read_bytes()
    fsspec.filesystem("memory").pipe({"/retry/once.png": data, "/retry/never.png": data})
    results = run(["flaky://retry/once.png", "flaky://retry/never.png"], "flaky://retry/out")
    assert results["once.png"].status is Status.DONE
    assert results["once.png"].tries == 2
    assert results["never.png"].status is Status.FAILED
    assert results["never.png"].tries == 2
    assert results["never.png"].error.errno == 110


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    error = run([("s3://bucket/a.png", "a.vae")])["a.png"].error
    assert isinstance(error, codec.UsageError)
    assert "extra 'remote'" in str(error)


@pytest.mark.parametrize(
    "wrong", [{"quality": 101}, {"quality": float("nan")}, {"jobs": 0}, {"jobs": True}, {"jobs": 1.5}]
)
def test_options_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(codec.UsageError):
        run([tmp_path / "a.png"], **wrong)


def test_conversion_warnings_name_the_file(tmp_path):
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(tmp_path / "deep.png")
    assert any("16" in text for text in run([tmp_path / "deep.png"])["deep.png"].warnings)


class ForeignError(OSError):
    """An error like those of network libraries: unpickling it from its arguments fails."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} went away")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (codec.TruncatedData("short", field="tiles", offset=7), codec.TruncatedData, "short"),
        (FileNotFoundError(2, "No such file", "a.png"), FileNotFoundError, "No such file"),
        (ForeignError("host", 80), OSError, "host:80 went away"),
        (KeyError("x"), RuntimeError, "unexpected KeyError: 'x'"),
        (MemoryError(), MemoryError, ""),
    ],
)
def test_errors_reach_other_processes(error, kind, text):
    from multiprocessing.reduction import ForkingPickler

    from codec.io.processes import portable

    again = ForkingPickler.loads(ForkingPickler.dumps(portable(error)))
    assert type(again) is kind
    assert text in str(again)
    assert getattr(again, "offset", None) == getattr(error, "offset", None)


def test_limits_apply_and_can_be_raised_above_pillows(pictures, monkeypatch):
    folder = pictures("a.png")
    small = codec.Limits(max_pixels=64 * 64 - 1)
    assert isinstance(run([folder], limits=small)["a.png"].error, codec.LimitExceeded)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert isinstance(run([folder])["a.png"].error, codec.LimitExceeded)
    assert run([folder], limits=codec.Limits(max_pixels=64 * 64))["a.png"].status is Status.DONE
    assert Image.MAX_IMAGE_PIXELS == 100
