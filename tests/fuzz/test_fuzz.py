"""Mutated inputs give a result or a CodecError: no other exception, no signal, no hang, bounded memory.

tests/fuzz/run.py runs the same for any number of inputs, and tests/fuzz/guided.py lets atheris choose them;
benchmarks/results holds the records of long runs. Inputs that once failed are kept in
tests/fuzz/corpus/TARGET, inputs that atheris chose in chosen.zip; both are replayed here.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chosen import chosen
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import CHEAP, NAMES

HERE = Path(__file__).parent
RUN = HERE / "run.py"
INPUTS = ["--cheap", "19000", "--full", "1500"]
MEBIBYTES = 128


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of all targets, run in two halves at a time, because starting processes takes most time."""
    folder = tmp_path_factory.mktemp("fuzz")

    def run(names):
        out = folder / f"{names[0]}.json"
        command = [sys.executable, str(RUN), *INPUTS, "--out", str(out), *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())["targets"]

    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(run, (NAMES[::2], NAMES[1::2])))
    assert {*halves[0], *halves[1]} == set(NAMES)
    return halves[0] | halves[1]


def test_twenty_thousand_inputs(results):
    assert sum(record["inputs"] for record in results.values()) >= 20_000
    assert all(record["grown_mib"] < MEBIBYTES for record in results.values())


@pytest.mark.parametrize("name", ["header", "container", "metadata", "decode", "salvage"])
def test_some_inputs_are_accepted_and_most_are_not(results, name):
    """If not, nothing after the first check was tested, or nothing was damaged."""
    record = results[name]
    assert record["accepted"] > 0
    assert record["CorruptPayload"] > 0
    assert record["accepted"] < 0.6 * record["inputs"]


@pytest.fixture(scope="module")
def targets():
    """The targets, loaded in this process; the shipped weights are restored afterwards."""
    import targets

    from codec.inference.weights import load_model

    for module in targets.LOADING:
        module.load_model = targets.load_tiny
    yield targets
    for module in targets.LOADING:
        module.load_model = load_model


def refused_or_accepted(targets, name, data):
    try:
        targets.TARGETS[name](data)
    except targets.CodecError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_corpus(targets, name):
    assert set(targets.TARGETS) == set(NAMES)
    for path in sorted((HERE / "corpus" / name).glob("*")):
        refused_or_accepted(targets, name, path.read_bytes())
    tried = [refused_or_accepted(targets, name, data) for data in chosen(name)]
    assert any(tried)
    assert not all(tried) or name == "roundtrip"
    accepted = [refused_or_accepted(targets, name, data) for data in targets.seeds(name)]
    assert any(accepted)
    assert all(accepted) or name in ("entropy", "detail")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(CHEAP))
def test_any_mutation(targets, seed, name):
    from mutate import mutated

    refused_or_accepted(targets, name, mutated(random.Random(seed), targets.seeds(name)))


def test_mending_restores_a_file_with_a_wrong_crc(targets):
    from mutate import mended

    for data in targets.files():
        assert mended(data) == data
        assert mended(data[:-4] + b"\0\0\0\0") == data
        damaged = data[:12] + bytes([data[12] ^ 1]) + data[13:]
        assert mended(damaged) != damaged


def test_child_detects_a_hang_and_an_exception(tmp_path):
    """The watchdog works: an endless loop is killed, and an unexpected exception fails the run."""
    for body, code in (("while True: pass", -26), ("raise IndexError('stray')", 1)):
        program = (
            f"import sys; sys.path.insert(0, {str(HERE)!r}); import run, targets\n"
            f"calls = []\n"
            f"def target(data):\n"
            f"    calls.append(data)\n"
            f"    if len(calls) > len(targets.seeds('header')) + 3:\n        {body}\n"
            f"targets.TARGETS['header'] = target; run.HERE = run.Path({str(tmp_path)!r})\n"
            f"run.child('header', 100, 0)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)
        assert done.returncode == code, done.stderr.decode()


def test_failed_target_is_recorded_and_the_others_still_run():
    from guided import added
    from loop import run_each

    def run(name):
        if name == "metadata":
            raise RuntimeError("metadata: ended with -11\nSegmentation fault")
        return {"inputs": 10, "cpu_seconds": 1.25, "covered": 5}

    kept = {name: {"inputs": 100, "cpu_seconds": 2.5, "covered": 4} for name in CHEAP}
    code = run_each(CHEAP, run, lambda name, record: kept.update({name: added(kept[name], record)}))
    sound = {"inputs": 110, "cpu_seconds": 3.8, "covered": 5}
    failed = {"inputs": 100, "cpu_seconds": 2.5, "covered": 4, "failed": "metadata: ended with -11"}
    assert code == 1
    assert kept == {"header": sound, "container": sound, "metadata": failed, "frames": sound}
    assert added(failed, {"inputs": 1, "cpu_seconds": 1})["failed"] == failed["failed"]
