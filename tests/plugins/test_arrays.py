"""Chunks of numcodecs and zarr, members of webdataset's shards, workers of torch's DataLoader."""

from __future__ import annotations

import gc
import io
import tarfile
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import codec
from codec.plugins.webdataset import PictureHandler

NEEDS = "needs {}: pip install '.[dev]'"


@pytest.fixture
def vaezip():
    pytest.importorskip("numcodecs", reason=NEEDS.format("numcodecs"))
    from codec.plugins.numcodecs import Vaezip

    return Vaezip


def test_config_makes_the_same_codec(vaezip):
    import numcodecs

    made = vaezip(quality=40, lossless=True)
    assert made.get_config() == {"id": "vaezip", "quality": 40, "lossless": True, "effort": 0}
    assert numcodecs.get_codec(made.get_config()) == made


def test_entry_point_names_the_class(vaezip):
    try:
        version("vaezip")
    except PackageNotFoundError:
        pytest.skip("run from a checkout without an install")
    (found,) = [e for e in entry_points(group="numcodecs.codecs") if e.name == "vaezip"]
    assert found.load() is vaezip


@pytest.mark.parametrize("shape", [(40, 60, 3), (40, 60), (1, 40, 60, 3), (1, 1, 40, 60), (1, 60), (1, 1, 3)])
def test_chunks(vaezip, photo, shape):
    samples = photo(60, 40)
    chunk = np.ascontiguousarray(np.resize(samples if 3 in shape else samples[:, :, 1], shape))
    exact = vaezip(lossless=True)
    assert np.array_equal(np.reshape(exact.decode(exact.encode(chunk)), shape), chunk)
    out = np.zeros(shape, np.uint8)
    exact.decode(exact.encode(chunk), out=out)
    assert np.array_equal(out, chunk)


def test_other_chunks_are_refused(vaezip):
    for chunk, what in (
        (np.zeros((8, 8, 4), np.uint8), "shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), "shape"),
        (np.zeros(8, np.uint8), "shape"),
        (np.zeros((8, 8), np.uint16), "uint16"),
    ):
        with pytest.raises(codec.UnsupportedImage, match=what):
            vaezip().encode(chunk)


def test_zarr_array(vaezip, photo, tmp_path):
    zarr = pytest.importorskip("zarr", reason=NEEDS.format("zarr"))
    picture = photo(150, 100)
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=picture.shape,
        chunks=(64, 64, 3),
        dtype="uint8",
        zarr_format=2,
        compressors=vaezip(quality=85),
    )
    array[:] = picture
    again = zarr.open_array(tmp_path / "a.zarr", mode="r")[:]
    assert again.shape == picture.shape
    assert np.abs(again.astype(int) - picture).mean() < 4
    stored = sum(f.stat().st_size for f in (tmp_path / "a.zarr").rglob("*") if f.is_file())
    assert stored < picture.nbytes / 3
    assert codec.info(tmp_path / "a.zarr" / "0.0.0").width == 64


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its shards to the collector
def test_webdataset(photo, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason=NEEDS.format("webdataset"))
    shard = tmp_path / "a.tar"
    files = [codec.compress(Image.fromarray(photo(40 + i, 30))) for i in range(4)]
    with tarfile.open(shard, "w") as tar:
        for i, file in enumerate(files):
            for name, content in ((f"{i}.vae", file), (f"{i}.cls", str(i).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    samples = webdataset.WebDataset(str(shard), shardshuffle=False).decode(PictureHandler("rgb8"))
    found = list(samples.to_tuple("vae", "cls"))
    assert [cls for _, cls in found] == [0, 1, 2, 3]
    del samples
    gc.collect()
    for (array, _), file in zip(found, files, strict=True):
        assert np.array_equal(array, np.asarray(codec.decompress(file)))


def test_handler_leaves_other_members_alone(photo):
    assert PictureHandler()("seg.png", b"") is None
    gray = codec.compress(Image.fromarray(photo(20, 10)).convert("L"))
    assert PictureHandler()("left.vae", gray).mode == "L"
    assert PictureHandler("rgb8")("VAE", gray).shape == (10, 20, 3)
    with pytest.raises(codec.UsageError, match="kind"):
        PictureHandler("float")


class Files(torch.utils.data.Dataset):
    """The recipe of docs/guide/pipelines.md."""

    def __init__(self, files):
        self.files, self.decoder = files, codec.Decoder(threads=1)

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return torch.from_numpy(self.decoder.decode_array(self.files[index])).permute(2, 0, 1)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(photo, context, monkeypatch):
    # Workers that are spawned import this module by its name.
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    files = [codec.compress(photo(48, 32)) for _ in range(6)]
    codec.decompress(files[0])  # torch is in use before the workers start
    loader = torch.utils.data.DataLoader(
        Files(files), batch_size=3, num_workers=2, multiprocessing_context=context, timeout=60
    )
    batches = list(loader)
    assert [tuple(batch.shape) for batch in batches] == [(3, 3, 32, 48)] * 2
    assert np.array_equal(batches[1][2].permute(1, 2, 0).numpy(), np.asarray(codec.decompress(files[5])))
