"""Make JSON merge patches (RFC 7396)."""

from collections.abc import Mapping
from typing import Any


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the patch that turns `before` into `after`, with only the differences; null removes a field."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        earlier = before.get(name)
        if isinstance(earlier, dict) and isinstance(value, dict):
            if earlier != value:
                patch[name] = merge_patch(earlier, value)
        elif earlier != value:
            patch[name] = value
    return patch
