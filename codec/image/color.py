"""Colour profiles: what a picture means, expressed in sRGB."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageCms


def is_srgb(profile: bytes) -> bool:
    """Tell whether an ICC profile calls itself sRGB, so that converting would only cost rounding."""
    try:
        description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return "srgb" in description.lower()


def profile_to_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert an L, RGB or CMYK picture from its ICC profile to 8-bit sRGB; None where that fails."""
    try:
        return _transform(picture, ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def lab_to_srgb(picture: Image.Image) -> Image.Image | None:
    """Convert an 8-bit CIE Lab picture to sRGB; None where Pillow was built without colour management."""
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
