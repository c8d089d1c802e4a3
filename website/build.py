"""Build the documentation as a site: `make site`.

The pages are those of `docs/`, as they are read in the repository too. A link from one of them to a file outside of
`docs/` leads to that file in the public repository. The build fails if a link, an anchor or an entry of the
navigation leads nowhere, or if a page would load something from another server. It needs no network.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from website.built_pages import problems

ROOT = Path(__file__).parents[1]
WEBSITE = ROOT / "website"
TARGET = ROOT / "build" / "site"
REPOSITORY = "https://github.com/stationkeeper/stationkeeper"

_LINK = re.compile(r"(?<=\]\()((?:\.\./)+[^)#\s]*)")
_COPIED = ("zensical.toml", "overrides")


class SiteError(Exception):
    """The site cannot be built as it should be; has one line for each problem."""


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Return the pages of a repository, each with its path in `docs/` and its text for the site.

    Args:
        root: of the repository.

    Raises:
        SiteError: a link leads to a file that is not there.
    """
    docs = root / "docs"
    for path in sorted(docs.rglob("*.md")):
        yield path.relative_to(docs), _with_public_links(path, root)


def build(target: Path) -> Path:
    """Build the site.

    Args:
        target: a folder for the site and its sources; emptied first.

    Returns:
        The folder to publish.

    Raises:
        SiteError: the message says what is wrong.
    """
    shutil.rmtree(target, ignore_errors=True)
    for path, text in pages(ROOT):
        staged = target / "docs" / path
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
    for name in _COPIED:
        source = WEBSITE / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        else:
            shutil.copy(source, target / name)
    _run_zensical(target)
    if found := problems(target / "site"):
        raise SiteError("\n".join(found))
    return target / "site"


def _run_zensical(target: Path) -> None:
    program = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(program, cwd=target, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise SiteError(done.stdout + done.stderr)


def _with_public_links(path: Path, root: Path) -> str:
    """Return a page whose links out of `docs/` lead to the public repository."""

    def public(link: re.Match[str]) -> str:
        linked = (path.parent / link[1]).resolve()
        if linked.is_relative_to(root / "docs"):
            return link[1]
        if not linked.exists():
            raise SiteError(f"{path.relative_to(root)}: {link[1]} leads nowhere")
        kind = "tree" if linked.is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{linked.relative_to(root)}"

    return _LINK.sub(public, path.read_text(encoding="utf-8"))


def main() -> int:
    """Build the site and print its folder; return the exit status."""
    try:
        site = build(TARGET)
    except SiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{site.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
