"""`vaezip completion`: what lets a shell complete commands, options and file names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from codec.cli.report import EXIT_CODES_HELP

_PROGRAMS = ("vaezip", "vaezip-encode", "vaezip-decode")


@click.command("completion", epilog=EXIT_CODES_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options and file names.

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
