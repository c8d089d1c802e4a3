"""Print results: text for people, or JSON for programs; colour and progress on terminals only."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import click

from stationkeeper_core.published.observation import clean

PROGRESS_AFTER_SECONDS = 1.0

_META_KEY = "stationkeeper.output"
# The control characters that a text for a terminal may have: ends of lines, and the colours that `coloured` writes.
_KEPT = re.compile(r"(\n|\x1b\[(?:0|1|22|31|32|33|36)m)")
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Item = TypeVar("_Item")


class Output(StrEnum):
    """The forms that a result can have."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


class Colour(StrEnum):
    """The colours in use, by their meaning."""

    GOOD = "green"
    BAD = "red"
    CAUTION = "yellow"
    NAME = "cyan"


def output_option(*more: Output) -> Callable[[_Decorated], _Decorated]:
    """Return the option `--output` of a command: text, JSON, and the forms in `more`."""
    choices = [each.value for each in (Output.TEXT, Output.JSON, *more)]

    def remember(context: click.Context, _parameter: click.Parameter, value: str) -> Output:
        context.meta[_META_KEY] = Output(value)
        return Output(value)

    return click.option(
        "--output",
        type=click.Choice(choices),
        default=Output.TEXT.value,
        show_default=True,
        is_eager=True,
        callback=remember,
        help="The form of the result on standard output.",
    )


def chosen_output(context: click.Context | None) -> Output:
    """Return the form that the command line asks for; text if it names none."""
    found = context.meta.get(_META_KEY, Output.TEXT) if context is not None else Output.TEXT
    return Output(found)


def print_json(fields: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(_json(fields, indent=2))


def print_json_line(fields: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of standard output, at once."""
    click.echo(_json(fields))


def print_text(text: str = "") -> None:
    """Print lines for people on standard output; without colours if it is not a terminal."""
    click.echo(harmless(text), color=_colour())


def print_note(text: str) -> None:
    """Print lines for people on standard error."""
    click.echo(harmless(text), err=True, color=_colour())


def harmless(text: str) -> str:
    """Return `text` without characters that control a terminal, but for line ends and colours.

    A text may quote what a manifest or a certificate says, and its author need not be the person at the terminal.
    """
    if text.isprintable():
        return text
    return "".join(part if _KEPT.fullmatch(part) else clean(part, len(part)) for part in _KEPT.split(text))


def coloured(text: str, colour: Colour, *, bold: bool = False) -> str:
    """Return `text` in a colour, for `print_text` and `print_note`."""
    return click.style(text, fg=colour.value, bold=bold)


def counted(
    items: Iterable[_Item], length: int, label: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[_Item]:
    """Yield `items`, and show a progress bar on standard error once they take longer than a second.

    Args:
        items: the items.
        length: how many there are.
        label: what is done with them, for the progress bar.
        clock: monotonic seconds.
    """
    begin = clock()
    bar: Any = None
    try:
        for number, item in enumerate(items):
            yield item
            if bar is not None:
                bar.update(1)
            elif sys.stderr.isatty() and clock() - begin > PROGRESS_AFTER_SECONDS:
                bar = click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=1 + length // 500)
                bar.__enter__()
                bar.update(number + 1)
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)


def _json(fields: Mapping[str, Any], indent: int | None = None) -> str:
    """Return JSON with escapes for invisible characters, and for those that control a terminal."""
    text = json.dumps(fields, indent=indent, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def _colour() -> bool | None:
    """Return False if `NO_COLOR` is set (https://no-color.org), None if the terminal decides."""
    return False if os.environ.get("NO_COLOR") else None
