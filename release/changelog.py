"""The sections of `CHANGELOG.md`, in the form of Keep a Changelog 1.1.0.

python -m release.changelog 0.1.0      prints what is said of a version: the notes of its release
"""

import argparse
import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = "CHANGELOG.md"
UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[(?P<name>[^]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)


class ChangelogError(ValueError):
    """The page lacks a section, its date or its text; the message says which."""


def section(page: str, name: str) -> str:
    """Return the text below the heading of a version, or of `UNRELEASED`.

    Raises:
        ChangelogError: there is none, it is empty, or the heading of a version has no date.
    """
    headings = list(_HEADING.finditer(page))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["name"] != name:
            continue
        text = page[heading.end() : following.start() if following else None].strip()
        if not text:
            raise ChangelogError(f"{PAGE} says nothing of {name}: write what changes for people who run gateways")
        if heading["date"] is None and name != UNRELEASED:
            raise ChangelogError(f"{PAGE} has no date for {name}: write `## [{name}] - YYYY-MM-DD`")
        return text
    raise ChangelogError(f"{PAGE} has no section {name}: `python -m release.versions {name}` begins it")


def released(page: str, version: str, date: datetime.date) -> str:
    """Return the page with the unreleased changes under the heading of a version.

    Raises:
        ChangelogError: nothing is unreleased, or the version has a section.
    """
    if any(heading["name"] == version for heading in _HEADING.finditer(page)):
        raise ChangelogError(f"{PAGE} has a section {version} already")
    section(page, UNRELEASED)
    return page.replace(f"## [{UNRELEASED}]\n", f"## [{UNRELEASED}]\n\n## [{version}] - {date.isoformat()}\n", 1)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    options = parser.parse_args()
    try:
        print(section((ROOT / PAGE).read_text(encoding="utf-8"), options.version))  # noqa: T201 - this is the output
    except ChangelogError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
