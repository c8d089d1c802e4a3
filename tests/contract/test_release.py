"""The published files of a release, as far as they can be made here; `make release-check` does the rest."""

import datetime
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from release import changelog, chart, check, krew, licences, versions, workflows
from release.check import Release
from stationkeeper_tools.programs.binaries import HELM_VERSION, KUBERNETES_VERSION
from tests.contract.chart import run_helm
from tests.contract.helm_3 import HELM_3_VERSION

ROOT = Path(__file__).parents[2]
VERSION = versions.version()
DATE = datetime.date(2027, 1, 31)
DIGESTS = {"cups": f"sha256:{'c' * 64}", "operator": f"sha256:{'0' * 64}"}
PAGE = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of all files that name the version."""
    for place in versions.PLACES:
        for path in ROOT.glob(place.files):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    shutil.copy(ROOT / changelog.PAGE, tmp_path)
    return tmp_path


NAMING = [
    place
    for place in versions.PLACES
    if any(re.search(place.pattern, path.read_text(), re.MULTILINE) for path in ROOT.glob(place.files))
]


@pytest.mark.parametrize("place", NAMING, ids=lambda place: f"{place.files} {place.pattern}")
def test_each_place_names_the_version_and_one_that_differs_is_reported(place: versions.Place, sources: Path) -> None:
    path = next(path for path in sorted(sources.glob(place.files)) if VERSION in path.read_text())
    text = path.read_text()
    with pytest.MonkeyPatch.context() as only:
        only.setattr(versions, "PLACES", (place,))
        versions.write(sources, "9.8.7", DATE)
    assert path.read_text() != text

    with pytest.raises(versions.VersionError, match=rf"9\.8\.7 in [^;]*{path.name}"):
        versions.version(sources)


def test_a_place_that_names_no_version_is_reported(sources: Path) -> None:
    (sources / "Containerfile").write_text("FROM scratch\n")

    with pytest.raises(versions.VersionError, match="none in Containerfile"):
        versions.version(sources)


def test_a_new_version_is_written_everywhere_and_has_what_was_unreleased(sources: Path) -> None:
    page = (sources / changelog.PAGE).read_text()

    versions.write(sources, "0.2.0", DATE)

    assert versions.version(sources) == "0.2.0"
    written = (sources / changelog.PAGE).read_text()
    assert changelog.section(written, "0.2.0") == changelog.section(page, changelog.UNRELEASED)
    with pytest.raises(changelog.ChangelogError, match="says nothing of Unreleased"):
        changelog.section(written, changelog.UNRELEASED)


@pytest.mark.parametrize("new", ["0.2", "v0.2.0", "0.2.0rc1", "0.2.0-rc.1", "01.2.0", ""])
def test_a_version_is_three_numbers(new: str, sources: Path) -> None:
    with pytest.raises(versions.VersionError, match="is no version"):
        versions.write(sources, new, DATE)
    assert versions.version(sources) == VERSION


def test_a_section_ends_where_the_next_begins() -> None:
    assert changelog.section(PAGE, changelog.UNRELEASED) == "- New."
    assert changelog.section(PAGE, "0.1.0") == "- Old."


@pytest.mark.parametrize(
    ("page", "name", "message"),
    [
        (PAGE, "0.3.0", "has no section 0.3.0"),
        (PAGE.replace("- New.", ""), changelog.UNRELEASED, "says nothing"),
        (PAGE.replace(" - 2026-12-01", ""), "0.1.0", "has no date"),
    ],
)
def test_a_section_that_cannot_be_published_is_reported(page: str, name: str, message: str) -> None:
    with pytest.raises(changelog.ChangelogError, match=message):
        changelog.section(page, name)


def test_a_version_is_released_once() -> None:
    with pytest.raises(changelog.ChangelogError, match=r"has a section 0\.1\.0 already"):
        changelog.released(PAGE, "0.1.0", DATE)


def test_a_tag_of_another_version_fails_and_so_does_a_version_that_the_changelog_lacks(tmp_path: Path) -> None:
    assert check.failed(["version", "changelog"], Release(tmp_path)) == []
    assert check.failed(["version"], Release(tmp_path, "v99.0.0")) == ["version"]
    section = f"## [{VERSION}] - "
    lacking = [] if section in (ROOT / changelog.PAGE).read_text() else ["changelog"]
    assert check.failed(["version", "changelog"], Release(tmp_path, f"v{VERSION}")) == lacking


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, Any]:
    """Return the manifest for krew; its archive is in `tmp_path`."""
    found = yaml.safe_load(krew.write(tmp_path).read_text())
    assert isinstance(found, dict)
    return found


def test_krew_finds_the_archive_that_the_manifest_names(plugin: dict[str, Any], tmp_path: Path) -> None:
    (platform,) = plugin["spec"]["platforms"]
    packed = tmp_path / platform["uri"].rpartition("/")[2]
    assert hashlib.sha256(packed.read_bytes()).hexdigest() == platform["sha256"]
    assert plugin["spec"]["version"] == f"v{VERSION}"
    assert f"/releases/download/v{VERSION}/" in platform["uri"]
    with tarfile.open(packed) as archive:
        assert {entry.name for entry in archive} == {platform["bin"], "LICENSE"}


def run_plugin(tmp_path: Path, path: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with tarfile.open(krew.archive(tmp_path)) as archive:
        # Python before 3.11.4 has no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)  # noqa: S202 - of our own making
    command = [str(tmp_path / krew.PROGRAM), *arguments]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False)


def test_the_plugin_runs_the_installed_program_with_its_words_as_they_are(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "stationkeeper"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"\nexit 4\n')
    program.chmod(0o755)

    done = run_plugin(tmp_path, f"{program.parent}:{os.defpath}", "revoke", "a b", "")

    assert (done.stdout, done.returncode) == ("<revoke><a b><>", 4)


def test_the_plugin_says_what_to_install_where_the_program_is_not(tmp_path: Path) -> None:
    done = run_plugin(tmp_path, os.defpath, "status")

    assert (done.stdout, done.returncode) == ("", 127)
    assert f"pipx install 'stationkeeper[tools]=={VERSION}'" in done.stderr


@pytest.mark.slow
def test_a_packed_chart_names_the_published_images_by_digest(tmp_path: Path) -> None:
    packed = chart.package(tmp_path, "ghcr.io/example", DIGESTS)

    rendered = list(yaml.load_all(run_helm("template", "stationkeeper", packed), yaml.CSafeLoader))

    found = {
        container["image"]
        for each in rendered
        if each and each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert found == {f"ghcr.io/example/stationkeeper-{name}@{digest}" for name, digest in DIGESTS.items()}
    readme = run_helm("show", "readme", packed)
    assert all(digest in readme for digest in DIGESTS.values())


@pytest.mark.slow
def test_a_chart_that_is_packed_again_is_the_same_whenever_its_files_were_written(tmp_path: Path) -> None:
    first = chart.package(tmp_path / "first").read_bytes()
    with tarfile.open(next((tmp_path / "first").iterdir())) as archive:
        assert len({entry.mtime for entry in archive}) == 1

    assert chart.package(tmp_path / "second").read_bytes() == first


@pytest.mark.parametrize(
    "digests",
    [{}, {**DIGESTS, "cups": "sha256:abc"}, {**DIGESTS, "operator": DIGESTS["operator"].removeprefix("sha256:")}],
)
def test_a_chart_without_the_digest_of_an_image_is_not_packed(digests: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(chart.ChartError, match="the digest of the image"):
        chart.package(tmp_path, "ghcr.io/example", digests)


@pytest.mark.parametrize(
    ("said", "permitted"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("GPL-3.0-only", False),
        ("Proprietary, MIT License", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_a_licence_is_permitted_by_all_terms_that_bind(said: str, permitted: bool) -> None:
    assert licences.permitted(said) == permitted


def test_a_package_of_another_licence_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text('{"components": [{"name": "kopf"}, {"name": "pyyaml"}, {"name": "of-another-system"}]}')
    assert licences.refused(bill) == {}

    monkeypatch.setattr(licences, "PERMITTED", {"MIT License"})

    assert licences.refused(bill) == {"kopf": "MIT"}


def test_every_workflow_names_each_action_by_its_commit() -> None:
    assert [path.name for path in workflows.files()] != []
    assert workflows.unpinned(workflows.files()) == {}


@pytest.mark.parametrize(
    "uses",
    [
        "actions/checkout@v7",
        "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "actions/checkout@3d3c42e # v7",
        "'actions/checkout@v7'",
        "docker://alpine:3",
        "actions/checkout@main # v7.0.1",
    ],
)
def test_an_action_that_is_named_otherwise_is_reported(uses: str, tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text(f"jobs:\n  a:\n    steps:\n      - uses: {uses}\n      - name: b\n        uses:  {uses}\n")

    assert workflows.unpinned([path]) == {"ci.yml": [uses, uses]}


def test_the_page_of_versions_names_what_is_required_and_what_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    least = yaml.safe_load((ROOT / "helm/stationkeeper/Chart.yaml").read_text())["kubeVersion"]
    versions = (KUBERNETES_VERSION, HELM_3_VERSION, HELM_VERSION)
    kubernetes, helm_3, helm = (each.rpartition(".")[0] for each in versions)
    page = (ROOT / "docs/versions.md").read_text()

    assert f"| Kubernetes | {least.removeprefix('>=').removesuffix('.0-0')} | {kubernetes} |" in page
    assert f"| 3 | {helm_3}, {helm} |" in page
    assert f"| {project['requires-python'].removeprefix('>=')} | {', '.join(pythons)} |" in page
    named = {each.rpartition(" :: ")[2] for each in project["classifiers"] if each.startswith("Programming Language")}
    assert {each for each in named if "." in each} == set(pythons)


def test_the_page_of_releasing_has_a_row_for_each_step() -> None:
    page = (ROOT / "docs/releasing.md").read_text()

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(check.STEPS)


def test_a_difference_between_two_builds_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter(range(2))
    monkeypatch.setattr(krew, "write", lambda out: (out / "a").write_text(str(next(counted))))

    assert check.failed(["krew"], Release(tmp_path)) == ["krew"]
