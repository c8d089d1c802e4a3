"""Tables of Markdown."""

import re
from collections.abc import Iterable, Sequence

BAR = r"\|"

_CODE = re.compile(r"(`[^`]*`)")
_MARKUP = re.compile(r"([*<\\])")


def text(words: str) -> str:
    """Return a text as Markdown for one line; only code spans in it are markup."""
    one_line = " ".join(words.split())
    return "".join(
        part if part.startswith("`") else _MARKUP.sub(r"\\\1", part) for part in _CODE.split(one_line) if part
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Args:
        columns: their titles.
        rows: each has a cell of Markdown for each column.
    """
    lines = [_line(columns), "|-" * len(columns) + "|\n", *map(_line, rows)]
    return "".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {each.replace('|', BAR)} |" for each in cells) + "\n"
