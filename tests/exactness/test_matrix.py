"""With all kernels and thread counts of torch, symbols are identical and samples within one level."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cell import run_cell

from codec.decode.decoder import Decoder
from codec.encode.encoder import Encoder

# Name: (arguments of the probe, environment).
CELLS = {
    "one thread": ([], {}),
    "two threads": (["--threads", "2"], {}),
    "no oneDNN": (["--no-onednn"], {}),
    "no oneDNN, two threads": (["--no-onednn", "--threads", "2"], {}),
    "plain ATen": ([], {"ATEN_CPU_CAPABILITY": "default"}),
    "AVX2": (["--threads", "2"], {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "onnxruntime": ([], {"VAEZIP_BACKEND": "onnx"}),
    "onnxruntime, two threads": (["--threads", "2"], {"VAEZIP_BACKEND": "onnx"}),
    "row by row": (["--rows"], {}),
    "four tiles and files at a time, backwards": (["--at-once", "4"], {}),
    "SSE4.1": ([], {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, photo):
    """Very different files: low, middle and high rate, several tiles, and noise full of escapes."""
    folder = tmp_path_factory.mktemp("files")
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3), dtype=np.uint8) * 255
    pictures = {"low": (photo(451, 300), 5), "tiles": (photo(1100, 64), 50), "high": (photo(160, 96), 100)}
    made = []
    with pytest.MonkeyPatch.context() as patch:
        # Noise would be stored losslessly, because that is smaller, and would then have no symbols.
        patch.setattr("codec.encode.tile_coder.may_pay", lambda *_: False)
        for name, (pixels, quality) in {**pictures, "noise": (noise, 90)}.items():
            made.append(folder / f"{name}.vae")
            made[-1].write_bytes(Encoder(quality).encode(pixels))
    return made


@pytest.fixture(scope="module")
def cells(files, chelsea_path, tmp_path_factory):
    """Results of the probe in every cell."""
    folder = tmp_path_factory.mktemp("cells")

    def run(name):
        arguments, settings = CELLS[name]
        whole = [*arguments, "--picture", str(chelsea_path)]
        return run_cell(files, folder / f"{name}.npz", whole, settings)

    # A cell mostly loads torch, which uses one core.
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CELLS, pool.map(run, CELLS), strict=True))


def test_symbols_are_the_same_everywhere(cells):
    assert len({symbols for record, _ in cells.values() for symbols in record["symbols"]}) == 1


def test_cells_differ_in_floating_point_results(cells):
    """If they did not, the settings would have no effect and the matrix would prove nothing."""
    assert len({floats for record, _ in cells.values() for floats in record["floats"]}) > 1
    assert cells["one thread"][0]["floats"] != cells["no oneDNN"][0]["floats"]


@pytest.mark.parametrize("name", list(CELLS))
def test_samples_differ_by_one_level_at_most(cells, files, name):
    reference, other = cells["one thread"][1], cells[name][1]
    for file in files:
        difference = other[file.stem].astype(int) - reference[file.stem]
        assert np.abs(difference).max() <= 1
        assert np.count_nonzero(difference) <= max(1, 1e-4 * difference.size)


@pytest.mark.parametrize("name", list(CELLS))
def test_files_encoded_in_a_cell_are_decoded_here(cells, name):
    stored = cells[name][1]
    samples = np.asarray(Decoder().decode(stored["own_file"].tobytes()))
    assert np.abs(samples.astype(int) - stored["own_pixels"]).max() <= 1
