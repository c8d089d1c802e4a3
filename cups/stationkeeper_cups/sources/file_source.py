"""Read documents and server credentials from files, as a kubelet mounts the volumes of a pod.

A kubelet replaces a whole volume with one symbolic link, so files are followed by name with a few `stat` calls. This
works on every file system and misses no change; a missing file changes nothing. Most checks look only at the folders,
which a replaced link modifies.
"""

import asyncio
import logging
import os
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from stationkeeper_core.published.documents import MAX_SECRET_BYTES
from stationkeeper_cups.in_force.server_certificate import OFFER_SECONDS, server_credentials
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.in_force.waiting_notice import WaitingNotice
from stationkeeper_cups.tls.server_credentials import ServerCredentials

INTERVAL_SECONDS = 0.2
# One of this number of checks looks at each file, because its content may have been written in place.
CHECKS_OF_FOLDERS = 4

_log = logging.getLogger("stationkeeper.cups.file_source")

_Paths = tuple[Path, ...]
_Fingerprint = tuple[tuple[int, int, int], ...]
_Load = Callable[[list[bytes]], Awaitable[None]]


class FileSource:
    """Hands over the content of files, and each change.

    Args:
        documents: the folder with one file per document, named like the document.
        certificates, key: the PEM files of the server.
        state: the state that receives the content.
    """

    def __init__(self, documents: Path, certificates: Path, key: Path, state: ServingState) -> None:
        self._state = state
        self._notice = WaitingNotice(
            lambda: state.missing,
            f"{documents}, {certificates}, {key}",
            time.monotonic,
            lambda: state.secrets_missing,
        )
        self._credentials: ServerCredentials | None = None
        self._offered = 0.0
        self._seen: dict[_Paths, _Fingerprint] = {}
        self._problems: dict[_Paths, str] = {}
        self._folders = tuple(dict.fromkeys((documents, certificates.parent, key.parent)))
        self._seen_folders: _Fingerprint = ()
        self._checks_left = 0
        self._is_settled = False
        self._followed: dict[_Paths, _Load] = {(certificates, key): self._load_credentials}
        for document in state.documents:
            self._followed[(documents / document,)] = self._loader(document)

    async def run(self) -> None:
        """Follow the files until cancelled."""
        while True:
            if self._may_have_changed():
                await self.check()
            self._offer_again()
            self._notice.check()
            await asyncio.sleep(INTERVAL_SECONDS)

    def _may_have_changed(self) -> bool:
        """Return whether the files must be checked now."""
        # Read the marks before the files, so that a change during the check is found by the next one.
        folders = _marks(self._folders)
        if self._is_settled and self._checks_left > 0 and folders == self._seen_folders:
            self._checks_left -= 1
            return False
        self._seen_folders, self._checks_left = folders, CHECKS_OF_FOLDERS
        return True

    async def check(self) -> None:
        """Hand over all changes since the last check; a failed read is tried again at the next check."""
        self._is_settled = True
        for paths, load in self._followed.items():
            try:
                before = _fingerprint(paths)
                if before is None or self._seen.get(paths) == before:
                    continue
                contents = [_read(path) for path in paths]
                # A change between two reads would pair a certificate with another key: the next check reads again.
                if _fingerprint(paths) != before:
                    self._is_settled = False
                    continue
                await load(contents)
            except OSError as error:
                self._is_settled = False
                self._log_problem(paths, str(error))
                continue
            self._seen[paths] = before
            self._problems.pop(paths, None)

    def _loader(self, document: str) -> _Load:
        return lambda contents: self._state.load_document(document, contents[0])

    async def _load_credentials(self, contents: list[bytes]) -> None:
        self._credentials, self._offered = server_credentials(*contents), time.monotonic()
        self._state.load_server_credentials(self._credentials)

    def _offer_again(self) -> None:
        """Offer a refused pair again: it may be valid now, or the certificate in force may have ended."""
        if self._credentials is not None and time.monotonic() - self._offered >= OFFER_SECONDS:
            self._offered = time.monotonic()
            self._state.load_server_credentials(self._credentials)

    def _log_problem(self, paths: _Paths, detail: str) -> None:
        if self._problems.get(paths) != detail:
            self._problems[paths] = detail
            _log.error("cannot read, the last good state stays in force", extra={"fields": {"detail": detail}})


def _marks(folders: _Paths) -> _Fingerprint:
    marks: list[tuple[int, int, int]] = []
    for folder in folders:
        try:
            each = os.stat(folder)  # noqa: PTH116 - a third of the cost of Path.stat
        except OSError:
            continue
        marks.append((each.st_ino, each.st_mtime_ns, each.st_size))
    return tuple(marks)


def _fingerprint(paths: _Paths) -> _Fingerprint | None:
    try:
        statuses = [os.stat(path) for path in paths]  # noqa: PTH116 - a third of the cost of Path.stat
    except FileNotFoundError:
        return None
    for path, each in zip(paths, statuses, strict=True):
        # Opening a pipe would block the server until another process writes to it.
        if not stat.S_ISREG(each.st_mode):
            raise OSError(f"{path} is not a regular file")
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in statuses)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_SECRET_BYTES + 1)
