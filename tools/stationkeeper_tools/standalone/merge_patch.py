"""Apply a JSON merge patch, as an API server does."""

from collections.abc import Mapping
from typing import Any


def merged(held: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with the patch applied (RFC 7396); neither argument is changed."""
    found = {name: value for name, value in held.items() if patch.get(name, value) is not None}
    for name, value in patch.items():
        if isinstance(value, dict):
            inner = found.get(name)
            found[name] = merged(inner if isinstance(inner, dict) else {}, value)
        elif value is not None:
            found[name] = value
    return found
