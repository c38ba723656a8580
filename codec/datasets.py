"""Fetch data sets of pictures, each file checked by SHA-256, and rebuild the training tiles.

Each line of `tiles.tsv` names a tile, its package, the picture in the package, the scale factor and the top
left corner of the crop. Factors are stored with three decimals: tiles of unscaled pictures are rebuilt byte
for byte, tiles of scaled ones may be shifted by a pixel or two. A picture inside another file is written
`ARCHIVE!MEMBER` for a member of a zip archive, and `FILE@OFFSET` for a JPEG that starts at a byte offset.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, urlsplit

from PIL import Image

from codec.errors import BenchmarkError, UsageError
from codec.io.files import write_atomic

SIDE = 512
_RECIPE = "tiles.tsv"
_TIMEOUT_SECONDS = 60.0
# Far above the size of any file of these sets, so that a wrong address cannot fill the memory.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class DataSet:
    """A set of pictures. address: URL of its folder. sums: name of the package data, output of sha256sum."""

    name: str
    description: str
    address: str
    sums: str

    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of each file, in hexadecimal, by file name."""
        lines = (files("codec") / "data" / self.sums).read_text(encoding="ascii").splitlines()
        return {name: digest for digest, name in (line.split() for line in lines)}


DATA_SETS = {
    "kodak": DataSet(
        "kodak",
        "24 photographs of 768x512, released by Eastman Kodak for unrestricted use; for testing only",
        "https://r0k.us/graphics/kodak/kodak",
        "kodak.sha256",
    )
}


def fetch(name: str, folder: Path, address: str | None = None) -> Iterator[tuple[str, bool]]:
    """Fetch the files of a data set that `folder` lacks; yield (file name, whether it was fetched) for each.

    A file is written only if complete and of the known SHA-256. address: URL of a mirror of the folder.
    Raises UsageError for an unknown data set or address, BenchmarkError for a file that cannot be fetched or
    has another SHA-256, OSError.
    """
    if name not in DATA_SETS:
        raise UsageError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    base = (address or DATA_SETS[name].address).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise UsageError(f"{base}: not an http or https address; give the URL of the folder with the files")
    folder.mkdir(parents=True, exist_ok=True)
    for file, sha256 in DATA_SETS[name].sha256().items():
        path = folder / file
        if path.exists():
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise BenchmarkError(
                    f"{path}: differs from the known file of {name}; move it away and fetch again"
                )
            yield file, False
            continue
        url = f"{base}/{quote(file)}"
        data = _download(url)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BenchmarkError(
                f"{url}: differs from the known file of {name}; nothing was written, try a mirror"
            )
        write_atomic(path, data)
        yield file, True


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310, checked by fetch
            data: bytes = answer.read(_MAX_BYTES)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise BenchmarkError(
            f"{url}: cannot be fetched ({reason}); try again, or use a mirror with --from"
        ) from error
    return data


@dataclass(frozen=True)
class Tile:
    """A training tile of SIDE x SIDE pixels.

    package: `deb:NAME=VERSION` or `pypi:NAME==VERSION`. picture: path in the package, see the module.
    factor: scale, at most 1. left, top: corner of the crop in the scaled picture, in pixels.
    """

    name: str
    package: str
    picture: str
    factor: float
    left: int
    top: int


def recipe() -> list[Tile]:
    """Return all tiles, grouped by package."""
    lines = (files("codec") / "data" / _RECIPE).read_text(encoding="utf-8").splitlines()[1:]
    tiles = []
    for line in lines:
        name, package, picture, factor, left, top = line.split("\t")
        tiles.append(Tile(name, package, picture, float(factor), int(left), int(top)))
    return tiles


def rebuild(tiles: Iterable[Tile], folder: Path) -> Iterator[tuple[Tile, bool]]:
    """Fetch packages and write their tiles into `folder`; yield (tile, whether it was written) for each.

    Existing tiles are kept. Needs apt-get and dpkg-deb for packages of Debian 12, pip for packages of PyPI,
    and disk space for one unpacked package at a time.
    Raises BenchmarkError for a package that cannot be fetched or lacks a picture, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package, group in groupby(tiles, lambda tile: tile.package):
        wanted = list(group)
        missing = [tile for tile in wanted if not (folder / tile.name).exists()]
        if missing:
            with tempfile.TemporaryDirectory() as place:
                root = unpack(package, Path(place))
                for tile in missing:
                    write_atomic(folder / tile.name, cut(tile, root))
        for tile in wanted:
            yield tile, tile in missing


def unpack(package: str, place: Path) -> Path:
    """Download a package into the folder `place`, unpack it, and return the folder with its files."""
    kind, _, name = package.partition(":")
    root = place / "files"
    if kind == "deb":
        _run(["apt-get", "download", name], place)
        _run(["dpkg-deb", "-x", str(next(place.glob("*.deb"))), str(root)], place)
    else:
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", name], place)
        with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
            wheel.extractall(root)
    return root


def _run(command: list[str], place: Path) -> None:
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BenchmarkError(f"needs {command[0]}; run this on Debian 12") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BenchmarkError(f"{' '.join(command)}: failed ({last})")


def read_picture(root: Path, picture: str) -> bytes:
    """Return the bytes of a picture in an unpacked package. picture: as in `Tile`."""
    archive, _, member = picture.partition("!")
    path, _, offset = archive.partition("@")
    try:
        if member:
            with zipfile.ZipFile(root / path) as outer:
                return outer.read(member)
        return (root / path).read_bytes()[int(offset or 0) :]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"{picture}: not in the package ({error})") from error


def cut(tile: Tile, root: Path) -> bytes:
    """Scale and crop the picture of a tile; return it as JPEG, quality 95 without chroma subsampling."""
    with Image.open(io.BytesIO(read_picture(root, tile.picture))) as stored:
        picture = stored.convert("RGB")
    if tile.factor < 1:
        size = round(picture.width * tile.factor), round(picture.height * tile.factor)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    part = picture.crop((tile.left, tile.top, tile.left + SIDE, tile.top + SIDE))
    part.save(stream, "JPEG", quality=95, subsampling=0, optimize=True)
    return stream.getvalue()
