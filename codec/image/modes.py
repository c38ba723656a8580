"""Convert PIL modes and colour profiles to the layouts of the format."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from codec.errors import UnsupportedImage
from codec.image import tiff
from codec.image.jpeg import stored_profile
from codec.image.transparency import ColourKey, is_beyond_pillow

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_GRAY_MODES = ("L", "1", "LA", "La")

# Prefix of the file that is searched: the JPEG 2000 marker and the AVIF box precede all coded samples.
_HEAD_BYTES = 1 << 16
_J2K_SIZE, _J2K_COUNT, _J2K_DEPTHS = b"\xff\x4f\xff\x51", 40, 42
_AVIF_BOX, _AVIF_FLAGS, _AVIF_HIGH_DEPTH = b"av1C", 6, 0x40


class Planes(NamedTuple):
    """The planes of a picture.

    colour: a PIL image of mode L or RGB. alpha: a PIL image of mode L and the same size, or None.
    """

    colour: Image.Image
    alpha: Image.Image | None

    @property
    def layout(self) -> str:
        """RGB, L, LA or RGBA."""
        return self.colour.mode + ("" if self.alpha is None else "A")


def to_planes(picture: Image.Image, notes: list[str], key: ColourKey | None = None) -> Planes:
    """Convert a loaded picture of any mode to 8-bit planes; losses are added to `notes`.

    key: the transparent colour of a PNG file (see transparency.colour_key), which replaces Pillow's.
    Raises UnsupportedImage for samples without a defined range.
    """
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        return _reduce_deep(picture)
    if mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        notes.append(f"{mode} picture is converted to RGB")
        return Planes(_other_model_to_rgb(picture, notes), None)
    gray = mode in _GRAY_MODES or (mode in ("P", "PA") and _has_gray_palette(picture))
    if mode == "La":
        picture = picture.convert("LA")  # the only conversion from this mode in Pillow
    if key is not None:
        colour = picture.convert("L" if gray else "RGB")
        return Planes(colour, key.alpha(colour))
    if is_beyond_pillow(picture):
        notes.append("the transparent colour, of 16 bits, is not kept: pass the file itself")
        return Planes(picture.convert("RGB"), None)
    if mode in _ALPHA_MODES or picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        alpha = rgba.getchannel("A")
        return Planes(rgba.getchannel("G") if gray else rgba.convert("RGB"), alpha)
    target = "L" if gray else "RGB"
    return Planes(picture if mode == target else picture.convert(target), None)


def is_deep(picture: Image.Image) -> bool:
    """Return whether a picture, not yet loaded, has samples of more than 8 bits, which Pillow may reduce."""
    if picture.mode.startswith("I") or _is_deep_file(picture):
        return True
    for tile in getattr(picture, "tile", None) or ():
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(argument, str) and ";16" in argument for argument in arguments):
            return True
        # A PPM file gives its largest sample instead of a number of bits.
        if tile[0].startswith("ppm") and any(
            isinstance(argument, int) and argument > 255 for argument in arguments
        ):
            return True
    return False


def is_srgb(profile: bytes) -> bool:
    """Return whether an ICC profile is named sRGB; converting from it would only add rounding errors."""
    try:
        description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return "srgb" in description.lower()


def profile_to_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert an L, RGB or CMYK picture from its ICC profile to 8-bit sRGB; return None if that fails."""
    try:
        return _transform(picture, ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def lab_to_srgb(picture: Image.Image) -> Image.Image | None:
    """Convert an 8-bit CIE Lab picture to sRGB; return None if Pillow lacks colour management."""
    try:
        return _transform(picture, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    except (ImageCms.PyCMSError, ImportError):
        return None


def _transform(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(
        source, srgb, picture.mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return transform.apply(picture)


def _is_deep_file(picture: Image.Image) -> bool:
    """Return whether a JPEG 2000, AVIF or SGI file, not yet loaded, has samples of more than 8 bits."""
    if picture.format == "SGI":
        return any(tile[0] == "SGI16" or 2 in tile[3] for tile in getattr(picture, "tile", ()))
    if picture.format == "JPEG2000":
        head = _head(picture)
        at = head.find(_J2K_SIZE)
        n_components = int.from_bytes(head[at + _J2K_COUNT : at + _J2K_DEPTHS], "big") if at >= 0 else 0
        return any((depth & 0x7F) >= 8 for depth in head[at + _J2K_DEPTHS :][: 3 * n_components : 3])
    if picture.format == "AVIF":
        head = _head(picture)
        at = head.find(_AVIF_BOX)
        return at >= 0 and bool(head[at + _AVIF_FLAGS : at + _AVIF_FLAGS + 1][0] & _AVIF_HIGH_DEPTH)
    return False


def _head(picture: Image.Image) -> bytes:
    fp = getattr(picture, "fp", None)
    if fp is None:
        return b""
    before = fp.tell()
    fp.seek(0)
    head: bytes = fp.read(_HEAD_BYTES)
    fp.seek(before)
    return head


def _reduce_deep(picture: Image.Image) -> Planes:
    """Reduce a 12- or 16-bit gray picture to its high byte. Raises UnsupportedImage for other samples."""
    samples = np.asarray(picture)
    is_16_bit = picture.mode.startswith("I;16") or (
        # Some versions of Pillow use mode I for 16-bit gray; only these formats then ensure 0..65535.
        picture.mode == "I"
        and picture.format in ("PNG", "PPM")
        and samples.min() >= 0
        and samples.max() <= 65535
    )
    if not is_16_bit:
        kind = "floating-point" if picture.mode == "F" else "32-bit"
        raise UnsupportedImage(
            f"{kind} samples (mode {picture.mode}) have no defined range; convert to 8 or 16 bits first"
        )
    high = (samples >> tiff.gray_bits(picture) - 8).astype(np.uint8)
    colour = Image.fromarray(255 - high if tiff.is_negative(picture) else high)
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return Planes(colour, None)
    return Planes(colour, Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)))


def _other_model_to_rgb(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Convert a CMYK, Lab, HSV or YCbCr picture to RGB; CMYK by its ICC profile if it has one."""
    if picture.mode == "LAB":
        converted = lab_to_srgb(picture)
        if converted is None:
            raise UnsupportedImage(
                "is a Lab picture, and this Pillow has no colour management; convert it to RGB first"
            )
        return converted
    profile = stored_profile(picture, notes) if picture.mode == "CMYK" else None
    if profile:
        converted = profile_to_srgb(picture, profile)
        if converted is not None:
            return converted
        notes.append("the colour profile cannot be applied and is not kept: colours may look different")
    return picture.convert("RGB")


def _has_gray_palette(picture: Image.Image) -> bool:
    """Return whether a palette has only gray entries; False with an ICC profile, which is made for RGB."""
    if picture.info.get("icc_profile"):
        return False
    colours = np.array(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())
