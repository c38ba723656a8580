"""Entry points of the commands, shell completion, and conversion of errors to exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import get_completion_class, shell_complete

from codec import __version__
from codec.bitstream.header import VERSION
from codec.cli.report import (
    EXIT_CODES_HELP,
    Exit,
    describe,
    escape_unprintable_output,
    exit_code,
    fail,
    is_expected,
)
from codec.errors import CodecError, TrainingError
from codec.model.index import default_model_id, model_entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


_PROGRAMS = ("vaezip", "vaezip-encode", "vaezip-decode")

# Location and short help of each command. A command's module is imported when the command runs: `train` needs
# torch, and `vaezip --help` must not load it.
_COMMANDS = {
    "compress": ("codec.cli.compress:compress", "Compress pictures into .vae files."),
    "decompress": ("codec.cli.decompress:decompress", "Decompress .vae files into pictures."),
    "batch": ("codec.cli.batch:batch", "Compress many pictures, on all cores or a cluster."),
    "info": ("codec.cli.inspect:info", "Show size, quality and structure of .vae files."),
    "verify": ("codec.cli.inspect:verify", "Check .vae files without computing pixels."),
    "elbo": ("codec.cli.scores:elbo", "Compute the evidence lower bound of pictures."),
    "sample": ("codec.cli.generate:sample", "Draw new pictures from the model."),
    "interpolate": ("codec.cli.generate:interpolate", "Interpolate between two pictures in latent space."),
    "traverse": ("codec.cli.generate:traverse", "Vary one latent channel of a picture."),
    "anomaly": ("codec.cli.scores:anomaly", "Find pictures that differ from normal ones."),
    "impute": ("codec.cli.generate:impute", "Fill in missing parts of a picture."),
    "train": ("codec.train.commands:train", "Train weights and export them."),
    "bench": ("codec.cli.bench:bench", "Compare vaezip with other codecs."),
    "data": ("codec.cli.bench:data", "Download pictures for training and measuring."),
    "completion": ("codec.cli.main:completion", "Print a shell completion script."),
}


def version_lines() -> list[str]:
    """Return three lines: the versions of the package, the bitstream and the model."""
    try:
        entry = model_entry(default_model_id())
        model = f"{entry.model_id.hex()} ({entry.name})"
    except CodecError as error:
        model = f"none: {error}"
    return [f"vaezip {__version__}", f"bitstream {'.'.join(map(str, VERSION))}", f"model {model}"]


@click.command("completion", epilog=EXIT_CODES_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script with which SHELL completes commands, options and file names.

    \b
    bash:  source <(vaezip completion bash)         in ~/.bashrc
    zsh:   source <(vaezip completion zsh)          in ~/.zshrc, after compinit
    fish:  vaezip completion fish | source          in ~/.config/fish/config.fish
    """
    scripts = get_completion_class(shell)
    if scripts is None:
        raise click.UsageError(f"click does not know {shell}")
    for program in _PROGRAMS:
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        click.echo(scripts(context.find_root().command, {}, program, variable).source())


class LazyGroup(click.Group):
    """A group that lists its commands with their help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or return None for an unknown name."""
        if cmd_name not in _COMMANDS:
            return None
        command = _load(_COMMANDS[cmd_name][0])
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in _COMMANDS.items()])


def _show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo("\n".join(version_lines()))
        context.exit()


@click.group("vaezip", cls=LazyGroup, epilog=EXIT_CODES_HELP)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of package, bitstream and model, and exit.",
)
def vaezip() -> None:
    """Compress and decompress photographs with a neural network."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `vaezip` and return its exit code."""
    return _run(vaezip, "vaezip", arguments)


def encode(arguments: Sequence[str] | None = None) -> int:
    """Run `vaezip-encode`, an alias of `vaezip compress`."""
    return _run(_load(_COMMANDS["compress"][0]), "vaezip-encode", arguments)


def decode(arguments: Sequence[str] | None = None) -> int:
    """Run `vaezip-decode`, an alias of `vaezip decompress`."""
    return _run(_load(_COMMANDS["decompress"][0]), "vaezip-decode", arguments)


def _run(command: click.Command, program: str, arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code; print an error in one line."""
    escape_unprintable_output()
    _unwind_on_sigterm()
    try:
        # Not command.main(): it exits with other codes, and prints blank lines, for Ctrl-C and a broken pipe.
        completion = f"_{program.replace('-', '_').upper()}_COMPLETE"
        if instruction := os.environ.get(completion):
            return shell_complete(command, {}, program, completion, instruction)
        given = sys.argv[1:] if arguments is None else list(arguments)
        with command.make_context(program, given) as context:
            result = command.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(result or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return Exit.USAGE
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        fail(f"{_one_line(error)}; see '{program if where is None else where.command_path} --help'")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        fail("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe. Python would report the error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INPUT_OUTPUT
    except Exception as error:
        if not is_expected(error):
            raise
        fail(describe(error))
        return exit_code(error)


def _load(location: str) -> click.Command:
    """Import a command. location: `MODULE:ATTRIBUTE`."""
    module, _, attribute = location.partition(":")
    try:
        command = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("codec"):
            raise
        raise TrainingError(f"needs {error.name}; install vaezip with its extra 'train'") from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{location} is not a command")
    return command


def _one_line(error: click.ClickException) -> str:
    """Return the message of a click error as one line without initial capital and full stop."""
    text = " ".join(error.format_message().split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _unwind_on_sigterm() -> None:
    """Raise SystemExit on SIGTERM, so that temporary files are removed."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(int(Exit.TERMINATED))

    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, terminate)
