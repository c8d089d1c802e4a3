"""Report all that is wrong with a person's input at once."""

from collections.abc import Sequence

MAX_SHOWN = 20


class InputError(Exception):
    """A file or an option cannot be used.

    Args:
        problems: each says what is wrong, where, and what to do; at least one. The first 20 are shown.

    Attributes:
        problems: all of them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(_shown(problems))
        self.problems = problems


def _shown(problems: Sequence[str]) -> str:
    more = len(problems) - MAX_SHOWN
    return "\n".join((*problems[:MAX_SHOWN], *((f"… and {more} more",) if more > 0 else ())))
