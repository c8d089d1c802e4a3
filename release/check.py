"""Do each step of a release that needs no network, and report the steps that fail.

    python -m release.check --out dist/release
    python -m release.check --out dist/release --tag v0.1.0       and hold the tag to the version and the changelog
    python -m release.check --only krew                           one step

`make release-check` runs it. Programs of other projects come from the group `release` of `uv.lock` and from
`release/go/go.mod`; the first run fetches them. What is left in the folder is what a release publishes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from images import build as images
from images import materials
from images.pack import COMPONENTS
from images.programs import run, uv
from release import changelog, chart, krew, licences, versions, workflows
from release.versions import ROOT, version

_NOTES = "docs/versions.md"
_GO = ROOT / "release/go"
_PROGRAMS = Path(sys.executable).parent


class CheckError(Exception):
    """A step found a fault; the message says what."""


@dataclass(frozen=True)
class Release:
    """The release to check.

    Attributes:
        out: a folder for the built files.
        tag: the tag of the release, as `v0.1.0`; empty without a tag.
    """

    out: Path
    tag: str = ""


def check_version(release: Release) -> None:
    """Check that all places have the same version, and that the tag names it."""
    said = version()
    if release.tag and release.tag != f"v{said}":
        raise CheckError(
            f"the tag is {release.tag} and the version is {said}: write it by `python -m release.versions`"
        )


def check_changelog(release: Release) -> None:
    """Check that the changelog has the version, or what is unreleased, and that there are upgrade notes."""
    page = (ROOT / changelog.PAGE).read_text(encoding="utf-8")
    if f"\n### {version()}\n" not in (ROOT / _NOTES).read_text(encoding="utf-8"):
        raise CheckError(f"{_NOTES} has no notes for {version()}: say under `### {version()}` what an upgrade needs")
    text = changelog.section(page, version() if release.tag else changelog.UNRELEASED)
    (release.out / "notes.md").write_text(f"{text}\n", encoding="utf-8")


def check_packages(release: Release) -> None:
    """Check that the sdist and the wheel are the same bytes each time, and that PyPI takes them."""
    folder = release.out / "packages"
    _twice(folder, lambda out: uv("build", "--out-dir", str(out), str(ROOT), cwd=ROOT))
    for each in folder.glob(".*"):
        each.unlink()
    built = [str(path) for path in sorted(folder.iterdir())]
    if [Path(each).suffix for each in built] != [".whl", ".gz"]:
        raise CheckError(f"built {built}, not one wheel and one sdist")
    run(str(_PROGRAMS / "twine"), "check", "--strict", *built)
    run(str(_PROGRAMS / "validate-pyproject"), str(ROOT / "pyproject.toml"))


def check_materials(release: Release) -> None:
    """Check that the bill of materials is the same each time."""
    name = f"stationkeeper-{version()}.cdx.json"
    _twice(release.out / "materials", lambda out: materials.write(out / name, "--all-extras"))


def check_licences(release: Release) -> None:
    """Check that each package of the bill of materials may be redistributed."""
    bill = materials.write(release.out / "materials" / f"stationkeeper-{version()}.cdx.json", "--all-extras")
    if found := licences.refused(bill):
        raise CheckError("; ".join(f"{name} says {said!r}" for name, said in found.items()))


def check_chart(release: Release) -> None:
    """Check that Helm accepts the chart, with its own and with published images, and packs the same bytes each time."""
    digests = dict.fromkeys(chart.IMAGES, f"sha256:{'0' * 64}")
    with tempfile.TemporaryDirectory() as folder:
        chart.package(Path(folder), "registry.example.com", digests)
    _twice(release.out / "chart", chart.package)


def check_krew(release: Release) -> None:
    """Check that Krew's validator accepts the manifest, and that archive and manifest are the same bytes each time."""
    _twice(release.out / "krew", krew.write)
    _go_tool("validate-krew-manifest", "-skip-install", "-manifest", str(release.out / "krew" / f"{krew.PLUGIN}.yaml"))


def check_workflows(_release: Release) -> None:
    """Check that the workflows are valid, run no untrusted code, and name each action by its commit."""
    found = workflows.files()
    for each, problems in workflows.unpinned(found).items():
        raise CheckError(f"{each} uses {', '.join(problems)}: name the commit, and the version in a comment")
    names = [str(path) for path in found]
    run(str(_PROGRAMS / "check-jsonschema"), "--quiet", "--builtin-schema", "vendor.github-workflows", *names)
    dependabot = str(ROOT / ".github/dependabot.yml")
    run(str(_PROGRAMS / "check-jsonschema"), "--quiet", "--builtin-schema", "vendor.dependabot", dependabot)
    _go_tool("actionlint", "-shellcheck", str(_PROGRAMS / "shellcheck"), *names)
    run(str(_PROGRAMS / "zizmor"), "--offline", "--quiet", *names)


def check_images(release: Release) -> None:
    """Check that each image can be packed, with its bill of materials and its licences."""
    for component in COMPONENTS:
        built = images.build(component, release.out / "images")
        shutil.rmtree(built.root)


STEPS: Mapping[str, Callable[[Release], None]] = {
    "version": check_version,
    "changelog": check_changelog,
    "packages": check_packages,
    "materials": check_materials,
    "licences": check_licences,
    "chart": check_chart,
    "krew": check_krew,
    "workflows": check_workflows,
    "images": check_images,
}


def _twice(out: Path, build: Callable[[Path], object]) -> None:
    """Build into a fresh folder, and once more elsewhere; compare the bytes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    build(out)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        first, second = (_contents(each) for each in (out, Path(folder)))
    if differ := sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)):
        raise CheckError(f"built twice, and not the same: {', '.join(differ)}")


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _go_tool(*arguments: str) -> None:
    """Run a program that `release/go/go.mod` pins."""
    if shutil.which("go") is None:
        raise CheckError(f"{arguments[0]} needs Go 1.26 or newer: install it")
    run("go", "tool", *arguments, cwd=_GO, GOFLAGS="-mod=readonly", GOWORK="off", GO111MODULE="on")


def failed(names: list[str], release: Release) -> list[str]:
    """Do the named steps, and print the result of each; return the steps that failed."""
    release.out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        start = time.monotonic()
        print(f"{name}: {STEPS[name].__doc__}", flush=True)  # noqa: T201 - this is the output
        fault = _fault(STEPS[name], release)
        took = f"{time.monotonic() - start:.1f} s"
        print(f"  {f'FAILED: {fault}' if fault else 'ok'} ({took})", flush=True)  # noqa: T201 - this is the output
        if fault:
            found.append(name)
    return found


def _fault(step: Callable[[Release], None], release: Release) -> str:
    try:
        step(release)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(str(each) for each in error.cmd)}\n{error.stdout or ''}".rstrip()
    except (CheckError, changelog.ChangelogError, versions.VersionError, chart.ChartError, OSError) as error:
        return str(error)
    return ""


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist/release")
    parser.add_argument("--tag", default=os.environ.get("RELEASE_TAG", ""))
    parser.add_argument("--only", action="append", choices=list(STEPS), default=[])
    options = parser.parse_args()
    found = failed(options.only or list(STEPS), Release(options.out.resolve(), options.tag))
    print(f"failed: {', '.join(found)}" if found else "all is well")  # noqa: T201 - this is the output
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
