"""The codec in numcodecs and zarr chunks, webdataset shards and torch DataLoader workers."""

from __future__ import annotations

import gc
import io
import itertools
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
        (np.zeros((8, 8, 5), np.uint8), "shape"),
        (np.zeros((2, 8, 8, 3), np.uint8), "shape"),
        (np.zeros(8, np.uint8), "shape"),
        (np.zeros((8, 8, 0), np.uint8), "shape"),
        *((np.zeros((8, 8), kind), kind) for kind in ("uint16", "int8", "float32", "complex64")),
        (np.zeros((8, 8), "datetime64[s]"), "datetime64"),
        (np.zeros((8, 8), [("r", "u1")]), "r"),
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


CHUNKS = [(24, 32), (24, 32, 1), (24, 32, 2), (24, 32, 3), (24, 32, 4), (1, 24, 32, 3), (1, 24, 32), (1, 32)]


@pytest.fixture(scope="module")
def volume():
    """Return a function (shape, dtype) -> samples that include zeros in every channel."""

    def make(shape, dtype):
        samples = np.random.default_rng(5).integers(-80, 256, shape).clip(0).astype(np.uint8)
        return samples > 99 if dtype == "bool" else samples

    return make


def in_memory(array):
    """Yield the same array in several memory layouts: in each order of its axes, and strided."""
    for axes in itertools.permutations(range(array.ndim)):
        yield np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))
    yield np.flip(np.flip(array).copy())
    yield np.repeat(array, 2, axis=0)[::2]


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
@pytest.mark.parametrize("shape", CHUNKS)
def test_memory_order_is_kept(vaezip, volume, shape, dtype):
    """The samples read back equal the chunk's, by index and in memory order."""
    samples = volume(shape, dtype)
    exact = vaezip(lossless=True)
    for chunk in in_memory(samples):
        back = exact.decode(exact.encode(chunk))
        assert back.dtype == chunk.dtype
        assert np.array_equal(back.reshape(shape), samples), chunk.strides  # as zarr 3 does
        if not chunk.flags.forc:
            continue
        order = "C" if chunk.flags.c_contiguous else "F"
        flat = back.reshape(-1, order="A")  # as zarr 2 does
        assert np.array_equal(flat.reshape(shape, order=order), samples), chunk.strides
        out = np.zeros(shape, dtype, order=order)
        exact.decode(exact.encode(chunk), out=out)
        assert np.array_equal(out, samples), chunk.strides


def test_chunks_in_c_order_have_no_overhead(vaezip, photo):
    chunk = photo(48, 32)
    assert vaezip().encode(chunk) == codec.compress(Image.fromarray(chunk))
    assert (
        codec.decompress(vaezip(lossless=True).encode(np.asfortranarray(chunk))).tobytes() == chunk.tobytes()
    )


def test_lossy_masks_stay_masks(vaezip, photo):
    mask = photo(64, 48)[..., 0] > 120
    for chunk in (mask, np.asfortranarray(mask)):
        back = vaezip(quality=50).decode(vaezip(quality=50).encode(chunk))
        assert back.dtype == bool
        assert set(np.unique(back.view(np.uint8))) <= {0, 1}
        assert (back != mask).mean() < 0.02


ARRAYS = [
    ((50, 70), (32, 32)),
    ((50, 70, 2), (32, 32, 2)),
    ((50, 70, 3), (32, 32, 3)),
    ((50, 70, 4), (32, 32, 4)),
    ((2, 40, 30, 3), (1, 40, 30, 3)),
]


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("shape", "chunks"), ARRAYS)
def test_zarr_2_reads_back_what_was_written(vaezip, volume, shape, chunks, order, dtype):
    zarr = pytest.importorskip("zarr", reason=NEEDS.format("zarr"))
    samples = volume(shape, dtype)
    stored, plain = (
        zarr.create_array(
            {}, shape=shape, chunks=chunks, dtype=dtype, order=order, zarr_format=2, compressors=compressor
        )
        for compressor in (vaezip(lossless=True), None)
    )
    for array in (stored, plain):
        array[:] = samples
        array[3:17, 5:20] = np.asfortranarray(samples[20:34, 9:24]) if len(shape) < 4 else 7
    assert np.array_equal(stored[:], plain[:])
    assert np.array_equal(stored[1:9, 4:9], plain[1:9, 4:9])


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("shape", "chunks"), ARRAYS)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
def test_zarr_3_reads_back_what_was_written(vaezip, volume, shape, chunks, order, dtype):
    """Through the adapter by which zarr 3 uses a codec of numcodecs as an array's serializer."""
    pytest.importorskip("zarr", reason=NEEDS.format("zarr"))
    adapters = pytest.importorskip("zarr.codecs.numcodecs", reason="needs zarr 3.1")
    import zarr
    from zarr.codecs import TransposeCodec

    class Adapter(adapters.PCodec, codec_name="vaezip"):
        pass

    # The same rows, columns and channels, in an array with reversed axes.
    turned = tuple(range(len(shape)))[::-1]
    samples = volume(shape, dtype)
    for turn in (False, True):
        stored, plain = (
            zarr.create_array(
                {},
                shape=shape[::-1] if turn else shape,
                chunks=chunks[::-1] if turn else chunks,
                dtype=dtype,
                zarr_format=3,
                config={"order": order},
                serializer=serializer,
                compressors=None,
                filters=[TransposeCodec(order=turned)] if turn else None,
            )
            for serializer in (Adapter(lossless=True), "auto")
        )
        for array in (stored, plain):
            array[:] = samples.transpose(turned) if turn else np.asfortranarray(samples)
        assert np.array_equal(stored[:], plain[:])


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset does not close its shards
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
    # Spawned workers import this module by its name.
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    files = [codec.compress(photo(48, 32)) for _ in range(6)]
    codec.decompress(files[0])  # torch is in use before the workers start
    loader = torch.utils.data.DataLoader(
        Files(files), batch_size=3, num_workers=2, multiprocessing_context=context, timeout=60
    )
    batches = list(loader)
    assert [tuple(batch.shape) for batch in batches] == [(3, 3, 32, 48)] * 2
    assert np.array_equal(batches[1][2].permute(1, 2, 0).numpy(), np.asarray(codec.decompress(files[5])))
