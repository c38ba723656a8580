"""From a run of two ranks to weights that the codec loads, by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

import codec
from codec.bitstream.rate_index import RATE_POINTS
from codec.entropy.detail_context import DetailTables
from codec.entropy.steps import step_of
from codec.errors import TrainingError
from codec.inference.folding import scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import ScaleNetwork, known_residuals
from codec.inference.torch_backend import TorchRunner
from codec.model.config import ModelConfig
from codec.train.calibrate import TOP
from codec.train.export import averaged_model, known_input, scale_arrays
from codec.train.model import TrainModel

pytestmark = pytest.mark.train


def vaezip(*arguments, **settings):
    # One thread, as in conftest: on a busy machine, two waited for each other for more than a minute.
    here = {"PYTHONPATH": str(Path(codec.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **here, **settings}
    command = [sys.executable, "-m", "codec", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def trained(picture_folder, tiny_sizes, tmp_path_factory):
    """The folder of an exported run of two ranks; checks that no temporary files remain."""
    folder, temporary = tmp_path_factory.mktemp("ranks") / "run", tmp_path_factory.mktemp("temporary")
    done = vaezip(
        "train", "run", "--images", picture_folder, "--out", folder, "--steps", 4, "--procs", 2,
        "--crop", 64, "--final-crop", 64, "--model", json.dumps(tiny_sizes), TMPDIR=str(temporary),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []
    done = vaezip("train", "export", folder, "--name", "tiny", "--detail-pictures", 1)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_ranks_and_export(trained):
    record = json.loads((trained / "run.json").read_text())
    assert (record["ranks"], record["step"]) == (2, 4)
    assert record["pixels"] == 2 * 4 * RATE_POINTS * 64**2
    index = json.loads((trained / "export" / "index.json").read_text())
    entry = index["models"][index["default"]]
    assert entry["name"] == "tiny"
    assert (trained / "export" / entry["file"]).is_file()
    # The weights must not contain paths or names of this machine.
    assert str(trained) not in json.dumps(index)
    assert str(trained.parent) not in json.dumps(index)
    assert not list((trained / "export").glob("*.part"))


def test_exported_weights_code_pictures(trained, chelsea_path, chelsea, tmp_path):
    settings = {"VAEZIP_MODEL_DIR": str(trained / "export")}
    done = vaezip("compress", chelsea_path, "-o", tmp_path / "cat.vae", "-q", 80, **settings)
    assert done.returncode == 0, done.stderr
    done = vaezip("decompress", tmp_path / "cat.vae", "-o", tmp_path / "cat.npy.png", **settings)
    assert done.returncode == 0, done.stderr
    from PIL import Image

    with Image.open(tmp_path / "cat.npy.png") as picture:
        error = np.square(np.asarray(picture).astype(float) - chelsea).mean()
    # The networks alone, of 64 channels and after four steps, reach 27 dB; the detail layer adds to that.
    assert 10 * np.log10(255**2 / error) > 36
    assert codec.info(tmp_path / "cat.vae").lossless_tiles == 0
    index = json.loads((trained / "export" / "index.json").read_text())
    assert codec.info(tmp_path / "cat.vae").model_id == index["default"]


def test_exported_weights_have_a_detail_layer(trained):
    index = json.loads((trained / "export" / "index.json").read_text())
    entry = index["models"][index["default"]]
    with safe_open(trained / "export" / entry["file"], "np") as weights:
        config = json.loads(weights.metadata()["config"])
        arrays = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    assert (config["detail_from"], config["detail_base"]) == (2560, 2560)
    DetailTables.from_arrays(arrays)
    assert entry["calibration"] == [[0, 0], [100, TOP]]


def test_without_run(tmp_path):
    with pytest.raises(TrainingError, match="not a training run"):
        averaged_model(tmp_path)


def test_bad_options_are_one_line(picture_folder, tmp_path):
    arguments = ["train", "run", "--images", picture_folder, "--out", tmp_path / "run"]
    for bad in (["--crop", 100], ["--batch", 3], ["--model", '{"nonsense": 1}'], ["--model", "{"]):
        done = vaezip(*arguments, *bad)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def randomised(scale, seed, config):
    model = TrainModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.scale.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model


@pytest.mark.parametrize("z_stride", [32, 64])
@pytest.mark.parametrize("scale", [0.02, 0.5, 100.0])
def test_exported_integers_match_training(scale, z_stride):
    config = ModelConfig(c8=8, c16=8, m=12, h=6, hyper=8, z_stride=z_stride)
    model = randomised(scale, z_stride, config)
    arrays = scale_arrays(model)
    layers = config.scale_layers, config.context_layers
    runner = TorchRunner(Architecture(config, *layers), scale_weights(*layers, arrays))
    frozen = ScaleNetwork(*layers, config.z_stride, arrays, runner)
    frozen.verify(arrays["scale.kat_z"], int(arrays["scale.kat_crc"][0]))
    z = known_input(config.h, 512 // z_stride)[:, -5:, :4]
    rate_indices = [0, 255, 1664, 2560]
    with torch.no_grad():
        batch = torch.from_numpy(z.astype(np.float32)).repeat(4, 1, 1, 1)
        start = model.scale.start(batch, torch.tensor([q / 256 for q in rate_indices]))
        for step in range(4):
            r = known_residuals(*start[1].shape[1:])
            known = np.where(step_of(*r.shape) < step, r, np.int16(0))
            trained = model.scale(step, start, torch.from_numpy(known.astype(np.float32)).repeat(4, 1, 1, 1))
            for rate_index, index in zip(rate_indices, trained.numpy(), strict=True):
                here = np.where(step_of(*r.shape) == step, index, 0)
                assert np.array_equal(frozen.scale_index(step, frozen.start(z), known, rate_index), here)
                assert here.any() or scale < 0.1


def test_integers_outside_int16_are_refused():
    """A single weight may satisfy the bound of the sums and still be too large for int16."""
    config = ModelConfig(c8=8, c16=8, m=12, h=6, hyper=8)
    model = randomised(0.02, 0, config)
    with torch.no_grad():
        model.scale.layers[1].weight[0] = 0
        model.scale.layers[1].weight[0, 0, 0, 0] = 40_000 / 2**9
    with pytest.raises(TrainingError, match=r"scale\.1"):
        scale_arrays(model)


def test_known_input_reaches_the_extremes():
    z = known_input(48, 16)
    assert z.shape == (48, 16, 16)
    assert (z.min(), z.max()) == (-127, 127)
    assert (z[:, -1] == -127).all()
    assert (z[:, -2] == 127).all()
    assert np.abs(z[:, :8]).max() == 2
