"""The man pages match the commands; `python man/make.py` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from codec import __version__
from codec.cli.main import vaezip

PAGES = Path(__file__).parents[2] / "man" / "man1"


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=name)
    yield name, group
    for part in group.list_commands(context):
        command = group.get_command(context, part)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}-{part}")
        else:
            yield f"{name}-{part}", command


@pytest.mark.skipif(not PAGES.exists(), reason="the tests of a wheel lie beside no man pages")
def test_every_command_has_a_page_with_its_options():
    expected = dict(commands(vaezip, "vaezip"))
    assert {path.stem for path in PAGES.glob("*.1")} == set(expected)
    for name, command in expected.items():
        page = (PAGES / f"{name}.1").read_text()
        told = " ".join(page.replace("\\-", "-").split())
        assert f'"{__version__}"' in page
        assert "EXIT STATUS" in page
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert max(parameter.opts, key=len).replace("-", "\\-") in page, f"{name} {parameter.opts}"
                assert " ".join((parameter.help or "").split()) in told, f"{name} {parameter.opts}"
