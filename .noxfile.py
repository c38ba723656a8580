"""Tasks: nox -f .noxfile.py [-s SESSION]. They run in the active environment (see CONTRIBUTING.md)."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "fast"]

FAST = (
    "tests/bitstream",
    "tests/project/test_docs.py",
    "tests/project/test_hygiene.py",
    "tests/project/test_layers.py",
    "tests/project/test_man.py",
)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    session.run("mypy")


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests of format, layers and documentation."""
    session.run("pytest", "-q", *FAST)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, or pytest with the arguments behind `--`."""
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in build/site; warnings are errors."""
    session.run("mkdocs", "build", "--strict", "-f", ".mkdocs.yml")


@nox.session
def man(session: nox.Session) -> None:
    """Regenerate the man pages."""
    session.run("python", "man/make.py")
