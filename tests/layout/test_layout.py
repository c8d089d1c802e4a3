"""The rules of the tree that no linter checks."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for root in ("cups", "operator", "tools", "tests") for path in (ROOT / root).rglob("*.py")]


@pytest.mark.parametrize("import_root", ["operator", "cups", "tools"])
def test_an_import_root_is_not_a_package(import_root: str) -> None:
    assert not (ROOT / import_root / "__init__.py").exists()


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_no_module_is_a_drawer() -> None:
    assert [path for path in SOURCES if path.stem in {"utils", "util", "helpers", "common", "misc"}] == []


def test_the_chart_includes_the_only_copy_of_the_definitions() -> None:
    link = ROOT / "helm" / "stationkeeper" / "definitions"
    assert link.is_symlink()
    assert link.resolve() == (ROOT / "crds").resolve()


def rooms_of(package: str) -> set[str]:
    return {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}


def test_the_page_on_the_architecture_has_each_room_of_the_tools() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| room of `stationkeeper_tools` |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)) == sorted(rooms_of("tools/stationkeeper_tools"))


@pytest.mark.parametrize(
    "package", ["cups/stationkeeper_core", "cups/stationkeeper_cups", "operator/stationkeeper_operator"]
)
def test_the_page_on_the_architecture_has_each_room_in_the_order_of_its_contract(package: str) -> None:
    name = Path(package).name
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each.get("containers") == [name])
    floors = {room.strip(): floor for floor, rooms in enumerate(layers) for room in rooms.split("|")}
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition(f"| room of `{name}` |")[2].partition("\n\n")[0]
    rooms = re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE)

    assert set(rooms) == rooms_of(package)
    assert [floors[room] for room in rooms] == sorted(floors[room] for room in rooms)
