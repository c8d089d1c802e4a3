"""Files that hold keys and tokens: never readable by others, not even while they are written."""

import os
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Create the folder with its parents, or take an existing one; set its mode to 0700 and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes, *, is_durable: bool = False) -> Path:
    """Replace or create a file in one step, with mode 0600.

    Args:
        path: the path of the file.
        content: the new content.
        is_durable: whether the file has the old or the new content, complete, also after a power failure.

    Returns:
        The path of the file.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)
    if is_durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return path
