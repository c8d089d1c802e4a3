"""The built packages work offline: the sdist, the wheel made from it, and the wheel of each image."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path.cwd()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
IMAGES = {"cups": ("stationkeeper_cups",), "operator": ("stationkeeper_operator",)}
SITE_PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def uv(*arguments: str | Path) -> None:
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    done = run(program, *arguments, "--offline", "--no-progress")
    assert done.returncode == 0, done.stderr


def build(source: Path, out: Path, *options: str) -> None:
    uv("build", "--out-dir", out, *options, source)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist, and with the wheel made from it."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out)
    return out


def test_a_second_build_is_equal_byte_for_byte(built: Path, tmp_path: Path) -> None:
    build(ROOT, tmp_path)
    first, second = ({path.name: path.read_bytes() for path in folder.glob("*.*")} for folder in (built, tmp_path))
    assert {name.rpartition(".")[2] for name in first} >= {"whl", "gz"}
    assert first == second


@pytest.fixture(scope="module")
def sdist(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        # Python before 3.11.4 has no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202 - of our own making
    return next(folder.iterdir())


@pytest.fixture(scope="module", params=["*.whl", "*.tar.gz"])
def installed(request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder to import from, with the files that either of the two installs, and no other package."""
    folder = tmp_path_factory.mktemp("installed")
    uv("pip", "install", "--no-deps", "--target", folder, next(built.glob(request.param)))
    return folder


def python(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run code with the packages in `folder`, and with this environment's packages except Stationkeeper."""
    paths = f"import sys; sys.path[:0] = [{str(folder)!r}]; sys.path.append({SITE_PACKAGES!r}); "
    return run(sys.executable, "-I", "-S", "-c", paths + code, cwd=folder)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def linked(folder: Path) -> set[str]:
    """Return the files below `folder`, also behind links to folders."""
    found = set()
    for path, _, names in os.walk(folder, followlinks=True):
        found |= {str((Path(path) / name).relative_to(ROOT)) for name in names}
    return found


def test_the_sdist_has_the_whole_chart_with_its_definitions(sdist: Path) -> None:
    assert linked(ROOT / "helm/stationkeeper") <= files(sdist)
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "crds").glob("*.yaml")} <= files(sdist)


def test_an_installation_has_every_package_and_the_manifests(installed: Path) -> None:
    done = python(
        "from stationkeeper_tools.shipped_manifests import crd_files, rbac_files; "
        "import stationkeeper_core, stationkeeper_cups.main, stationkeeper_operator.main; "
        "import stationkeeper_tools.page.rendering; "
        "print(stationkeeper_core.__file__, len(crd_files()), len(rbac_files()))",
        installed,
    )
    assert done.returncode == 0, done.stderr
    place, crds, rbac = done.stdout.split()
    assert place.startswith(str(installed))
    assert (int(crds), int(rbac)) == (len([*(ROOT / "crds").glob("*.yaml")]), 4)


@pytest.mark.parametrize("name", ["cups", "operator"])
def test_an_installed_program_reports_its_version(installed: Path, name: str) -> None:
    code = f"sys.argv = ['stationkeeper-{name}', '--version']; from stationkeeper_{name}.entry import main; main()"
    done = python(code, installed)
    assert (done.stdout, done.stderr) == (f"stationkeeper-{name} {VERSION}\n", "")


@pytest.mark.parametrize("name", ["cups", "operator"])
def test_without_its_extra_a_command_says_what_to_install(installed: Path, name: str) -> None:
    code = f"sys.modules['aiohttp'] = None; from stationkeeper_{name}.entry import main; main()"
    done = python(code, installed)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"stationkeeper-{name} needs the package aiohttp" in done.stderr
    assert f"pip install '.[{name}]'" in done.stderr
    assert name in PROJECT["optional-dependencies"]


def test_each_package_that_a_message_names_exists() -> None:
    advice = [
        extra
        for folder in ("cups", "operator", "tools", "docs")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".py", ".md"}
        for extra in re.findall(r"pip install '([^']+)'", path.read_text())
    ]
    assert advice
    assert {*advice} <= {f".[{extra}]" for extra in PROJECT["optional-dependencies"]}


@pytest.mark.parametrize("image", IMAGES)
def test_the_wheel_of_an_image_has_the_core_and_its_own_package_alone(image: str, tmp_path: Path) -> None:
    stage = re.search(rf"AS build-{image}\n(.*?)\n\n", (ROOT / "Containerfile").read_text(), re.DOTALL)
    common = re.search(r"^COPY (.+) \./$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert stage is not None
    assert common is not None
    context = tmp_path / "context"
    context.mkdir()
    for name in common[1].split():
        shutil.copy(ROOT / name, context / name)
    for source, target in re.findall(r"^COPY (\S+) (\S+)$", stage[1], re.MULTILINE):
        shutil.copytree(ROOT / source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
    build(context, tmp_path / "out", "--wheel")
    with zipfile.ZipFile(next((tmp_path / "out").glob("*.whl"))) as archive:
        packages = {name.split("/")[0] for name in archive.namelist()}
    assert packages == {"stationkeeper_core", *IMAGES[image], f"stationkeeper-{VERSION}.dist-info"}


def test_the_long_description_links_into_the_repository(installed: Path) -> None:
    metadata = (installed / f"stationkeeper-{VERSION}.dist-info/METADATA").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", metadata)
    assert targets
    assert [each for each in targets if not each.startswith(("https://", "#"))] == []
    base = f"{PROJECT['urls']['Repository']}/blob/v{VERSION}/"
    places = [each.removeprefix(base).partition("#")[0] for each in targets if each.startswith(base)]
    assert [each for each in places if not (ROOT / each).exists()] == []
    assert f"Project-URL: Repository, {PROJECT['urls']['Repository']}" in metadata
    assert "Author: Stationkeeper contributors" in metadata
    assert "License-Expression: Apache-2.0" in metadata
