"""What is derived of an object once, and then is one of its attributes."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 - it is used, and called, as the standard one is
    """A property that is computed when it is asked for first.

    That of `functools` takes a lock before Python 3.12, at more than the cost of most of what is derived here. Two
    threads may compute it both; they find the same.

    Args:
        compute: gives the value for an object, which has a `__dict__`.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "cached_property[T]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> "T | cached_property[T]":
        """Return the value; it hides this property from then on."""
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._compute(instance)
        return found
