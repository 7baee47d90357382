"""`completion`: the script that teaches a shell the commands, options and paths of `avm`."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.output import put

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL.

    \b
    bash: echo 'eval "$(avm completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(avm completion zsh)"' >> ~/.zshrc
    fish: avm completion fish > ~/.config/fish/completions/avm.fish
    """
    from click.shell_completion import get_completion_class

    from avm_builtin.frontends.cli.app import COMPLETE_VARIABLE, PROGRAM

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    put(script.source_template % script.source_vars())
