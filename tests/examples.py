"""The number of examples for a property, in proportion to the profile of hypothesis."""

from hypothesis import settings

DEFAULT = 100
FAST = 10


def examples(number: int) -> int:
    """Return the number of examples; it is `number` with the usual profile, and fewer in `make test-fast`."""
    return max(2, number * settings().max_examples // DEFAULT)
