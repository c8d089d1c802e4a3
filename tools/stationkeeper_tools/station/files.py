"""Where a Station's files are: a folder, or memory for a fleet in one process."""

from pathlib import Path
from typing import Protocol

from stationkeeper_tools.private_files import private_folder, write_private


class Files(Protocol):
    """Small files by their names."""

    def read(self, name: str) -> bytes | None:
        """The content, None where there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Replaces or creates the file."""

    def rename(self, old: str, new: str) -> None:
        """Puts the file `old` in the place of `new`, at once."""

    def remove(self, name: str) -> None:
        """Removes the file if there is one."""


class FolderFiles:
    """Files of one folder, which only their owner may read.

    Args:
        folder: is made, with its parents, where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)

    def read(self, name: str) -> bytes | None:
        """The content, None where there is no such file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces or creates the file."""
        write_private(self._folder / name, content)

    def rename(self, old: str, new: str) -> None:
        """Puts the file `old` in the place of `new`, at once."""
        (self._folder / old).replace(self._folder / new)

    def remove(self, name: str) -> None:
        """Removes the file if there is one."""
        (self._folder / name).unlink(missing_ok=True)


class MemoryFiles(dict[str, bytes]):
    """Files that end with the process."""

    def read(self, name: str) -> bytes | None:
        """The content, None where there is no such file."""
        return self.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Replaces or creates the file."""
        self[name] = content

    def rename(self, old: str, new: str) -> None:
        """Puts the file `old` in the place of `new`."""
        self[new] = self.pop(old)

    def remove(self, name: str) -> None:
        """Removes the file if there is one."""
        self.pop(name, None)
