"""Pictures without colour, which must come back without a tint, even if they have three channels."""

from __future__ import annotations

from codec.image.picture import Picture

# Looked at a few rows at a time: a picture with colour shows it in the first of them.
_ROWS = 64


def is_gray(picture: Picture) -> bool:
    """Tell whether a picture has one channel of colour, or three that are the same everywhere."""
    if picture.layout in ("L", "LA"):
        return True
    for top in range(0, picture.height, _ROWS):
        rows = picture.colour[top : min(top + _ROWS, picture.height), 0 : picture.width]
        if (rows[..., 1] != rows[..., 0]).any() or (rows[..., 1] != rows[..., 2]).any():
            return False
    return True
