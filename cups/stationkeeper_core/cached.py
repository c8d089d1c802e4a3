"""A property that is computed once, and then stored as an attribute of its object."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 - named and used like the standard one
    """A property that is computed at its first use.

    Before Python 3.12, `functools.cached_property` takes a lock, which costs more than most of the values here. Two
    threads may both compute a value; they get the same one.

    Args:
        compute: computes the value for an object; the object needs a `__dict__`.
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
        """Return the value, and store it in the object in place of this property."""
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._compute(instance)
        return found
