"""Fetch sets of pictures from public addresses, each file checked against a known SHA-256."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, urlsplit

from codec.errors import BenchmarkError, UsageError
from codec.files import write_atomic

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
        lines = files("codec.data").joinpath(self.sums).read_text(encoding="ascii").splitlines()
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
