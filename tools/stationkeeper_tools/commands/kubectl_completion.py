"""The completions of `kubectl stationkeeper …` for kubectl.

kubectl runs `kubectl_complete-stationkeeper` with the words after the plugin's name; the last one is the word to
complete, and may be empty. It reads candidates, one a line, with a tab before the description, and then a line with a
colon and a sum of directives, as cobra's `__complete` writes them. Source: `kubectl plugin --help` and cobra's
`ShellCompDirective`.
"""

from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from stationkeeper_tools.commands.program import NAME, program

_FILES, _NO_FILES, _FOLDERS = 0, 4, 16
_DIRECTIVES = {"file": _FILES, "dir": _FOLDERS}


def completion(words: Sequence[str]) -> str:
    """Return the completions as the text that kubectl reads.

    Args:
        words: after `kubectl stationkeeper`; the last one is the word to complete.
    """
    *before, incomplete = words or [""]
    found = ShellComplete(program, {}, NAME, "").get_completions(before, incomplete)
    directive = next((_DIRECTIVES[each.type] for each in found if each.type in _DIRECTIVES), _NO_FILES)
    lines = [f"{each.value}\t{each.help or ''}".rstrip() for each in found if each.type == "plain"]
    return "\n".join([*lines, f":{directive}"])


def run(words: Sequence[str]) -> None:
    """Print the completions for these words, as kubectl reads them."""
    click.echo(completion(words))
