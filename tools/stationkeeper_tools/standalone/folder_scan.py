"""Find the manifest files of a folder, and whether one has changed, without reading their content.

Links to files and folders are followed: a kubelet mounts a ConfigMap by links, and many people switch releases by a
link. Hidden names are skipped. A folder that cannot be read is reported as unreadable, not as missing.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ENDINGS = (".yaml", ".yml", ".json")
MAX_FILES = 10_000
MAX_ENTRIES = 100_000
MAX_DEPTH = 16
MAX_TOTAL_BYTES = 256 * 1024 * 1024

_NOT_UTF8 = "has a name that is not UTF-8; rename it"

Fingerprint = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Scan:
    """The result of one scan.

    Attributes:
        files: the fingerprint of each manifest file, by its name below the folder.
        unreadable: folders, by name, that cannot be read, and why; the folder itself has the empty name.
        mounts: folders, by name, that are on another file system than their parent folder.
        folders: all folders that were read, by name.
    """

    files: dict[str, Fingerprint] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    mounts: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()


class _TooMuchError(Exception):
    """The folder exceeds a limit of the scan."""


def scan(root: Path) -> Scan:
    """Scan a folder; report problems in the result, never as an exception.

    Args:
        root: the folder; it may be missing.
    """
    found = _Walk()
    try:
        found.walk(str(root), "", 0, None)
    except _TooMuchError as error:
        return Scan(unreadable={"": str(error)})
    return Scan(found.files, found.unreadable, frozenset(found.mounts), frozenset(found.folders))


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a file, at most `most + 1` bytes of it.

    Raises:
        OSError: it cannot be read, or is not a regular file; a pipe would block the reader.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("is not a regular file")
        return file.read(most + 1)


class _Walk:
    def __init__(self) -> None:
        self.files: dict[str, Fingerprint] = {}
        self.unreadable: dict[str, str] = {}
        self.mounts: set[str] = set()
        self.folders: set[str] = set()
        self._visited: set[tuple[int, int]] = set()
        self._entries = 0
        self._bytes = 0

    def walk(self, path: str, name: str, depth: int, device: int | None) -> None:
        try:
            about = os.stat(path)  # noqa: PTH116 - a third of the cost of Path.stat
            if (about.st_dev, about.st_ino) in self._visited:
                return  # a link that leads back
            self._visited.add((about.st_dev, about.st_ino))
            entries = sorted(self._listed(path), key=lambda each: each.name)
        except OSError as error:
            self.unreadable[name] = error.strerror or type(error).__name__
            return
        self.folders.add(name)
        if device is not None and about.st_dev != device:
            self.mounts.add(name)
        for entry in entries:
            self._take(entry, f"{name}/{entry.name}" if name else entry.name, depth, about.st_dev)

    def _listed(self, path: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(path) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > MAX_ENTRIES:
                    raise _TooMuchError(f"has more than {MAX_ENTRIES} entries; give a folder with manifests only")
                if not entry.name.startswith("."):
                    yield entry

    def _take(self, entry: os.DirEntry[str], name: str, depth: int, device: int) -> None:
        try:
            if entry.is_dir():
                if not _is_utf8(entry.name):
                    self.unreadable[name] = _NOT_UTF8
                elif depth >= MAX_DEPTH:
                    self.unreadable[name] = f"lies deeper than {MAX_DEPTH} folders"
                else:
                    self.walk(entry.path, name, depth + 1, device)
                return
            if not name.endswith(ENDINGS) and not entry.is_symlink():
                return
            about = entry.stat()
        except FileNotFoundError:
            if entry.is_symlink():
                self.unreadable[name] = "is a link to a missing file"
            return
        except OSError as error:
            self.unreadable[name] = error.strerror or type(error).__name__
            return
        if not name.endswith(ENDINGS):
            return
        if not _is_utf8(entry.name) or not stat.S_ISREG(about.st_mode):
            self.unreadable[name] = "is not a regular file" if _is_utf8(entry.name) else _NOT_UTF8
            return
        self._bytes += about.st_size
        if len(self.files) >= MAX_FILES or self._bytes > MAX_TOTAL_BYTES:
            detail = f"has more than {MAX_FILES} manifest files or {MAX_TOTAL_BYTES} bytes in them"
            raise _TooMuchError(f"{detail}; put several objects into one file, or give a smaller folder")
        self.files[name] = (about.st_dev, about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size)


def _is_utf8(name: str) -> bool:
    """Return whether a name can be written; bytes of it that are no UTF-8 are surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
