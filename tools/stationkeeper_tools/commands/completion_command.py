"""`stationkeeper completion`."""

import click
from click.shell_completion import get_completion_class

from stationkeeper_tools.commands.output import print_text


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes this program's commands and options in SHELL.

    `stationkeeper completion bash > ~/.local/share/bash-completion/completions/stationkeeper`

    `stationkeeper completion zsh > "${fpath[1]}/_stationkeeper"`

    `stationkeeper completion fish > ~/.config/fish/completions/stationkeeper.fish`
    """
    found = get_completion_class(shell)
    if found is None:
        raise TypeError(f"click has no completion for {shell}")
    root = context.find_root()
    print_text(found(root.command, {}, "stationkeeper", "_STATIONKEEPER_COMPLETE").source())
