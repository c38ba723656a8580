"""The training loop of one rank, on a model with steps of milliseconds."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

from codec.bitstream.rate_index import RATE_POINTS
from codec.errors import TrainingError
from codec.train.calibrate import evaluate
from codec.train.checkpoint import load_parameters, read_tensors
from codec.train.loop import MAX_BAD_STEPS, Run, run
from codec.train.loss import lmbda_of

pytestmark = pytest.mark.train


def state_of(state):
    """Return the trained state of a run by name: parameters, averages and moments."""
    named = dict(state.model.named_parameters())
    tensors = {f"model.{k}": v.detach() for k, v in named.items()}
    tensors |= {f"average.{k}": v for k, v in state.average.values.items()}
    for name, parameter in named.items():
        tensors |= {f"adamw.{k}.{name}": v for k, v in state.optimiser.state[parameter].items()}
    return {k: v.clone() for k, v in tensors.items()}


def state_of_parameters(state):
    return torch.cat([p.detach().flatten() for p in state.model.parameters()])


def cost_of(model, picture):
    """Return the rate-distortion cost of real symbols, as in training, summed over three rate points."""
    rates = [0.0, 5.0, 10.0]
    points = evaluate(model, picture, rates)
    lmbda = lmbda_of(model.config, torch.tensor(rates)).tolist()
    pairs = zip(points, lmbda, strict=True)
    return sum((p.bpp + weight * 65025 * 10 ** (-p.psnr / 10)) / weight**0.5 for p, weight in pairs)


def test_overfits_one_picture(options):
    state = Run(options(steps=60, learning_rate=0.03))
    picture = state.crops.pictures(state.crops.train)[:, :, :128, :128]
    before = cost_of(state.model, picture)
    losses = [state.train_step()[2] for _ in range(50)]
    after = cost_of(state.model, picture)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert after < 0.9 * before


def test_perceptual_share_changes_the_result(options, tmp_path):
    parameters = []
    for share in (0.0, 0.5):
        out = str(tmp_path / f"{share}")
        state = Run(options(out=out, crop=192, final_crop=192, perceptual_share=share))
        for _ in range(2):
            state.train_step()
        assert state.bad_steps == 0
        parameters.append(state_of_parameters(state))
    assert torch.isfinite(parameters[1]).all()
    assert not torch.equal(*parameters)


def test_every_parameter_is_trained(options):
    state = Run(options())
    with torch.no_grad():
        # Initially all hyper-latents round to 0, and weights that multiply them have no gradient yet.
        state.model.network.h_a.leave.bias.copy_(torch.linspace(-9, 9, 8))
        # The same holds for the scale context, which has no effect at first.
        for context in state.model.scale.context:
            context[-1].weight.normal_(0, 0.1)
    start = {k: v.detach().clone() for k, v in state.model.named_parameters()}
    for _ in range(6):
        state.train_step()
    still = {k for k, v in state.model.named_parameters() if torch.equal(v, start[k])}
    # Quantiles belong to compressai's own tables, which are not used.
    assert still == {"density.quantiles"}
    assert all(torch.isfinite(v).all() for v in state.model.parameters())


def test_resuming_is_exact(options, tmp_path):
    """Three steps, a checkpoint and four more steps equal seven steps, the last of them in the decay."""
    straight = Run(options(out=str(tmp_path / "straight")))
    for _ in range(7):
        straight.train_step()
    first = Run(options(out=str(tmp_path / "halves")))
    for _ in range(3):
        first.train_step()
    first.save()
    torch.manual_seed(99)
    second = Run(options(out=str(tmp_path / "halves")))
    assert (second.step, second.pixels) == (3, first.pixels)
    for _ in range(4):
        second.train_step()
    expected, found = state_of(straight), state_of(second)
    assert found.keys() == expected.keys()
    assert [k for k in expected if not torch.equal(expected[k], found[k])] == []
    assert second.meta() == straight.meta()


def test_another_seed_is_another_run(options, tmp_path):
    parameters = []
    for seed in (1, 1, 2):
        state = Run(options(out=str(tmp_path / f"{len(parameters)}"), seed=seed))
        state.train_step()
        parameters.append(state_of_parameters(state))
    assert torch.equal(parameters[0], parameters[1])
    assert not torch.equal(parameters[0], parameters[2])


@pytest.mark.parametrize("where", ["inverse_gain", "gain"])
def test_steps_without_finite_gradient_change_nothing(options, where):
    state = Run(options())
    state.train_step()
    with torch.no_grad():
        # A gain that overflows float32 makes every gradient infinite or NaN.
        getattr(state.model.network, where)[:, 3] = 200
    before = state_of(state)
    for count in range(1, MAX_BAD_STEPS):
        state.train_step()
        assert (state.bad_steps, state.step) == (count, count + 1)
    after = state_of(state)
    assert [k for k in before if not torch.equal(before[k], after[k])] == []
    with pytest.raises(TrainingError, match="learning rate"):
        state.train_step()


def test_run_continues_after_one_bad_step(options):
    state = Run(options())
    with torch.no_grad():
        kept = state.model.network.inverse_gain.clone()
        state.model.network.inverse_gain[:, 3] = 200
    state.train_step()
    assert state.bad_steps == 1
    with torch.no_grad():
        state.model.network.inverse_gain.copy_(kept)
    before = state_of_parameters(state)
    state.train_step()
    assert state.bad_steps == 0
    assert not torch.equal(state_of_parameters(state), before)


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_excessive_learning_rate_ends_or_stays_finite(options, rate):
    state = Run(options(learning_rate=rate, steps=100))
    try:
        for _ in range(30):
            state.train_step()
    except TrainingError:
        pass
    assert torch.isfinite(state_of_parameters(state)).all()
    assert all(torch.isfinite(v).all() for v in state.average.values.values())


def test_complete_run_writes_its_record(options, picture_folder):
    settings = options(images=str(picture_folder), steps=8, crop=32, final_crop=64)
    run(settings)
    record = json.loads((settings.run / "run.json").read_text())
    assert record["step"] == 8
    assert record["pixels"] == RATE_POINTS * (7 * 32**2 + 64**2)
    assert [p["rate"] for p in record["held_out"]] == list(range(RATE_POINTS))
    bpp = [p["bpp"] for p in record["held_out"]]
    assert bpp == sorted(bpp)
    assert all(15 < p["psnr"] < 60 for p in record["held_out"])
    # A finished run that is started again changes nothing.
    checkpoint = read_tensors(settings.run / "checkpoint.safetensors")[0]
    run(settings)
    again = read_tensors(settings.run / "checkpoint.safetensors")[0]
    assert all(torch.equal(checkpoint[k], again[k]) for k in checkpoint)


def test_undecayed_weights_can_be_continued_from(options, picture_folder, tmp_path):
    settings = options(images=str(picture_folder), steps=8, crop=32, final_crop=32)
    run(settings)
    path = settings.run / "undecayed.safetensors"
    stored, meta = read_tensors(path)
    assert meta["step"] == 7
    other = Run(options(images=str(picture_folder), out=str(tmp_path / "next"), init=str(path), seed=4))
    assert other.step == 0
    for name, parameter in other.model.named_parameters():
        assert torch.equal(parameter.detach(), stored[name].float())


def test_resuming_within_the_decay_keeps_the_undecayed_weights(options, picture_folder):
    settings = options(images=str(picture_folder), steps=20, crop=32, final_crop=32, learning_rate=0.1)
    state = Run(settings)
    for _ in range(18):
        state.train_step()
    state.save_undecayed(settings.run / "undecayed.safetensors")
    state.train_step()
    state.save()
    stored = (settings.run / "undecayed.safetensors").read_bytes()
    run(settings)
    assert (settings.run / "undecayed.safetensors").read_bytes() == stored


def test_weights_of_another_size_are_refused(options, tmp_path, tiny_sizes):
    state = Run(options())
    path = state.options.run / "start.safetensors"
    state.save_undecayed(path)
    with pytest.raises(TrainingError, match="shape"):
        Run(options(out=str(tmp_path / "next"), init=str(path), model={**tiny_sizes, "h": 4}))
    path.write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="start"):
        Run(options(out=str(tmp_path / "next"), init=str(path)))
    with pytest.raises(TrainingError, match="missing"):
        load_parameters(state.model, {}, "", path)
