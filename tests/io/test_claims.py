"""Outputs that are inputs, or outputs of another input."""

from __future__ import annotations

import os

import pytest

from codec.errors import UsageError
from codec.io.mapping import Claims


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.vae"
    path.write_bytes(b"picture")
    return path


def by_name(source, alias):
    return source


def by_hard_link(source, alias):
    os.link(source, alias)
    return alias


def by_symlink(source, alias):
    alias.symlink_to(source)
    return alias


def by_folder_link(source, alias):
    alias.symlink_to(source.parent)
    return alias / source.name


@pytest.mark.parametrize("link", [by_name, by_hard_link, by_symlink, by_folder_link])
def test_no_output_is_an_input(source, tmp_path, link):
    target = str(link(source, tmp_path / "alias"))
    with pytest.raises(UsageError, match="same file"):
        Claims([str(source)]).claim(str(source), target)
    with pytest.raises(UsageError, match="another input"):
        Claims([str(source), "b.png"]).claim("b.png", target)


def test_no_two_inputs_have_one_output(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    claims = Claims(["a.png", "a.jpg"])
    claims.claim("a.png", str(tmp_path / "a.vae"))
    with pytest.raises(FileExistsError, match=r"is already the output of a\.png"):
        claims.claim("a.jpg", str(tmp_path / "link" / "a.vae"))
    claims.claim("b.png", str(tmp_path / "b.vae"))
    claims.claim("a.png", "memory://a.vae")
    with pytest.raises(FileExistsError):
        claims.claim("a.jpg", "memory://a.vae")
