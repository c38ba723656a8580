"""Files that are no pictures yet, or not for Pillow alone, told by what they begin with or hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import TiffImagePlugin

from codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from PIL import Image

N_START_BYTES = 16

_IS_RAW = (
    "is a camera's raw file{}, of which Pillow would read a thumbnail at most; "
    "develop it into PNG, JPEG or TIFF first"
)
_RAW_STARTS = (
    b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0",
)  # fmt: skip
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_CR2_MARK, _CRW_MARK, _CR3_BRAND = b"CR\2\0", b"HEAPCCDR", b"crx "
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _PHOTOMETRIC = 254, 255, 262
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_REDUCED, _OLD_REDUCED = 1, 2
_MOSAIC, _LINEAR_RAW = 32803, 34892


def refuse_raw_start(start: bytes) -> None:
    """Refuse a raw file by its first N_START_BYTES bytes. Raises UnsupportedImage."""
    if (
        start.startswith(_RAW_STARTS)
        or (start[:4] in (b"II*\0", b"MM\0*") and start[8:12] == _CR2_MARK)
        or start[6:14] == _CRW_MARK
        or start[4:12] == b"ftyp" + _CR3_BRAND
    ):
        raise UnsupportedImage(_IS_RAW.format(""))


def refuse_thumbnail(picture: Image.Image) -> None:
    """Refuse a TIFF file, just opened, whose first picture is a reduced copy of another in it.

    Raises UnsupportedImage. Pictures of other formats pass.
    """
    if picture.format != "TIFF":
        return
    tags = getattr(picture, "tag_v2", {})
    if _DNG_VERSION in tags:
        raise UnsupportedImage(_IS_RAW.format(" (DNG)"))
    if any(kind in (_MOSAIC, _LINEAR_RAW) for kind in _inner_photometrics(picture)):
        raise UnsupportedImage(_IS_RAW.format(""))
    subfile = tags.get(_SUBFILE_TYPE, 0)
    if (isinstance(subfile, int) and subfile & _REDUCED) or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED:
        raise UnsupportedImage(
            "holds a thumbnail for its first picture, as raw files of cameras do; "
            "develop or save the whole picture as PNG, JPEG or TIFF first"
        )


def what_pillow_lacks(start: bytes) -> str:
    """Return why Pillow cannot identify a file, and what to do, by its first N_START_BYTES bytes."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        return (
            "is HEIC, which Pillow reads only with pillow-heif (pip install pillow-heif, and call "
            "pillow_heif.register_heif_opener() in Python); convert it to PNG or JPEG first"
        )
    if start[4:12] == b"ftypavif":
        return (
            "is AVIF, which this Pillow does not read; take pillow 11.3 or later, or convert it to PNG first"
        )
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "is a TIFF file of a layout or compression that Pillow cannot read; convert it to PNG first"
    return "is not a picture that Pillow can read; convert it to PNG, JPEG, WebP or TIFF first"


def _inner_photometrics(picture: Image.Image) -> list[int]:
    """Return the photometric interpretations of a TIFF file's inner directories, as far as they are sound."""
    tags, fp = getattr(picture, "tag_v2", {}), getattr(picture, "fp", None)
    offsets = tags.get(_SUB_DIRECTORIES, ())
    if fp is None or not offsets:
        return []
    found, before = [], fp.tell()
    try:
        for offset in offsets if isinstance(offsets, tuple) else (offsets,):
            fp.seek(0)
            directory = TiffImagePlugin.ImageFileDirectory_v2(fp.read(8))
            fp.seek(offset)
            directory.load(fp)
            found.append(directory.get(_PHOTOMETRIC, 0))
    except Exception:  # whatever is wrong with them, the main picture may be sound
        return found
    finally:
        fp.seek(before)
    return found
