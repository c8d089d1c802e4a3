"""Write what README.md and the schema say of the chart's values, from the comments in `values.yaml`.

The comment right above a value documents it. A mapping whose own keys have comments is a section; any other mapping is
one value, with its default as a whole.

Run it as `make docs`; a test checks that both files are up to date.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "stationkeeper"
BEGIN, END = "<!-- values: written by make docs -->\n", "<!-- end of values -->\n"


class UndocumentedError(ValueError):
    """A value has no comment."""


@dataclass(frozen=True)
class Documented:
    """A value, or a section of values.

    Attributes:
        path: its keys.
        text: its comment, in one line.
        default: as `values.yaml` has it.
        is_section: whether its own keys are documented.
    """

    path: tuple[str, ...]
    text: str
    default: Any
    is_section: bool


def documented(values: str) -> list[Documented]:
    """Return all values and sections of the text of a `values.yaml`, in its order.

    Raises:
        UndocumentedError: one has no comment.
    """
    return list(
        _walk(yaml.compose(values, yaml.CSafeLoader), yaml.load(values, yaml.CSafeLoader), values.splitlines(), ())
    )


def with_table(readme: str, found: list[Documented]) -> str:
    """Return the text of a README.md with the table of `found` between its two marks."""
    rows = [
        f"| `{'.'.join(each.path)}` | `{json.dumps(each.default)}` | {each.text} |"
        for each in found
        if not each.is_section
    ]
    before, _, rest = readme.partition(BEGIN)
    table = "\n".join(["| value | default | what it is |", "|-|-|-|", *rows])
    return f"{before}{BEGIN}{table}\n{END}{rest.partition(END)[2]}"


def with_descriptions(schema: str, found: list[Documented]) -> str:
    """Return the text of a JSON schema with the comment of each of `found` as its description.

    Raises:
        UndocumentedError: the schema lacks one of them, or has a value that `found` has not.
    """
    tree = json.loads(schema)
    sections = {(): tree} | {each.path: _property(tree, each.path) for each in found if each.is_section}
    for each in found:
        _property(tree, each.path)["description"] = each.text
    named = {each.path for each in found} | {("global",)}
    for path, section in sections.items():
        if unknown := {(*path, name) for name in section["properties"]} - named:
            raise UndocumentedError(f"values.yaml lacks {sorted('.'.join(each) for each in unknown)}")
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _property(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path:
        if name not in schema.get("properties", {}):
            raise UndocumentedError(f"values.schema.json lacks {'.'.join(path)}")
        schema = schema["properties"][name]
    return schema


def _walk(
    node: yaml.Node | None, values: dict[str, Any], lines: list[str], path: tuple[str, ...]
) -> Iterator[Documented]:
    for key, child in node.value if isinstance(node, yaml.MappingNode) else ():
        name = (*path, key.value)
        text = _comment(lines, key.start_mark.line)
        if not text:
            raise UndocumentedError(f"{'.'.join(name)} has no comment right above it")
        default = values[key.value]
        is_section = isinstance(child, yaml.MappingNode) and any(
            _comment(lines, inner.start_mark.line) for inner, _ in child.value
        )
        yield Documented(name, text, default, is_section)
        if is_section:
            yield from _walk(child, default, lines, name)


def _comment(lines: list[str], line: int) -> str:
    texts: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        texts.insert(0, lines[line].lstrip().removeprefix("# "))
    return " ".join(texts)


def main() -> int:
    """Write both files; return the exit status."""
    found = documented((CHART / "values.yaml").read_text(encoding="utf-8"))
    for name, write in (("README.md", with_table), ("values.schema.json", with_descriptions)):
        file = CHART / name
        file.write_text(write(file.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
