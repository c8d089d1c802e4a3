"""The reports of a folder's watch to the operator, scan by scan."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stationkeeper_operator.watching.reports import Report, ResourceReport
from stationkeeper_tools.standalone import folder_watch
from stationkeeper_tools.standalone.folder_api import FolderApi
from stationkeeper_tools.standalone.folder_scan import Scan, scan
from stationkeeper_tools.standalone.folder_watch import FolderWatch
from stationkeeper_tools.standalone.state_folder import StateFolder
from tests.tools.manifest_files import gateway, trusted_ca, write

OTHER = "0123456789ABCDEE"


async def _publish(_document: str, _content: bytes) -> None:
    return None


class Watched:
    """A folder, its watch, and the reports."""

    def __init__(self, folder: Path, state: StateFolder) -> None:
        self.root = folder / "manifests"
        self.root.mkdir(exist_ok=True)
        self._state = state
        self.reported: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start again, as after a restart."""
        self.api = FolderApi("stationkeeper", {}, _publish, {})
        self.watch = FolderWatch(self.root, "radio", self._state, self.api, lambda: datetime.now(UTC))
        self.watch.reporting_to(self._report)

    def _report(self, report: Report) -> None:
        if isinstance(report, ResourceReport):
            self.reported.append(f"{'-' if report.deleted else '+'}{report.resource.metadata.name}")

    async def look(self) -> list[str]:
        """Return the reports once the folder does not change any more."""
        self.reported.clear()
        await self.watch.prime()
        return sorted(self.reported)

    @property
    def names(self) -> set[str]:
        return {each["metadata"]["name"] for each in self.api.resources()}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    with StateFolder(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def watched(tmp_path: Path, state: StateFolder) -> Watched:
    return Watched(tmp_path, state)


async def test_only_changes_are_reported(watched: Watched) -> None:
    write(watched.root / "ca.yaml", trusted_ca())
    write(watched.root / "gateways.yaml", gateway("roof"), gateway("cellar", OTHER))
    assert await watched.look() == ["+cellar", "+roof", "+vendor"]
    uid = {each["metadata"]["name"]: each["metadata"]["uid"] for each in watched.api.resources()}

    write(watched.root / "gateways.yaml", gateway("roof", suspended=True), gateway("cellar", OTHER))
    assert await watched.look() == ["+roof"]
    (watched.root / "ca.yaml").unlink()
    assert await watched.look() == ["-vendor"]

    watched.begin()
    await watched.look()
    assert watched.names == {"roof", "cellar"}
    assert {each["metadata"]["uid"] for each in watched.api.resources()} == {uid["roof"], uid["cellar"]}


async def test_a_name_that_is_not_utf_8_is_reported_and_the_other_files_count(watched: Watched) -> None:
    write(watched.root / "all.yaml", trusted_ca())
    (watched.root / os.fsdecode(b"caf\xe9")).mkdir()
    for name in (b"caf\xe9.yaml", b"caf\xe9/roof.yaml"):
        write(watched.root / os.fsdecode(name), gateway("roof"))

    assert await watched.look() == ["+vendor"]
    assert [each.message for each in watched.watch.findings if "UTF-8; rename it" in each.message]
    assert all(each.file.isprintable() for each in watched.watch.findings)


async def test_an_unmounted_disk_below_the_folder_removes_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount is simulated: the result of `scan` on file systems is changed, and the folder is emptied."""
    mounted = {"disk"}
    monkeypatch.setattr(folder_watch, "scan", _with_mounts(mounted))
    (watched.root / "disk").mkdir()
    write(watched.root / "ca.yaml", trusted_ca())
    write(watched.root / "disk/roof.yaml", gateway("roof"))
    await watched.look()

    mounted.clear()
    (watched.root / "disk/roof.yaml").unlink()
    assert await watched.look() == []
    assert "is not mounted" in watched.watch.findings[0].message
    watched.begin()
    await watched.look()
    assert watched.names == {"vendor", "roof"}

    (watched.root / "disk/none.yaml").write_text("# nothing\n")
    assert await watched.look() == ["-roof"]


def _with_mounts(mounted: set[str]) -> Callable[[Path], Scan]:
    return lambda root: replace(scan(root), mounts=frozenset(mounted))


async def test_removals_act_on_a_full_disk_too(
    watched: Watched, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(watched.root / "all.yaml", trusted_ca(), gateway("roof"))
    await watched.look()

    def fail(_name: str, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(state, "write", fail)
        write(watched.root / "all.yaml", trusted_ca(), gateway("roof", suspended=True))
        assert await watched.look() == ["+roof"]

    monkeypatch.setattr(folder_watch, "_KEEP_AGAIN_SECONDS", 0.0)
    await watched.look()
    (watched.root / "all.yaml").write_text("kind: [")
    watched.begin()
    await watched.look()
    kept = {each["metadata"]["name"]: each["spec"].get("suspended") for each in watched.api.resources()}
    assert kept["roof"] is True


async def test_one_of_the_secrets_that_are_written_here_cannot_be_taken(watched: Watched) -> None:
    metadata = {"name": "stationkeeper-trust", "namespace": "stationkeeper"}
    write(watched.root / "all.yaml", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}, trusted_ca())

    assert await watched.look() == ["+vendor"]
    assert "writes itself" in watched.watch.findings[0].message


async def test_what_was_kept_and_cannot_be_read_is_read_again(watched: Watched, state: StateFolder) -> None:
    write(watched.root / "all.yaml", trusted_ca(), gateway("roof"))
    await watched.look()
    state.write("manifests.json", b"{")

    watched.begin()
    await watched.look()

    assert watched.names == {"vendor", "roof"}
