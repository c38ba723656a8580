"""Extended XMP: splitting for JPEG and joining again keep every statement."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from codec.image.xmp import (
    EXTENDED_PREFIX,
    MAX_MAIN,
    has_reference,
    join_extended,
    split_extended,
    without_reference,
    xmp_orientation,
)

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"


def packet(content, about="", rdf="rdf", more=""):
    body = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n<{rdf}:RDF xmlns:{rdf}="{RDF[1:-1]}" {more}>'
        f'<{rdf}:Description {rdf}:about="{about}" xmlns:dc="{DC[1:-1]}">{content}</{rdf}:Description>'
        f"</{rdf}:RDF></x:xmpmeta>"
    )
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="w"?>'.encode()


def parts_of(segments):
    assert all(len(s) <= 65_533 and s.startswith(EXTENDED_PREFIX) for s in segments)
    return [s[len(EXTENDED_PREFIX) :] for s in segments]


def parsed(xmp):
    return ElementTree.fromstring(xmp)  # noqa: S314 (packets made here)


def said(xmp):
    """Return all statements of the descriptions of a packet."""
    root = parsed(xmp)
    return {
        (node.tag, node.text)
        for description in root.iter(f"{RDF}Description")
        for node in description.iter()
        if node is not description
    }


def filled(size):
    empty = len(packet("<dc:source></dc:source>"))
    return packet(f"<dc:source>{'s' * (size - empty)}</dc:source>")


@pytest.mark.parametrize("size", [500, MAX_MAIN - 1, MAX_MAIN])
def test_small_packets_are_not_split(size):
    assert split_extended(filled(size)) == (filled(size), [])


@pytest.mark.parametrize("size", [MAX_MAIN + 1, 65_400 * 2 + 100, 1_000_000])
def test_large_packets_are_split_and_joined_again(size):
    main, segments = split_extended(filled(size))
    assert len(main) < MAX_MAIN
    assert has_reference(main)
    parsed(main)
    for order in (1, -1):
        joined = join_extended(main, parts_of(segments)[::order])
        assert said(joined) == said(filled(size))
        assert not has_reference(joined)
    again_main, again = split_extended(joined)
    assert said(join_extended(again_main, parts_of(again))) == said(filled(size))


def test_padding_is_dropped_first():
    padded = filled(60_000).replace(b"<?xpacket end", b" \n" * 4000 + b"<?xpacket end")
    assert split_extended(padded) == (filled(60_000), [])


def test_about_is_the_same_in_both_parts():
    main, _ = split_extended(packet(f"<dc:source>{'s' * 70_000}</dc:source>", about="uuid:1"))
    (description,) = parsed(main).iter(f"{RDF}Description")
    assert description.get(f"{RDF}about") == "uuid:1"


@pytest.mark.parametrize("xmp", [b"\xff" * 70_000, b"z" * 70_000, "\u00e9".encode("utf-16") * 40_000])
def test_invalid_xmp_cannot_be_split(xmp):
    assert split_extended(xmp) is None


def joined_by_hand(main, extended):
    guid = b"A" * 32
    head = guid + len(extended).to_bytes(4, "big") + bytes(4)
    named = main.replace(b'about=""', b'about="" xmlns:xmpNote="n" xmpNote:HasExtendedXMP="%s"' % guid)
    return join_extended(named, [head + extended])


def test_prefixes_of_the_extended_part_are_kept():
    extended = packet("<q:a>new</q:a>", more='xmlns:q="urn:q"')
    joined = joined_by_hand(packet("<dc:title>old</dc:title>"), extended)
    assert said(joined) == {(f"{DC}title", "old"), ("{urn:q}a", "new")}


@pytest.mark.parametrize(
    "extended",
    [
        packet("<q:a/>", more='xmlns:q="urn:other"'),
        packet("<dc:a/>", rdf="r"),
        b"no packet",
        b"\xff" + packet("<dc:a/>"),
        b"",
    ],
)
def test_joining_invalid_parts_gives_none(extended):
    assert joined_by_hand(packet("<q:b/>", more='xmlns:q="urn:q"'), extended) is None


def test_reference_is_removed_in_either_spelling():
    assert without_reference(b'<a xmpNote:HasExtendedXMP="AB" b="c"/>') == b'<a b="c"/>'
    assert without_reference(b"<a><xmpNote:HasExtendedXMP>AB</xmpNote:HasExtendedXMP></a>") == b"<a></a>"


@pytest.mark.parametrize(
    ("xmp", "orientation"),
    [
        (b'tiff:Orientation="6"', 6),
        (b"tiff:Orientation = '8'", 8),
        (b"<tiff:Orientation>3</tiff:Orientation>", 3),
        (b'xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="5"', 5),
        (b't:Orientation="5"', None),
        (b'exif:Orientation="6" crs:xtiff:Orientation="6"', None),
        (b'tiff:Orientation="66"', None),
        (b'tiff:Orientation="9"', None),
    ],
)
def test_orientations(xmp, orientation):
    assert xmp_orientation(xmp) == orientation
