"""Documents and server credentials from files, as a kubelet lays the volumes of a pod.

A kubelet replaces a whole volume by swapping one symbolic link, so files are followed by name: a few `stat` calls,
several times a second. Nothing is missed by that, whatever the file system, and what is gone changes nothing.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from stationkeeper_core.published import DOCUMENTS, MAX_SECRET_BYTES
from stationkeeper_cups.serving_state import ServingState
from stationkeeper_cups.tls_context import ServerCredentials

INTERVAL_SECONDS = 0.2

_CERTIFICATES, _KEY = "tls.crt", "tls.key"

_log = logging.getLogger("stationkeeper.cups.file_source")

_Fingerprint = tuple[tuple[int, int, int], ...]


class FileSource:
    """Hands over what lies in two folders, and each change of it.

    Args:
        documents: the folder whose files are named as the documents are.
        server_tls: the folder of `tls.crt` and `tls.key`.
        state: what to hand over to.
    """

    def __init__(self, documents: Path, server_tls: Path, state: ServingState) -> None:
        self._state = state
        self._seen: dict[Path, _Fingerprint] = {}
        self._followed: list[tuple[Path, tuple[str, ...], Callable[[list[bytes]], None]]] = [
            (server_tls, (_CERTIFICATES, _KEY), self._load_credentials)
        ]
        for document in DOCUMENTS:
            self._followed.append((documents, (document,), self._loader(document)))
        self._problems: dict[Path, str] = {}

    async def run(self) -> None:
        """Follows the files until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL_SECONDS)

    def look(self) -> None:
        """Hands over all that changed since the last look."""
        for folder, names, load in self._followed:
            paths = [folder / name for name in names]
            try:
                before = _fingerprint(paths)
                if before is None or self._seen.get(paths[0]) == before:
                    continue
                contents = [_read(path) for path in paths]
                # A swap between two reads would pair a certificate with another's key: the next look reads again.
                if _fingerprint(paths) != before:
                    continue
            except OSError as error:
                self._complain(paths[0], str(error))
                continue
            self._seen[paths[0]] = before
            self._problems.pop(paths[0], None)
            load(contents)

    def _loader(self, document: str) -> Callable[[list[bytes]], None]:
        return lambda contents: self._state.load_document(document, contents[0])

    def _load_credentials(self, contents: list[bytes]) -> None:
        self._state.load_server_credentials(ServerCredentials(*contents))

    def _complain(self, path: Path, detail: str) -> None:
        if self._problems.get(path) != detail:
            self._problems[path] = detail
            _log.error("cannot read, the last good state stays in force", extra={"fields": {"detail": detail}})


def _fingerprint(paths: list[Path]) -> _Fingerprint | None:
    try:
        found = [os.stat(path) for path in paths]  # noqa: PTH116 - a third of the cost of Path.stat
    except FileNotFoundError:
        return None
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_SECRET_BYTES + 1)
