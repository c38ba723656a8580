from __future__ import annotations

import io

import pytest
from PIL import Image

from codec.encode.encoder import Encoder
from codec.stream import Writer


@pytest.fixture(scope="session")
def frames(photo):
    """Twelve small .vae files."""
    picture = Image.fromarray(photo(64, 48))
    return list(Encoder(60, threads=1).map(picture.rotate(7 * i) for i in range(12)))


@pytest.fixture(scope="session")
def stream(frames):
    """A stream of these frames, with an index."""
    fp = io.BytesIO()
    with Writer(fp) as writer:
        for frame in frames:
            writer.write(frame)
    return fp.getvalue()
