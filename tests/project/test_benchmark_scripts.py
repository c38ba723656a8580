"""Every script below benchmarks/ runs, with `SMALL=1` on one small picture, and writes its outputs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"

if not BENCHMARKS.is_dir():
    pytest.skip("run from a checkout", allow_module_level=True)

# Steps of benchmarks/run, and the outputs of each.
STEPS = {
    "rd report readme": (
        "crops.json",
        "crops.webp",
        "rd.json",
        "report.html",
        "rd_psnr_rgb.svg",
        "rd_ssimulacra2.svg",
    ),
    "speed": (
        "speed.json",
        "profile_after.json",
        "coldstart.json",
    ),
    "batch": ("batch.json",),
    "uses": ("uses.json", "uses/elbo.webp", "uses/digits.webp"),
    "effort": ("effort/effort.json", "effort/effort.svg", "effort/tuning.json"),
}
# Scripts that run alone: their arguments and their output; None if the output is what they print.
ALONE = {
    "content": (("{out}/content.json", "{out}/README.md", "{out}/docs/benchmarks.md"), "content.json"),
    "memory": (("0.05",), None),
    "resources": (("0.1",), None),
    "safety": (("{out}/safety", "{out}/docs/security.md"), "safety/bomb.json"),
    "studies.decoded_filters": (("{pictures}", "{out}/effort"), "effort/tuning.json"),
    "studies.empty_channels": (("{pictures}", "{out}/empty_channels.json"), "empty_channels.json"),
    "studies.gains": (("{out}/gains.json",), "gains.json"),
    "studies.precision": (("{pictures}", "{out}/precision.json"), "precision.json"),
    "studies.preview": (("{out}/preview.json", "{pictures}/small.png"), "preview.json"),
    "studies.range_coder": (("{out}/range_coder.json",), "range_coder.json"),
    "training.curve": (("{out}/curve.png",), "curve.png"),
    "training.slope": (("{pictures}",), None),
}
TRAINER = {
    "training.profile_step": (("{out}/profile.json",), "profile.json"),
    "training.on_gpu": (
        (
            *("{out}/tiles", "{out}/gpu", "--init", "{root}/codec/weights/undecayed.safetensors"),
            *("--no-compile", "--steps", "1", "--report", "1"),
            *("--batch", "11", "--crop", "192", "--scaled", "1", "--drawn", "1"),
        ),
        None,
    ),
}


def test_every_script_has_a_run():
    found = {
        ".".join(path.relative_to(BENCHMARKS).with_suffix("").parts)
        for path in BENCHMARKS.rglob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    text = (BENCHMARKS / "run").read_text(encoding="utf-8")
    by_run = set(re.findall(r"-m benchmarks\.([\w.]+)", text))
    assert by_run < found
    assert found - by_run == set(ALONE) | set(TRAINER)
    assert "-m pytest -q benchmarks/test_speed.py" in text
    assert set(" ".join(STEPS).split()) == set(re.findall(r"if wanted (\w+)", text))


def test_pages_list_every_script():
    for folder in (BENCHMARKS, BENCHMARKS / "studies"):
        text = (folder / "README.md").read_text(encoding="utf-8")
        scripts = {path.name for path in folder.glob("*.py")} - {"__init__.py", "conftest.py"}
        assert scripts <= set(re.findall(r"`(\w+\.py)`", text))


@pytest.fixture
def out(tmp_path, photo):
    """A folder with README, docs and the safety records except bomb.json, which is measured if missing."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "tiles").mkdir()
    Image.fromarray(photo(512, 512)).save(tmp_path / "tiles" / "tile.png")
    # SSIMULACRA2 refuses smaller pictures.
    Image.fromarray(photo(232, 232)).save(tmp_path / "pictures" / "small.png")
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(BENCHMARKS / "results" / codec.__version__ / "safety", tmp_path / "safety")
    (tmp_path / "safety" / "bomb.json").unlink()
    return tmp_path


def run(out: Path, command: list[str]) -> str:
    """Run a command on small inputs; return what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "SMALL": "1",
        "OUT": str(out),
        "README": str(out / "README.md"),
        "DOCS": str(out / "docs"),
        # Faster for small matrices, and less sensitive to other work on the machine.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    before = tracked()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert tracked() == before
    return done.stdout


def tracked() -> dict[Path, int]:
    """Return the modification times of README and of all files below benchmarks/ and docs/."""
    paths = [ROOT / "README.md", *BENCHMARKS.rglob("*"), *(ROOT / "docs").rglob("*")]
    return {p: p.stat().st_mtime_ns for p in paths if p.is_file() and "__pycache__" not in p.parts}


def check(path: Path) -> None:
    """Check that a record is not empty, or that a picture can be read."""
    if path.suffix == ".json":
        assert json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix in (".png", ".webp"):
        with Image.open(path) as picture:
            assert np.ptp(np.asarray(picture.convert("L"))) > 20
    else:
        assert "<" in path.read_text(encoding="utf-8")


@pytest.mark.benchmarks
@pytest.mark.parametrize("steps", STEPS)
def test_steps_of_the_run(steps, out):
    run(out, ["bash", str(BENCHMARKS / "run"), str(out / "pictures"), *steps.split()])
    for name in STEPS[steps]:
        check(out / name)
    if "rd" in steps.split():
        points = json.loads((out / "rd.json").read_text(encoding="utf-8"))["points"]
        assert all(point["ssimulacra2"] is not None for point in points)
        assert "on 1 pictures" in (out / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.benchmarks
@pytest.mark.parametrize("script", ALONE)
def test_scripts_that_run_alone(script, out):
    alone(script, *ALONE[script], out)


@pytest.mark.train
@pytest.mark.parametrize("script", TRAINER)
def test_scripts_of_the_trainer(script, out):
    pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")
    alone(script, *TRAINER[script], out)


def alone(script: str, arguments: tuple[str, ...], left: str | None, out: Path) -> None:
    told = [text.format(out=out, pictures=out / "pictures", root=ROOT) for text in arguments]
    printed = run(out, [sys.executable, "-m", f"benchmarks.{script}", *told])
    if left is None:
        assert re.search(r"\d\.\d", printed)
    else:
        check(out / left)


@pytest.mark.benchmarks
def test_stale_hook_is_reported(out):
    """A stage is stale if none of its functions is called: the codec no longer uses them."""
    code = (
        "import sys; from benchmarks import profile_stages\n"
        "profile_stages.STAGES['coder'] = ['codec.entropy.coder:TileDecoder.finish']\n"
        "profile_stages.STAGES['mean context'] = ['codec.decode.salvage:salvage']\n"
        "profile_stages.main(profile_stages.Path(sys.argv[1]), before=False)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SMALL": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(out / "p.json")], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("so their hooks are stale: mean context")
    assert not (out / "p.json").exists()
