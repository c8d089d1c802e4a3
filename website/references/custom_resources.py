"""The page of every field of the custom resources, generated from their definitions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stationkeeper_tools.shipped_manifests import crd_files, load
from website.references.table import table, text

_HEAD = """# Custom resources, field by field

Every field of the three kinds, its bounds, and what the API server refuses. `kubectl explain` shows the same.
[Resources](resources.md) says how to use them, with examples.
This page is generated from `crds/` by `make docs`.
"""
_QUOTE = '"'
_SPANS = (
    ("minLength", "maxLength", "characters"),
    ("minItems", "maxItems", "items"),
    ("minProperties", "maxProperties", "entries"),
    ("minimum", "maximum", ""),
)
_ORDER = ("TrustedCA", "Gateway", "GatewayDefaults")


def page() -> str:
    """Return the page."""
    definitions = [each for path in crd_files() for each in load(path)]
    found = {each["spec"]["names"]["kind"]: each for each in definitions}
    return _HEAD + "".join(_section(found.pop(kind)) for kind in _ORDER) + "".join(map(_section, found.values()))


def _section(crd: Mapping[str, Any]) -> str:
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    called = [f"`{crd['metadata']['name']}`", *(f"`{each}`" for each in names.get("shortNames", ()))]
    parts = [
        f"\n## {names['kind']}\n\n{text(schema['description'])}\n\nVersion `{crd['spec']['group']}/{version['name']}`; "
        f"for kubectl {' or '.join(called)}.\n"
    ]
    for part in ("spec", "status"):
        if part in schema["properties"]:
            rows = list(_rows(part, schema["properties"][part], part in schema.get("required", ())))
            parts.append(f"\n### {part} of a {names['kind']}\n\n")
            parts.append(table(("field", "type", "what it is", "bounds"), rows))
    columns = version.get("additionalPrinterColumns", ())
    parts.append(f"\n### Columns of a {names['kind']}\n\nThe columns of `kubectl get`; some only with `-o wide`.\n\n")
    parts.append(table(("column", "what it is"), (_column(each) for each in columns)))
    return "".join(parts)


def _rows(path: str, schema: Mapping[str, Any], is_required: bool) -> Iterator[tuple[str, ...]]:
    bounds = "; ".join(_bounds(schema, is_required))
    yield f"`{path}`", _type(schema), text(schema.get("description", "")), bounds
    inner = schema
    while inner["type"] == "array":
        inner, path = inner["items"], f"{path}[]"
        if "description" in inner:
            yield f"`{path}`", _type(inner), text(inner["description"]), "; ".join(_bounds(inner, is_required=False))
    for name, child in inner.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", child, name in inner.get("required", ()))


def _type(schema: Mapping[str, Any]) -> str:
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return "map" if "additionalProperties" in schema else str(schema["type"])


def _bounds(schema: Mapping[str, Any], is_required: bool) -> Iterator[str]:
    if is_required:
        yield "required"
    if "default" in schema:
        yield f"default `{json.dumps(schema['default']).strip(_QUOTE)}`"
    if "enum" in schema:
        yield " or ".join(f"`{each}`" for each in schema["enum"])
    if "format" in schema:
        yield str(schema["format"])
    for least, most, unit in _SPANS:
        if least in schema or most in schema:
            yield _span(schema.get(least), schema.get(most), unit)
    if schema.get("x-kubernetes-list-type") in {"set", "map"}:
        yield "none twice"
    yield from (f"refused: {text(each['message'])}" for each in schema.get("x-kubernetes-validations", ()))


def _span(least: int | None, most: int | None, unit: str) -> str:
    if most is None:
        return f"{least:,} {unit} or more"
    low = "at most" if least is None else f"{least:,} to"
    return f"{low} {most:,} {unit}".rstrip()


def _column(column: Mapping[str, Any]) -> tuple[str, str]:
    wide = " (`-o wide`)" if column.get("priority") else ""
    return f"{column['name']}{wide}", text(column.get("description", "The time since its creation."))
