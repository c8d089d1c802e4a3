"""The folder in which `serve` stores what must survive a restart. Only one process at a time may use it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from stationkeeper_core.published.documents import DOCUMENTS, MAX_SECRET_BYTES
from stationkeeper_tools.private_files import private_folder, write_private

STATUS = "status.json"
_MAX_BYTES = 512 * 1024 * 1024


class StateInUseError(Exception):
    """Another process uses the folder."""


class StateFolder:
    """The state folder, as a context manager that holds a lock on it.

    Args:
        path: created if it does not exist, with mode 0700.

    Attributes:
        path: of the folder.
        documents: the folder from which CUPS reads the published documents.
        is_new: whether it was empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.documents = path / "documents"
        self.is_new = False
        self._lock = -1

    def __enter__(self) -> "StateFolder":
        """Take the lock.

        Raises:
            StateInUseError: another process holds the lock.
            OSError: the folder cannot be created or written.
        """
        private_folder(self.path)
        # The lock ends with the process, even if the process is killed.
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip()
            os.close(self._lock)
            detail = f"{self.path} is in use by the process {holder}; end it, or give another folder by --state"
            raise StateInUseError(detail) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())
        self.is_new = not self.documents.exists()
        private_folder(self.documents)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if there is none.

        Raises:
            OSError: it cannot be read, or is too large to be one of these.
        """
        return _read(self.path / name, _MAX_BYTES)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file; after a crash or power failure, it holds the old or the new content, complete.

        Raises:
            OSError: it cannot be written; its content stays as it was.
        """
        write_private(self.path / name, content, is_durable=True)

    def read_documents(self) -> dict[str, bytes]:
        """Return the published documents that there are, by name.

        Raises:
            OSError: one cannot be read.
        """
        found = {name: _read(self.documents / name, MAX_SECRET_BYTES + 1) for name in DOCUMENTS}
        return {name: content for name, content in found.items() if content is not None}

    def write_document(self, name: str, content: bytes) -> None:
        """Replace a published document, as `write` does.

        Raises:
            OSError: it cannot be written; its content stays as it was.
        """
        write_private(self.documents / name, content, is_durable=True)


def _read(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        return None
    if len(content) > most:
        raise OSError(f"{path} has more than {most} bytes")
    return content
