"""Profiles as hexadecimal text, ImageMagick's way of keeping EXIF, XMP and IPTC in PNG text chunks."""

from __future__ import annotations

_PREFIX = "raw profile type "
_LINE = 72


def profile_kind(key: str) -> str | None:
    """Return which profile a text of this key holds, such as 'exif'; None for other texts."""
    name = key.lower()
    return name.removeprefix(_PREFIX).strip() if name.startswith(_PREFIX) else None


def read_profile(text: str) -> bytes | None:
    """Return the bytes of a profile, or None where the text is damaged; too few bytes are no damage."""
    words = text.split(None, 2)
    try:
        return bytes.fromhex("".join(words[2].split()))[: int(words[1])] or None
    except (IndexError, ValueError):
        return None


def write_profile(kind: str, content: bytes) -> tuple[str, str]:
    """Return key and text that hold a profile."""
    digits = content.hex()
    lines = [digits[at : at + _LINE] for at in range(0, len(digits), _LINE)]
    return f"Raw profile type {kind}", "\n".join(["", kind, f"{len(content):8d}", *lines, ""])
