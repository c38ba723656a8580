from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from codec.decode.decoder import Decoder
from codec.encode.encoder import Encoder


@pytest.fixture(scope="session")
def encoder():
    return Encoder(75, threads=2)


@pytest.fixture(scope="session")
def decoder():
    return Decoder(threads=2)


@pytest.fixture(scope="session")
def there_and_back(encoder, decoder):
    """Return a function: picture -> (.vae data, decoded PIL image, texts of all warnings on the way in)."""

    def run(picture):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = encoder.encode(picture)
        return data, decoder.decode(data), [str(warning.message) for warning in caught]

    return run


@pytest.fixture(scope="session")
def saved():
    """Return a function: PIL image, format, options -> the bytes of a file."""

    def save(picture, kind="PNG", **options):
        buffer = BytesIO()
        picture.save(buffer, kind, **options)
        return buffer.getvalue()

    return save


@pytest.fixture(scope="session")
def psnr():
    """Return a function: two pictures or arrays -> PSNR in dB, over the samples where `shown` is true."""

    def measure(first, second, shown=...):
        error = np.square(np.asarray(first, float)[shown] - np.asarray(second, float)[shown]).mean()
        return float(10 * np.log10(255**2 / max(error, 1e-9)))

    return measure


@pytest.fixture(scope="session")
def face(photo):
    """A photo of 96x80 pixels."""
    return Image.fromarray(photo(96, 80))


@pytest.fixture(scope="session")
def soft_alpha():
    """A disc with a soft edge for a picture of 96x80 pixels: uint8 [80, 96]."""
    rows, columns = np.indices((80, 96))
    distance = np.hypot(rows - 40, columns - 48)
    return np.clip((38 - distance) * 16, 0, 255).astype(np.uint8)
