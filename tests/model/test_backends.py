"""torch and onnxruntime: identical symbols, samples within one level, and each works without the other."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import codec
from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.tile_payloads import LosslessTile
from codec.decode.decoder import Decoder
from codec.decode.symbols import decode_symbols
from codec.encode.encoder import Encoder
from codec.errors import BackendMismatch, BackendMissing, UsageError, WeightsError
from codec.inference.backends import VARIABLE, choose_backend
from codec.inference.weights import (
    architecture,
    build,
    folded_weights,
    load_model,
    onnx_runner,
    read_verified,
    torch_runner,
)
from codec.model.index import INDEX, default_model_id, model_entry, weights_folder

BACKENDS = ("torch", "onnx")


@pytest.fixture(scope="module")
def pictures(photo):
    """Pictures with odd sides, with several tiles of which one is flat and so lossless, of a single pixel."""
    mixed = photo(530, 600)
    mixed[:512, :512] = 200
    noise = np.random.default_rng(0).integers(0, 2, (64, 40, 3), np.uint8) * np.uint8(255)
    return {"odd": photo(203, 77), "mixed": mixed, "noise": noise, "one": photo(1, 1)}


@pytest.fixture(scope="module")
def made(pictures):
    """For each backend and picture: the file, its symbols, and the samples of torch's file."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for backend in BACKENDS:
            patch.setenv(VARIABLE, backend)
            encoder, decoder = Encoder(60, threads=2), Decoder(threads=2)
            for name, picture in pictures.items():
                data = encoder.encode(picture)
                reference = found.get(("torch", name), (data,))[0]
                samples = np.asarray(decoder.decode(reference)).astype(int)
                small = np.asarray(decoder.decode(reference, scale=8)).astype(int)
                found[backend, name] = data, symbols(reference), samples, small
    return found


def symbols(data):
    container = parse_container(data)
    header = container.header
    model = load_model(header.model_id)
    tiles = tile_grid(header.width, header.height, header.tile_size)
    return [
        decode_symbols(model, tile, payload, header.rate_index)
        for tile, payload in zip(tiles, container.tiles, strict=True)
        if not isinstance(payload, LosslessTile)
    ]


def test_variable_selects_the_backend(monkeypatch):
    names = set()
    for backend in BACKENDS:
        monkeypatch.setenv(VARIABLE, backend)
        names.add(load_model(default_model_id()).runner.name)
    assert names == set(BACKENDS)


@pytest.mark.parametrize("name", ["odd", "mixed", "noise", "one"])
def test_same_symbols_and_samples_to_one_level(made, name):
    (_, first, samples, small), (_, second, others, smalls) = (made[b, name] for b in BACKENDS)
    for a, b in zip(first, second, strict=True):
        assert a.lift == b.lift
        for part in ("z", "r", "scale_index"):
            assert np.array_equal(getattr(a, part), getattr(b, part))
    for a, b in ((samples, others), (small, smalls)):
        assert np.abs(a - b).max() <= 1
        assert np.count_nonzero(a - b) <= max(1, 1e-3 * a.size)


def test_pictures_include_a_lossless_tile(made):
    kinds = {type(tile) for tile in parse_container(made["torch", "mixed"][0]).tiles}
    assert LosslessTile in kinds
    assert len(kinds) == 2


@pytest.mark.parametrize("name", ["odd", "mixed", "noise", "one"])
def test_backends_read_each_others_files(made, monkeypatch, name):
    monkeypatch.setenv(VARIABLE, "torch")
    again = np.asarray(Decoder(threads=2).decode(made["onnx", name][0])).astype(int)
    # Where a residual lies near a rounding threshold, files may differ, and pictures by a quantiser step.
    assert np.abs(again - made["torch", name][2]).mean() < 0.05


def child(code, *, without, **settings):
    """Run code in a process in which some packages cannot be imported."""
    prelude = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {without!r}: self.gone(name)\n"
        "    def gone(self, name):\n"
        "        raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    environment = {**os.environ, VARIABLE: "", "PYTHONPATH": str(Path(codec.__file__).parents[1]), **settings}
    return subprocess.run(
        [sys.executable, "-c", prelude + code], env=environment, capture_output=True, text=True, timeout=120
    )


def test_without_torch(made, tmp_path, chelsea_path):
    """The command works in both directions; features that need torch raise an error that says so."""
    (tmp_path / "in.vae").write_bytes(made["torch", "mixed"][0])
    coded, again = str(tmp_path / "in.vae"), str(tmp_path / "a.png")
    code = (
        "from codec.cli.main import main\n"
        f"print(main(['decompress', '-Q', {coded!r}, '-o', {again!r}]))\n"
        f"print(main(['compress', '-Q', {str(chelsea_path)!r}, '-o', {str(tmp_path / 'b.vae')!r}]))\n"
        f"print(main(['impute', {str(chelsea_path)!r}, '--mask', {str(chelsea_path)!r}, '-o', 'no.png']))\n"
        "print('torch' in sys.modules)\n"
    )
    done = child(code, without=["torch"])
    assert done.stdout.split() == ["0", "0", "6", "False"], done.stdout + done.stderr
    assert "pip install 'vaezip[torch]'" in done.stderr
    assert "Traceback" not in done.stderr
    from PIL import Image

    with Image.open(tmp_path / "a.png") as picture:
        assert np.abs(np.asarray(picture).astype(int) - made["torch", "mixed"][2]).max() <= 1
    assert symbols((tmp_path / "b.vae").read_bytes())


def test_without_onnxruntime(chelsea_path, tmp_path):
    code = (
        "import codec\n"
        f"codec.compress({str(chelsea_path)!r})\n"
        "print('torch' in sys.modules, 'onnxruntime' in sys.modules)\n"
    )
    done = child(code, without=["onnxruntime"])
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_without_either(chelsea_path, tmp_path):
    code = (
        "from codec.cli.main import main\n"
        f"print(main(['compress', {str(chelsea_path)!r}, '-o', {str(tmp_path / 'b.vae')!r}]))\n"
    )
    done = child(code, without=["torch", "onnxruntime"])
    assert done.stdout.split() == ["6"], done.stderr
    assert "pip install onnxruntime" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "b.vae").exists()


def test_other_names_are_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "jax")
    with pytest.raises(UsageError, match=r"torch or onnx.*jax"):
        choose_backend()


def test_known_answer_is_checked_with_onnxruntime():
    entry = model_entry(default_model_id())
    arrays, meta = read_verified(entry)
    assert build(entry.model_id, arrays, meta, onnx_runner(entry)).runner.name == "onnx"
    changed = dict(arrays) | {"scale.1.weight": arrays["scale.1.weight"] // 2}
    with pytest.raises(BackendMismatch, match="onnx"):
        build(entry.model_id, changed, meta, onnx_runner(entry))


@pytest.mark.parametrize("fault", ["flipped", "missing", "not exported"])
def test_graphs_are_checked(tmp_path, monkeypatch, fault):
    entry = model_entry(default_model_id())
    name = entry.graphs[0]
    stored = json.loads((weights_folder() / INDEX).read_text(encoding="utf-8"))
    if fault == "not exported":
        del stored["models"][entry.model_id.hex()]["graphs"]
    (tmp_path / INDEX).write_text(json.dumps(stored), encoding="utf-8")
    if fault == "flipped":
        data = bytearray((weights_folder() / name).read_bytes())
        data[1000] ^= 1
        (tmp_path / name).write_bytes(data)
    monkeypatch.setenv("VAEZIP_MODEL_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match="VAEZIP_BACKEND" if fault == "not exported" else name):
        onnx_runner(model_entry(default_model_id()))


def test_shipped_graphs_match_the_code():
    """If this fails, `vaezip train graphs codec/weights` rewrites them."""
    pytest.importorskip("onnx", reason="needs onnx: pip install 'vaezip[dev]'")
    from codec.inference.onnx_export import export_graphs

    entry = model_entry(default_model_id())
    arrays, meta = read_verified(entry)
    arch = architecture(meta)
    made = export_graphs(arch, folded_weights(arch, arrays))
    assert hashlib.sha256(made).hexdigest() == entry.graphs[1]


@pytest.mark.parametrize("make", [Encoder, Decoder])
def test_missing_devices_are_refused(make, made, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    data = made["torch", "one"][0]
    with pytest.raises(UsageError, match="device"):
        make(device="nonsense").decode(data)


def test_onnxruntime_stays_on_the_cpu(monkeypatch):
    monkeypatch.setenv(VARIABLE, "onnx")
    with pytest.raises(UsageError, match="CPU"):
        choose_backend("cuda")


def test_gpu(made, pictures):
    """The symbols equal those of the CPU; samples differ by at most one level."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
    decoder = Decoder(device="cuda")
    for name in pictures:
        samples = np.asarray(decoder.decode(made["torch", name][0])).astype(int)
        assert np.abs(samples - made["torch", name][2]).max() <= 1
        again = np.asarray(Decoder().decode(Encoder(60, device="cuda").encode(pictures[name]))).astype(int)
        assert np.abs(again - made["torch", name][2]).mean() < 0.1


def test_gpus_compute_in_full_precision():
    """TF32, cuDNN's default for convolutions, would change samples; the process's own setting is restored."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    kinds = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
            if "conv" in str(function):
                seen.append([kind.fp32_precision for kind in kinds])
            return function(*args, **(kwargs or {}))

    arrays, meta = read_verified(model_entry(default_model_id()))
    arch = architecture(meta)
    runner = torch_runner(arch, folded_weights(arch, arrays), "meta")
    before = [kind.fp32_precision for kind in kinds]

    def watched(side):
        # Tensors of the meta device have no values to copy to the CPU.
        with Watch(), pytest.raises(NotImplementedError, match="meta"):
            runner.run("hyper_analysis", {"y": np.zeros((1, arch.config.m, side, side), np.float32)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(watched, range(1, 30)))
    assert len(seen) >= 29
    assert all(found == ["ieee", "ieee"] for found in seen)
    assert [kind.fp32_precision for kind in kinds] == before


def test_missing_backend_is_a_codec_error():
    assert issubclass(BackendMissing, codec.CodecError)
