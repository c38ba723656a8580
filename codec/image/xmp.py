"""XMP packets: their orientation, and the extended part that JPEG stores in segments of its own."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAIN_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
# Bytes of each that fit in one JPEG segment (XMP specification, part 3).
MAX_MAIN = 65_502
_MAX_PART = 65_400

_GUID_BYTES = 32
# Prefixes of the TIFF namespace that are searched for; more are an attack on the search time.
_MAX_PREFIXES = 16
_PART_HEAD = _GUID_BYTES + 8
_TIFF_PREFIX = re.compile(rb"""xmlns:([\w.-]+)\s*=\s*["']http://ns\.adobe\.com/tiff/1\.0/["']""")
_NAMESPACE = re.compile(rb"""xmlns:([\w.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_OPEN_RDF = re.compile(rb"<((?:[\w.-]+:)?RDF)\b[^<>]*(?<!/)>")
_ABOUT = re.compile(rb"""rdf:about\s*=\s*("[^"<]*"|'[^'<]*')""")
_REFERENCE = re.compile(
    rb"""\sxmpNote:HasExtendedXMP\s*=\s*["']([^"'<]*)["']"""
    rb"""|<xmpNote:HasExtendedXMP>([^<]*)</xmpNote:HasExtendedXMP>"""
)
_END = re.compile(rb"<\?xpacket\s+end=[^<>]*>\s*\Z")
_WRAPPER = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xpacket\s+begin=[^<>]*>|<\?xpacket\s+end=[^<>]*>\s*\Z")


def xmp_orientation(xmp: bytes) -> int | None:
    """Return the orientation, 1..8, in a packet, or None."""
    found = _orientation_pattern(xmp).search(xmp)
    return int(found[2]) if found else None


def upright_xmp(xmp: bytes) -> bytes:
    """Set every orientation in an XMP packet to 1 and return the packet."""
    return _orientation_pattern(xmp).sub(rb"\g<1>1", xmp)


def has_reference(xmp: bytes) -> bool:
    """Return whether a packet refers to an extended part."""
    return _REFERENCE.search(xmp) is not None


def without_reference(xmp: bytes) -> bytes:
    """Remove the reference to an extended part and return the packet."""
    return _REFERENCE.sub(b"", xmp)


def join_extended(main: bytes, segments: Iterable[bytes]) -> bytes | None:
    """Merge the extended part into the main packet, remove the reference to it and return the packet.

    segments: contents of the extended segments of a JPEG file, starting at their GUID, in any order. Return
    None if the extended part is missing, incomplete or cannot be merged.
    """
    named = _REFERENCE.search(main)
    extended = _assemble((named[1] or named[2]).strip(), segments) if named else None
    return None if extended is None else _join(without_reference(main), extended)


def split_extended(xmp: bytes) -> tuple[bytes, list[bytes]] | None:
    """Split a packet into a main packet that fits a JPEG segment and the payloads of extended segments.

    There are no extended segments if the packet fits without its padding. Otherwise the extended part holds
    everything and the main packet only refers to it. Return None if the data is not XMP in UTF-8: it cannot
    be split.
    """
    xmp = without_reference(xmp)
    if len(xmp) > MAX_MAIN:
        end = _END.search(xmp)
        xmp = xmp[: end.start()].rstrip() + end[0] if end else xmp
    if len(xmp) <= MAX_MAIN:
        return xmp, []
    extended = _WRAPPER.sub(b"", xmp).strip()
    if _body(extended) is None or not _is_utf8(extended):
        return None
    guid = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    about = _ABOUT.search(extended)
    main = (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about='
        + (about[1] if about and len(about[1]) < 1024 else b'""')
        + b' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="'
        + guid
        + b'"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    head = guid + len(extended).to_bytes(4, "big")
    return main, [
        EXTENDED_PREFIX + head + at.to_bytes(4, "big") + extended[at : at + _MAX_PART]
        for at in range(0, len(extended), _MAX_PART)
    ]


def _orientation_pattern(xmp: bytes) -> re.Pattern[bytes]:
    found = itertools.islice(_TIFF_PREFIX.finditer(xmp), _MAX_PREFIXES)
    prefixes = sorted({b"tiff", *(match[1] for match in found)})
    names = b"|".join(re.escape(prefix) for prefix in prefixes)
    return re.compile(rb"((?<![\w.-])(?:" + names + rb"""):Orientation\s*(?:=\s*["']|>)\s*)([1-8])(?!\d)""")


def _assemble(guid: bytes, segments: Iterable[bytes]) -> bytes | None:
    """Return the extended part with this GUID, or None if it is incomplete."""
    parts: dict[int, bytes] = {}
    size = -1
    for segment in segments:
        if len(segment) >= _PART_HEAD and segment[:_GUID_BYTES] == guid:
            size = int.from_bytes(segment[_GUID_BYTES : _GUID_BYTES + 4], "big")
            at = int.from_bytes(segment[_GUID_BYTES + 4 : _PART_HEAD], "big")
            parts.setdefault(at, segment[_PART_HEAD:])
    whole = bytearray()
    for at, part in sorted(parts.items()):
        if at != len(whole):
            return None
        whole += part
    return bytes(whole) if len(whole) == size else None


def _join(main: bytes, extended: bytes) -> bytes | None:
    """Append the descriptions of `extended` to those of `main`; return None if that is impossible."""
    ours, theirs = _body(main), _body(extended)
    if ours is None or theirs is None or not _is_utf8(extended):
        return None
    declared, needed = _namespaces(main[: ours[1]]), _namespaces(extended[: theirs[1]])
    # A prefix bound to different namespaces in the two packets cannot be declared once.
    if ours[0] != theirs[0] or any(declared.get(name, uri) != uri for name, uri in needed.items()):
        return None
    added = b"".join(
        b' xmlns:%s="%s"' % (name, uri.replace(b'"', b"&quot;"))
        for name, uri in needed.items()
        if name not in declared
    )
    return (
        main[: ours[1] - 1]
        + added
        + main[ours[1] - 1 : ours[2]]
        + extended[theirs[1] : theirs[2]]
        + main[ours[2] :]
    )


def _body(xmp: bytes) -> tuple[bytes, int, int] | None:
    """Return the tag name of the RDF element and the start and end of its content, or None."""
    found = _OPEN_RDF.search(xmp)
    if found is None:
        return None
    end = xmp.rfind(b"</" + found[1])
    return (found[1], found.end(), end) if end >= found.end() else None


def _namespaces(head: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _NAMESPACE.findall(head)}


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
