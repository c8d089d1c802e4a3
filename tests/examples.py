"""How many examples a property is tried with, in proportion to what the profile of hypothesis gives by default."""

from hypothesis import settings

DEFAULT = 100
FAST = 10


def examples(number: int) -> int:
    """Return how many examples to try where the usual profile tries `number`: fewer in `make test-fast`."""
    return max(2, number * settings().max_examples // DEFAULT)
