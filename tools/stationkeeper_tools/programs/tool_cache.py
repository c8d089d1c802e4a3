"""A folder of obtained programs that is either complete or absent, even if a process that fills it is killed.

One process at a time fills it beside its final place, syncs it and renames it. A second process waits for the first,
and then finds the work done. The next process removes what a killed one left behind.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stationkeeper_tools.progress import Progress


def is_program(path: Path) -> bool:
    """Return whether `path` is a file that this user may execute."""
    return path.is_file() and os.access(path, os.X_OK)


def holds(folder: Path, programs: Iterable[str]) -> bool:
    """Return whether `folder` holds each of the programs."""
    return all(is_program(folder / name) for name in programs)


def install(folder: Path, programs: tuple[str, ...], fill: Callable[[Path], None], progress: Progress) -> None:
    """Fill `folder` with `programs`; do nothing if it holds them already.

    Args:
        folder: the final place. Missing parents are created.
        programs: names of the files that a complete folder holds.
        fill: puts the programs into the empty folder it is given; what it raises is passed on, and nothing remains.
        progress: shows a wait for another process.

    Raises:
        OSError: the place cannot be written to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f".{folder.name}.lock", progress):
        if holds(folder, programs):
            return
        _remove_abandoned(folder)
        staging = Path(tempfile.mkdtemp(prefix=_staging_prefix(folder), dir=folder.parent))
        try:
            fill(staging)
            _sync(staging)
            if folder.exists():
                folder.rename(staging / ".replaced")
            _publish(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"Another process is obtaining {path.name.strip('.').removesuffix('.lock')}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _staging_prefix(folder: Path) -> str:
    return f".{folder.name}.new-"


def _remove_abandoned(folder: Path) -> None:
    for left in folder.parent.glob(f"{_staging_prefix(folder)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        _sync_one(path)


def _publish(staging: Path, folder: Path) -> None:
    staging.chmod(0o755)
    staging.rename(folder)
    _sync_one(folder.parent)
    shutil.rmtree(folder / ".replaced", ignore_errors=True)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
