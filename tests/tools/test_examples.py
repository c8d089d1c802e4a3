"""`examples/` is accepted by `stationkeeper check`; by a real API server in `tests/controlplane/test_check.py`."""

from pathlib import Path

import pytest

from tests.tools.command_line import stationkeeper

FOLDERS = sorted(each for each in Path("examples").iterdir() if each.is_dir())
MANIFESTS = [each for each in FOLDERS if list(each.glob("*.yaml"))]
# No gateway has come yet that the revoked serial number could belong to.
# The Secrets that cert-manager makes are not among the files.
EXPECTED = {"stolen": ["Suspended", "Note"], "cert-manager": ["ReferenceNotFound", "ReferenceNotFound"]}


@pytest.mark.parametrize("folder", MANIFESTS, ids=[each.name for each in MANIFESTS])
def test_an_example_has_no_fault(folder: Path) -> None:
    done = stationkeeper("check", str(folder), "--output", "json")

    assert done.returncode == 0, done.stdout
    assert [each["reason"] for each in done.json["findings"]] == EXPECTED.get(folder.name, [])


def test_each_example_is_listed() -> None:
    page = Path("examples/README.md").read_text()

    assert [each.name for each in FOLDERS if f"({each.name})" not in page] == []
