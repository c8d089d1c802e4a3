"""Apply a JSON merge patch, as an API server does."""

from collections.abc import Mapping
from typing import Any


def merged(present: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with the patch applied (RFC 7396); neither argument is changed."""
    result = {name: value for name, value in present.items() if patch.get(name, value) is not None}
    for name, value in patch.items():
        if isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        elif value is not None:
            result[name] = value
    return result
