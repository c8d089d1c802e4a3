"""A JSON merge patch, as an API server applies it."""

from collections.abc import Mapping
from typing import Any


def merged(held: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return what RFC 7396 makes of an object and a patch; both stay as they are."""
    found = {name: value for name, value in held.items() if patch.get(name, value) is not None}
    for name, value in patch.items():
        if isinstance(value, dict):
            inner = found.get(name)
            found[name] = merged(inner if isinstance(inner, dict) else {}, value)
        elif value is not None:
            found[name] = value
    return found
