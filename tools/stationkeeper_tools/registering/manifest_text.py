"""A manifest as YAML that people like to read: an EUI in quotes, a PEM text as a block."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

_LIKE_A_NUMBER = re.compile(r"[0-9A-F]{16}|[0-9].*")


class _Dumper(yaml.SafeDumper):
    """Writes texts in quotes if a reader could take them for numbers."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    style = '"' if _LIKE_A_NUMBER.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as YAML; the same manifest gives the same text."""
    return str(yaml.dump(dict(manifest), Dumper=_Dumper, sort_keys=False, width=120))
