"""The page of the settings of operator and CUPS, generated from their command lines."""

import argparse
import functools
import re
from collections.abc import Iterator

from stationkeeper_cups.settings import command_line as cups_command_line
from stationkeeper_operator.settings import command_line as operator_command_line
from website.references.table import table, text

_HEAD = """# Settings of the programs

The settings of `stationkeeper-operator` and `stationkeeper-cups`, as flags or environment variables. A flag overrides
its variable. The chart sets them: see [its values](chart-values.md). `stationkeeper serve` has
[options of its own](commands.md#serve).
This page is generated from the code by `make docs`.
"""
_WIDE = 1000
_FLAG = re.compile(r"^  (--[a-z-]+) [A-Z_]+ +(.+)$", re.MULTILINE)
_HELP = re.compile(
    r"(?P<text>.*?)(?:[;,] default: (?P<own>[^(]*))? \((?P<variable>[A-Z_]+)(?:; default: (?P<default>.*))?\)"
)


def page() -> str:
    """Return the page."""
    parsers = (operator_command_line({}), cups_command_line({}))
    return _HEAD + "".join(_section(each) for each in parsers)


def _section(parser: argparse.ArgumentParser) -> str:
    rows = table(("flag", "variable", "default", "what it is"), _rows(parser))
    return f"\n## {parser.prog}\n\n{parser.description}\n\n{rows}"


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    for flag, help_text in _flags(parser):
        found = _HELP.fullmatch(help_text)
        if found is None:
            raise ValueError(f"{flag}: its help does not end with its variable in brackets: {help_text!a}")
        default = f"`{found['default']}`" if found["default"] else found["own"] or ""
        yield f"`{flag}`", f"`{found['variable']}`", default, text(found["text"])


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Return each flag that takes a value with its help, as `--help` shows them in one line each."""
    parser.formatter_class = functools.partial(argparse.HelpFormatter, width=_WIDE, max_help_position=_WIDE // 2)
    yield from _FLAG.findall(parser.format_help())
