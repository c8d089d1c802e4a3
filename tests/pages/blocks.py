"""The blocks of code of a page, and what their titles mean to the tests.

- A block `sh` is run by its own bash, in one folder for the page. Its title may say otherwise:
  "Not run in our tests: why", "Leave it running", "Exits with 1".
- A block `text` is the output of the block before it; `…` stands for any text. With "After some seconds", that block is
  run again until it prints this. With "It says", it is the output of the block that was left running.
- A comment `<!-- before: … -->` has commands that make what a reader of the page already has; they are run.
- Any other block whose title is a file's name is that file.
- A block `console` is a transcript, of pages that are not run: commands after `$ `, and their output.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = "Not run in our tests: "
LEFT_RUNNING = "Leave it running"
SAID_MEANWHILE = "It says"
SAID_LATER = "After some seconds"

ROOT = Path(__file__).parents[2]
# The runners of the pages: tests in this folder, and those in tests/controlplane on a real API server. `python -m
# tests.cluster` runs the commands of docs/chart.md, on a cluster with nodes.
WITHOUT_A_CLUSTER = (
    "README.md",
    "docs/chirpstack.md",
    "docs/index.md",
    "docs/issue-certificates.md",
    "docs/the-things-stack.md",
    "docs/tutorial.md",
    "docs/without-kubernetes.md",
)
ON_AN_API_SERVER = (
    "docs/aws-iot-core.md",
    "docs/cert-manager.md",
    "docs/gitops.md",
    "docs/many-gateways.md",
    "docs/move-the-lns.md",
    "docs/operation.md",
    "docs/resources.md",
    "docs/rotate-a-ca.md",
    "docs/silent-gateways.md",
    "docs/station.md",
    "docs/stolen-gateway.md",
)
ON_A_CLUSTER = ("docs/chart.md",)
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

_BEFORE = re.compile(r"^<!-- before:$")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<options>.*)$")
_TITLE = re.compile(r' title="([^"]*)"')
_EXIT = re.compile(r"Exits with (\d+)")
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)")
_FILE = re.compile(r"[\w./-]+\.(?:yaml|json|csv|toml|conf)")


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        place: the page and the line, for people.
        language: the first word after the fence.
        title: empty if it has none.
        text: without the fences, and without the indentation of the fence.
    """

    place: str
    language: str
    title: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return self.language == "sh" and not self.title.startswith(NOT_RUN)

    @property
    def exit_code(self) -> int:
        """The expected exit code, from its title."""
        found = _EXIT.fullmatch(self.title)
        return int(found[1]) if found else 0

    @property
    def is_manifest(self) -> bool:
        """Whether it is an example of our own resources."""
        return self.language == "yaml" and "stationkeeper.io/v1alpha1\n" in self.text and not self.file

    @property
    def file(self) -> str:
        """The name of the file that it is; empty if it is none."""
        return self.title if _FILE.fullmatch(self.title) else ""


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    opened: re.Match[str] | None = None
    begin, lines = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None:
            opened = _FENCE.match(line) or _BEFORE.match(line)
            begin, lines = number, []
        elif line.strip() == ("-->" if opened.re is _BEFORE else "```"):
            yield _block(f"{page.relative_to(ROOT)}:{begin}", opened, lines)
            opened = None
        else:
            lines.append(line)


def _block(place: str, opened: re.Match[str], lines: list[str]) -> Block:
    if opened.re is _BEFORE:
        return Block(place, "sh", "", "".join(f"{each}\n" for each in lines))
    title = _TITLE.search(opened["options"])
    text = "".join(f"{each.removeprefix(opened['indent'])}\n" for each in lines)
    return Block(place, opened["language"], title[1] if title else "", text)


def scripts(block: Block) -> str:
    """Return the shell scripts in a block; in a transcript, the commands after each `$ `."""
    if block.language != "console":
        return block.text
    found = list[str]()
    continued, document = False, ""
    for line in block.text.splitlines():
        if document or continued or line.startswith("$ "):
            found.append(line if document else line.removeprefix("$ "))
            here = None if document else _HERE_DOCUMENT.search(line)
            document = "" if line == document else here[1] if here else document
            continued = not document and line.endswith("\\")
    return "".join(f"{each}\n" for each in found)
