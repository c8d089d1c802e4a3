"""The workflows of `.github`: the actions that they use, and whether each is named by its commit."""

import re
from collections.abc import Sequence
from pathlib import Path

from release.versions import ROOT

_USES = re.compile(r"^\s*(?:- )?uses:\s*(.*?)\s*$", re.MULTILINE)
_BY_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} +# v\d+(\.\d+)*")
_OWN = "./"


def files() -> list[Path]:
    """Return the workflows."""
    return sorted((ROOT / ".github/workflows").glob("*.yml"))


def unpinned(workflows: Sequence[Path]) -> dict[str, list[str]]:
    """Return the actions that are not named by a commit with the version in a comment, by the workflow's name.

    A workflow of this repository is named by its path, and is of the same commit.
    """
    found = {
        path.name: [
            used
            for used in _USES.findall(path.read_text(encoding="utf-8"))
            if not used.startswith(_OWN) and not _BY_COMMIT.fullmatch(used)
        ]
        for path in workflows
    }
    return {name: actions for name, actions in found.items() if actions}
