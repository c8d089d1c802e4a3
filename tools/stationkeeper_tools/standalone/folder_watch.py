"""Follow a folder of manifests, and report its objects to the operator.

A change counts when two scans in a row find the same, so that a file is not read while it is written. The state that
was read is stored in the state folder before it counts. So after a restart with a bad file or without the folder, the
latest state stays in force, and not an older one.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import msgspec

from stationkeeper_operator.api.resource_paths import RESOURCES
from stationkeeper_operator.resources.records import decode_resource
from stationkeeper_operator.watching.reports import BegunReport, Report, ResourceReport
from stationkeeper_tools.checking.findings import CheckReason, Finding, Severity
from stationkeeper_tools.standalone.folder_api import FolderApi
from stationkeeper_tools.standalone.folder_scan import ENDINGS, Fingerprint, Scan, read_regular, scan
from stationkeeper_tools.standalone.identities import Identities, Identity
from stationkeeper_tools.standalone.manifest_files import (
    ManifestFile,
    ManifestObject,
    ObjectKey,
    chosen,
    marked_as_kept,
    read_file,
)
from stationkeeper_tools.standalone.state_folder import StateFolder

INTERVAL_SECONDS = 0.1
MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_OBJECTS = 100_000
NOT_READABLE = "NotReadable"

_LOOK_SHARE = 10.0
_UNFINISHED_SECONDS = 2.0
_KEEP_AGAIN_SECONDS = 5.0
_MANIFESTS = "manifests.json"
_EMPTY = (
    "holds no manifest; perhaps a disk is not mounted. What was in force stays in force. To remove everything, put a "
    "file there that has only a comment, such as none.yaml"
)
_log = logging.getLogger("stationkeeper.standalone")


class StoredManifests(msgspec.Struct, omit_defaults=True):
    """The stored state of the manifests.

    Attributes:
        files: the objects of each file that count, by the file's name.
        identities: the identities of the objects.
        last: the creation time of the newest object, see `Identities`.
        mounts: folders, by name, that were on a file system of their own.
    """

    files: dict[str, ManifestFile] = msgspec.field(default_factory=dict)
    identities: tuple[Identity, ...] = ()
    last: int = 0
    mounts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """The place of an object.

    Attributes:
        file: the file's name below the folder.
        line: the line number, from 1.
        is_kept: whether it stays in force although the file no longer has it in this form.
    """

    file: str
    line: int
    is_kept: bool


@dataclass(frozen=True)
class _Reading:
    stored: StoredManifests
    objects: Mapping[ObjectKey, tuple[str, ManifestObject]]
    of_files: Mapping[str, tuple[Finding, ...]]
    findings: tuple[Finding, ...]


class FolderWatch:
    """The watch of one folder.

    Args:
        root: the folder.
        default_namespace: for objects that name none.
        state: stores what was read.
        api: gets the objects.
        now: the time, aware.

    Attributes:
        findings: the present problems of the folder and its files.
        on_findings: called when the findings change.
    """

    def __init__(
        self,
        root: Path,
        default_namespace: str,
        state: StateFolder,
        api: FolderApi,
        now: Callable[[], datetime],
    ) -> None:
        self._root = root
        self._namespace = default_namespace
        self._state = state
        self._api = api
        self._now = now
        self._report: Callable[[Report], None] = lambda _report: None
        self._stored = _load(state)
        self._identities = Identities(self._stored.identities, self._stored.last)
        self._objects: dict[ObjectKey, tuple[str, ManifestObject]] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self._of_files: Mapping[str, tuple[Finding, ...]] = {}
        self._last: Scan | None = None
        self._since = 0.0
        self._taken: Scan | None = None
        self._kept = self._stored
        self._kept_at = 0.0
        self.findings: tuple[Finding, ...] = ()
        self.on_findings: Callable[[], None] = lambda: None

    @property
    def is_healthy(self) -> bool:
        """Whether the watch works; always true, since a failure ends the process."""
        return True

    @property
    def shows_statuses(self) -> bool:
        """Whether it reports each status that is written; false, since the folder holds no statuses."""
        return False

    @property
    def places(self) -> Mapping[ObjectKey, Place]:
        """The place of each object."""
        return {key: Place(name, each.line, each.is_kept) for key, (name, each) in self._objects.items()}

    def reporting_to(self, report: Callable[[Report], None]) -> "FolderWatch":
        """Report to `report` from now on; return this watch."""
        self._report = report
        return self

    async def prime(self) -> bool:
        """Load the existing objects before the operator asks for them.

        Returns:
            Whether there is anything, in the folder or from an earlier run. If not, call it again.
        """
        if self._stored.files:
            self._apply_objects(chosen(self._stored.files, self._identities.files)[0])
            self._api.set_known()
        await self._look()
        await asyncio.sleep(INTERVAL_SECONDS)
        await self._look()
        if self._stored.files:
            self._api.set_known()
        return bool(self._stored.files)

    async def run(self) -> NoReturn:
        """Follow the folder until cancelled."""
        self._report(BegunReport())
        while True:
            began = time.monotonic()
            await self._look()
            # A folder with very many files is scanned less often, so that scans take at most a tenth of a CPU.
            await asyncio.sleep(max(INTERVAL_SECONDS, _LOOK_SHARE * (time.monotonic() - began)))

    async def _look(self) -> None:
        found_files = await asyncio.to_thread(scan, self._root)
        if found_files != self._last:
            self._last, self._since = found_files, time.monotonic()
            return
        if found_files == self._taken:
            if self._kept is not self._stored and time.monotonic() - self._kept_at > _KEEP_AGAIN_SECONDS:
                await self._keep(self._stored)
            return
        reading = await asyncio.to_thread(self._read, found_files)
        if reading is None:
            return
        await self._keep(reading.stored)
        self._stored, self._taken = reading.stored, found_files
        self._fingerprints, self._of_files = dict(found_files.files), reading.of_files
        self._apply_objects(reading.objects)
        if reading.findings != self.findings:
            self.findings = reading.findings
            self.on_findings()

    async def _keep(self, stored: StoredManifests) -> None:
        """Store what was read. If that fails, the change still counts: it may remove trust."""
        self._kept_at = time.monotonic()
        try:
            await asyncio.to_thread(self._write, stored)
        except OSError as error:
            fields = {"detail": str(error)}
            _log.error("the state of the manifests cannot be stored; trying again", extra={"fields": fields})
        else:
            self._kept = stored

    def _write(self, stored: StoredManifests) -> None:
        if stored != self._kept:
            self._state.write(_MANIFESTS, msgspec.json.encode(stored))

    def _read(self, found: Scan) -> _Reading | None:
        """Read the changed files; None if one changed again in the meantime, or is not finished."""
        files: dict[str, ManifestFile] = {}
        findings: dict[str, tuple[Finding, ...]] = {}
        for name, fingerprint in found.files.items():
            before = self._stored.files.get(name)
            if before is not None and self._fingerprints.get(name) == fingerprint:
                files[name], findings[name] = before, self._of_files.get(name, ())
                continue
            files[name], findings[name], is_finished = self._read_one(name, before)
            if not is_finished and time.monotonic() - self._since < _UNFINISHED_SECONDS:
                return None
        lost = self._lost_mounts(found)
        for name, each in self._stored.files.items():
            if name not in files and _is_hindered(name, found, lost):
                files[name] = marked_as_kept(each)
        if scan(self._root) != found:
            return None
        return self._complete(found, files, findings)

    def _complete(
        self, found: Scan, files: dict[str, ManifestFile], of_files: dict[str, tuple[Finding, ...]]
    ) -> _Reading:
        objects, doubled = chosen(files, self._identities.files)
        findings = [*doubled, *self._folder_findings(found)]
        for key in [key for key in objects if self._api.is_reserved(key)]:
            name, each = objects.pop(key)
            message = "is one of the Secrets that Stationkeeper writes itself; use another name"
            findings.append(
                Finding(self._shown(name), each.line, Severity.ERROR, CheckReason.INVALID_METADATA, message, key.name)
            )
        if len(objects) > MAX_OBJECTS:
            message = f"has more than {MAX_OBJECTS} objects, so this change is ignored; remove some objects"
            findings.append(Finding(str(self._root), 1, Severity.ERROR, CheckReason.INVALID_FIELD, message))
            return _Reading(self._stored, self._objects, of_files, tuple(sorted(findings)))
        now = self._now()
        for key in self._objects.keys() - objects.keys():
            self._identities.forget(key)
        for key, (name, each) in objects.items():
            self._identities.of(key, each.content, name, now)
        mounts = tuple(sorted(found.mounts | self._lost_mounts(found)))
        stored = StoredManifests(files, self._identities.all, self._identities.last, mounts)
        listed = [each for of_file in of_files.values() for each in of_file]
        return _Reading(stored, objects, of_files, tuple(sorted({*listed, *findings})))

    def _lost_mounts(self, found: Scan) -> frozenset[str]:
        """Return the folders whose manifests were on a file system that is no longer mounted."""
        return frozenset(
            each
            for each in self._stored.mounts
            if each not in found.mounts and _holds(each, self._stored.files) and not _holds(each, found.files)
        )

    def _read_one(self, name: str, before: ManifestFile | None) -> tuple[ManifestFile, tuple[Finding, ...], bool]:
        """Return the objects of a file that count, its problems, and whether the file looks finished."""
        try:
            content = read_regular(self._root / name, MAX_FILE_BYTES)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            finding = Finding(self._shown(name), 1, Severity.ERROR, NOT_READABLE, message)
            return marked_as_kept(before) if before is not None else ManifestFile(), (finding,), True
        found, findings = read_file(self._shown(name), content, self._namespace, before)
        # A file that is cut between two objects has no error. It is recognised by a last line without a line end.
        fewer = before is not None and len(found.objects) < len(before.objects)
        return found, findings, not fewer or content.endswith(b"\n")

    def _folder_findings(self, found: Scan) -> Iterator[Finding]:
        told = {name: f"cannot be read: {why}" for name, why in found.unreadable.items()}
        told |= dict.fromkeys(
            self._lost_mounts(found),
            "is not mounted; to remove its objects, put a file there that has only a comment",
        )
        for name, why in told.items():
            is_of_interest = not name or name.endswith(ENDINGS) or _holds(name, self._stored.files)
            if is_of_interest:
                yield Finding(self._shown(name), 1, Severity.ERROR, NOT_READABLE, f"{why}; its objects stay in force")
        if not found.files and not found.unreadable:
            yield Finding(str(self._root), 1, Severity.ERROR, NOT_READABLE, _EMPTY)

    def _apply_objects(self, objects: Mapping[ObjectKey, tuple[str, ManifestObject]]) -> None:
        """Report a change to the operator: deletions first."""
        now, before = self._now(), self._objects
        self._objects = dict(objects)
        for key in before.keys() - objects.keys():
            gone = self._api.remove(key)
            if gone is not None and key.kind in RESOURCES:
                self._report(ResourceReport(decode_resource(key.kind, gone), deleted=True))
        for key, (name, each) in objects.items():
            stored = before.get(key)
            if stored is not None and stored[1].content == each.content:
                continue
            identity = self._identities.of(key, each.content, name, now)
            found = self._api.put(key, each.content, identity.metadata)
            if key.kind in RESOURCES:
                self._report(ResourceReport(decode_resource(key.kind, found), deleted=False))

    def _shown(self, name: str) -> str:
        return str(self._root / name) if name else str(self._root)


def _is_hindered(name: str, found: Scan, lost: Collection[str]) -> bool:
    """Return whether a missing file may still exist; if not, it was removed."""
    if not found.files and not found.unreadable:
        return True
    return any(each in found.unreadable or each in lost for each in _around(name))


def _around(name: str) -> Iterator[str]:
    """Yield the file and its parent folders; the root is the empty name."""
    while name:
        yield name
        name = name.rpartition("/")[0]
    yield ""


def _holds(folder: str, files: Mapping[str, object]) -> bool:
    return any(name.startswith(f"{folder}/") for name in files)


def _load(state: StateFolder) -> StoredManifests:
    """Return the state that an earlier run stored; an empty one if it cannot be read."""
    content = state.read(_MANIFESTS)
    if content is None:
        return StoredManifests()
    try:
        return msgspec.json.decode(content, type=StoredManifests)
    except (msgspec.MsgspecError, UnicodeError):
        fields = {"file": _MANIFESTS}
        _log.exception("the stored state of the manifests cannot be read; reading all again", extra={"fields": fields})
        return StoredManifests()
