"""The files for contributors agree with the project: dependabot, pre-commit, the dev container, pages."""

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.mutation.targets import TARGETS

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
DEV_CONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())


def of_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_dependabot_looks_after_every_go_module() -> None:
    (go,) = (each for each in of_yaml(".github/dependabot.yml")["updates"] if each["package-ecosystem"] == "gomod")
    looked_after = {path for pattern in go["directories"] for path in ROOT.glob(pattern.removeprefix("/"))}
    skipped = {".venv", "build", "dist", "node_modules"}
    modules = {path.parent for path in ROOT.rglob("go.mod") if not skipped & {*path.relative_to(ROOT).parts}}
    assert modules
    assert looked_after == modules


def test_pre_commit_runs_what_make_lint_runs() -> None:
    (repository,) = of_yaml(".pre-commit-config.yaml")["repos"]
    before = {hook["entry"].removeprefix("uv run --frozen ") for hook in repository["hooks"]}
    target = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    linted = {each.removesuffix(" .") for each in re.findall(r"run --frozen (.+)", target)}
    assert before == linted


def test_the_dev_container_sets_up_by_make_with_the_oldest_python() -> None:
    make, *targets = DEV_CONTAINER["updateContentCommand"].split()
    assert make == "make"
    assert [each for each in targets if f"\n{each}:" not in MAKEFILE] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [each["version"] for name, each in DEV_CONTAINER["features"].items() if "/python:" in name]
    assert [f">={each}" for each in pythons] == [project["requires-python"]]


def test_nothing_is_skipped_in_ci_and_in_the_dev_container_for_want_of_a_package() -> None:
    reasons = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    wanted = {
        word
        for text in reasons
        for found in re.findall(r"apt-get install ([a-z -]+)\"", text)
        for word in found.split()
    }
    assert {"nginx", "libnginx-mod-stream", "haproxy", "chromium"} <= wanted
    assert wanted <= {*re.findall(r"[\w-]+", (ROOT / "CONTRIBUTING.md").read_text())}
    assert wanted <= {*DEV_CONTAINER["onCreateCommand"].split()}
    assert "debian" in DEV_CONTAINER["image"]
    for name in ("test", "coverage"):
        job = of_yaml(".github/workflows/ci.yml")["jobs"][name]
        (install,) = (each["run"] for each in job["steps"] if "apt-get" in each.get("run", ""))
        # Chromium is on GitHub's runner; Ubuntu has no package of that name, and the step would fail.
        assert job["runs-on"].startswith("ubuntu")
        assert "chromium" not in install.split()
        assert wanted - {"chromium"} <= {*install.split()}


def test_a_file_that_the_page_for_contributors_names_exists() -> None:
    page = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    named = {*re.findall(r"`([\w.-]+/[\w./-]+)`", page), *re.findall(r"\]\((?!https?:)([\w./-]+)", page)}
    assert "cups/stationkeeper_core/errors.py" in named
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


def test_the_picture_of_a_request_names_symbols_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    picture = page.partition("## One request")[2].split("```")[1]
    named = re.findall(r"^ *(stationkeeper_[\w.]+)", picture, re.MULTILINE)
    assert len(named) == len(picture.strip().splitlines())
    for name in named:
        module = next(part for part in parents_of(name) if importlib.util.find_spec(part) is not None)
        found: Any = importlib.import_module(module)
        for attribute in name.removeprefix(module).split(".")[1:]:
            found = getattr(found, attribute)
        assert callable(found), name


def parents_of(name: str) -> Iterator[str]:
    """Yield the packages and modules that may contain a symbol, the innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        if name.rpartition(".")[2].islower():
            yield name


def test_the_picture_of_the_rooms_names_rooms_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    picture = page.partition("## One picture of the rooms")[2].split("```")[1]
    packages = ("cups/stationkeeper_core", "cups/stationkeeper_cups", "operator/stationkeeper_operator")
    named = {*re.findall(r"\b([a-z_]+/|[a-z_]+\.py)", picture)}
    assert "compiling/" in named
    assert [each for each in sorted(named) if not any((ROOT / package / each).exists() for package in packages)] == []


def test_only_the_room_that_contributing_names_raises_the_reason() -> None:
    raising = {
        str(path.relative_to(ROOT))
        for package in ("cups", "operator", "tools")
        for path in (ROOT / package).rglob("*.py")
        if "COMMON_NAME_NOT_EUI" in path.read_text()
    }
    core = "cups/stationkeeper_core"
    assert raising == {f"{core}/errors.py", f"{core}/reason_table.py", f"{core}/x509/client_certificate.py"}


def test_the_weekly_workflow_tries_every_target_whose_files_exist() -> None:
    job = of_yaml(".github/workflows/mutation.yml")["jobs"]["mutation"]
    assert job["strategy"]["matrix"]["target"] == sorted(TARGETS)
    roots = ("cups", "operator")
    for name, target in TARGETS.items():
        assert all(any((ROOT / root / module).is_file() for root in roots) for module in target.modules), name
        assert [each for each in target.tests if not (ROOT / each).exists()] == [], name
