"""No module imports itself through others, not even for a type; import-linter does not see such imports."""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FROM = re.compile(r"^[ ]*from ([\w.]+) import (?:\(([^)]*)\)|([^(\n]*))", re.MULTILINE)
IMPORT = re.compile(r"^[ ]*import ([\w., ]+)", re.MULTILINE)
IMPORT_ROOTS = {"cups": "cups", "operator": "operator", "tools": "tools", "tests": ""}


def modules() -> dict[str, Path]:
    found = {}
    for folder, root in IMPORT_ROOTS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(text: str) -> Iterator[str]:
    for module, in_brackets, plain in FROM.findall(text):
        yield module
        yield from (f"{module}.{each.split()[0]}" for each in (in_brackets or plain).split(",") if each.strip())
    for plain in IMPORT.findall(text):
        yield from (each.split()[0] for each in plain.split(",") if each.strip())


def circle(texts: Mapping[str, str]) -> list[str]:
    """Return the modules of a circle; none if there is no circle.

    Args:
        texts: the source of each module, by its name.
    """
    graph = {name: {each for each in imported(text) if each in texts} for name, text in texts.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle({name: path.read_text() for name, path in modules().items()}) == []


@pytest.mark.parametrize(
    "of_a", ["from b import B", "if TYPE_CHECKING:\n    import b", "def f() -> None:\n    import b"]
)
def test_a_circle_is_found_also_in_imports_for_types_and_in_functions(of_a: str) -> None:
    assert set(circle({"a": of_a, "b": "from c import C", "c": "import a"})) == {"a", "b", "c"}
    assert circle({"a": of_a, "b": "from c import C", "c": ""}) == []
