"""`stationkeeper commands`: prints `docs/commands.md`, made from the commands themselves."""

import inspect
from collections.abc import Iterator

import click

from stationkeeper_tools.commands.exit_codes import MEANINGS

_INTRODUCTION = """\
# Commands

One command for each intent. `stationkeeper COMMAND --help` shows the same on a terminal.
This page is generated from the commands by `make docs`.

- `--output json` prints one JSON object on standard output. Notes, progress and errors go to standard error; an error
  is a JSON object `{"error": {"reason", "message", "exitCode"}}` on standard output as well.
- Colours and progress bars appear on terminals only. `NO_COLOR=1` switches colours off.
- `stationkeeper completion bash|zsh|fish` prints the script for your shell.
- `kubectl stationkeeper COMMAND` does the same: the plugin `kubectl-stationkeeper` is installed too.
  If kubectl completes in your shell, it completes these commands too (`kubectl_complete-stationkeeper`).
- No command prints a private key or a token.

## Exit codes

| code | meaning | what to do |
|-|-|-|"""


@click.command("commands")
@click.pass_context
def command(context: click.Context) -> None:
    """Print the page of all commands as Markdown."""
    root = context.find_root().command
    if not isinstance(root, click.Group):
        raise TypeError("the program is a group of commands")
    click.echo(commands_page(root), nl=False)


def commands_page(root: click.Group) -> str:
    """Return `docs/commands.md`: the exit codes, and every command of `root` with its options."""
    lines = [_INTRODUCTION, *(f"| {int(code)} | {' | '.join(texts)} |" for code, texts in MEANINGS.items())]
    with click.Context(root, info_name=root.name) as context:
        for name in root.list_commands(context):
            found = root.get_command(context, name)
            if found is not None:
                lines += _sections(found, click.Context(found, info_name=name, parent=context), "##")
    return "\n".join(lines) + "\n"


def _sections(command: click.Command, context: click.Context, mark: str) -> Iterator[str]:
    """Yield the section of a command and of its subcommands."""
    yield from _section(command, context, mark)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _sections(below, click.Context(below, info_name=name, parent=context), f"{mark}#")


def _section(command: click.Command, context: click.Context, mark: str) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("", f"{mark} {context.command_path.partition(' ')[2]}", "", "```", usage, "```")
    yield from ("", inspect.cleandoc(command.help or ""))
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield from ("", "| option | meaning |", "|-|-|")
        yield from (_row(option, context) for option in options)


def _row(option: click.Option, context: click.Context) -> str:
    names, text = option.get_help_record(context) or ("", "")
    return f"| `{_cell(names)}` | {_cell(text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
