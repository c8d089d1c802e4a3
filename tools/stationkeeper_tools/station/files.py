"""Store a Station's files: in a folder, or in memory for a fleet in one process."""

from pathlib import Path
from typing import Protocol

from stationkeeper_tools.private_files import private_folder, write_private


class Files(Protocol):
    """Small files by their names."""

    def read(self, name: str) -> bytes | None:
        """Return the content; None if there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Replace or create the file."""

    def rename(self, old: str, new: str) -> None:
        """Rename the file `old` to `new` in one step, and replace `new`."""

    def remove(self, name: str) -> None:
        """Remove the file if there is one."""


class FolderFiles:
    """Files of one folder, with mode 0600.

    Args:
        folder: created with its parents if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def read(self, name: str) -> bytes | None:
        """Return the content; None if there is no such file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replace or create the file."""
        write_private(self._folder / name, content)

    def rename(self, old: str, new: str) -> None:
        """Rename the file `old` to `new` in one step, and replace `new`."""
        (self._folder / old).replace(self._folder / new)

    def remove(self, name: str) -> None:
        """Remove the file if there is one."""
        (self._folder / name).unlink(missing_ok=True)


class MemoryFiles(dict[str, bytes]):
    """Files that end with the process."""

    def read(self, name: str) -> bytes | None:
        """Return the content; None if there is no such file."""
        return self.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Replace or create the file."""
        self[name] = content

    def rename(self, old: str, new: str) -> None:
        """Rename the file `old` to `new`, and replace `new`."""
        self[new] = self.pop(old)

    def remove(self, name: str) -> None:
        """Remove the file if there is one."""
        self.pop(name, None)
