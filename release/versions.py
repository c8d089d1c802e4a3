"""The version of Stationkeeper: each place that names it, read and written by one table.

    python -m release.versions                             prints the version, or where it differs
    python -m release.versions 0.2.0 --date 2027-01-31     writes it everywhere, and begins its section of the changelog

A version is MAJOR.MINOR.PATCH, which means the same to PyPI (PEP 440), to Helm and to krew (Semantic Versioning).
"""

import argparse
import datetime
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from release import changelog

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class VersionError(ValueError):
    """The places differ, or what was given is no version; the message says which."""


@dataclass(frozen=True)
class Place:
    """Files that name the version.

    Attributes:
        files: a pattern, from the root of the sources.
        pattern: of the text around it; the version is the group `version`.
        required: the file must name it.
    """

    files: str
    pattern: str
    required: bool = True


_NUMBER = r"(?P<version>\d+\.\d+\.\d+)"
_IMAGE = rf"stationkeeper-(?:cups|operator|serve):{_NUMBER}"
PLACES = (
    Place("pyproject.toml", rf'^name = "stationkeeper"\nversion = "{_NUMBER}"$'),
    Place("uv.lock", rf'^name = "stationkeeper"\nversion = "{_NUMBER}"$'),
    Place("helm/stationkeeper/Chart.yaml", rf"^version: {_NUMBER}$"),
    Place("helm/stationkeeper/Chart.yaml", rf'^appVersion: "{_NUMBER}"$'),
    Place("Containerfile", rf"^ARG VERSION={_NUMBER}$"),
    Place("Containerfile", _IMAGE),
    Place("README.md", _IMAGE, required=False),
    Place("docs/versions.md", rf"^VERSION={_NUMBER}$"),
    Place("docs/*.md", _IMAGE, required=False),
    Place("examples/**/*.yaml", _IMAGE, required=False),
)


def version(root: Path = ROOT) -> str:
    """Return the version that every place names.

    Raises:
        VersionError: they differ, or one of them names none.
    """
    found: dict[str, set[str]] = {}
    for name, said in _named(root):
        found.setdefault(said, set()).add(name)
    if len(found) != 1:
        said_where = "; ".join(f"{each or 'none'} in {', '.join(sorted(names))}" for each, names in found.items())
        raise VersionError(
            f"the version differs: {said_where}. `python -m release.versions VERSION` writes it everywhere"
        )
    return _checked(found.popitem()[0])


def write(root: Path, new: str, date: datetime.date) -> None:
    """Write a version into every place, and give it a section of the changelog.

    Args:
        root: of the sources.
        new: the version.
        date: of the release.

    Raises:
        VersionError: it is not a version.
        changelog.ChangelogError: the section Unreleased is empty.
    """
    _checked(new)
    page = root / changelog.PAGE
    page.write_text(changelog.released(page.read_text(encoding="utf-8"), new, date), encoding="utf-8")
    for place in PLACES:
        for path in sorted(root.glob(place.files)):
            text = path.read_text(encoding="utf-8")
            written = re.sub(place.pattern, lambda found: _with_version(found, new), text, flags=re.MULTILINE)
            if written != text:
                path.write_text(written, encoding="utf-8")


def _named(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each version that a file names, with the file; an empty one if a file must name one and does not."""
    for place in PLACES:
        for path in sorted(root.glob(place.files)):
            name = str(path.relative_to(root))
            found = re.findall(place.pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
            yield from ((name, each) for each in found)
            if place.required and not found:
                yield name, ""


def _with_version(found: re.Match[str], new: str) -> str:
    start, end = (each - found.start() for each in found.span("version"))
    return f"{found[0][:start]}{new}{found[0][end:]}"


def _checked(said: str) -> str:
    if not VERSION.fullmatch(said):
        raise VersionError(f"{said!r} is no version: write MAJOR.MINOR.PATCH, as 0.2.0")
    return said


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?")
    parser.add_argument("--date", type=datetime.date.fromisoformat, default=datetime.datetime.now(datetime.UTC).date())
    options = parser.parse_args()
    try:
        if options.version:
            write(ROOT, options.version, options.date)
        print(version(ROOT))  # noqa: T201 - this is the output
    except (VersionError, changelog.ChangelogError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
