"""Unpack named programs, and nothing else, from a tar archive.

Only regular files with exactly the expected names are read. They are written under names that this project chooses.
Links, devices and paths that lead out of the folder are never created.
"""

import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from stationkeeper_tools.tool_errors import ToolError, ToolFault

MEMBER_BYTES = 512 << 20


def unpack_programs(archive: Path, programs: Mapping[str, str], folder: Path) -> None:
    """Write each program into `folder`, executable.

    Args:
        archive: a gzip-compressed tar file.
        programs: from a member's name in the archive to the name of the program's file.
        folder: where to write; exists.

    Raises:
        ToolError: `MalformedArchive`: it cannot be read, or a member is missing, not a regular file, or over
            `MEMBER_BYTES`.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member, program in programs.items():
                _write(tar, archive.name, member, folder / program)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ToolError(ToolFault.MALFORMED_ARCHIVE, f"{archive.name} cannot be read: {error}") from error


def _write(tar: tarfile.TarFile, archive: str, member: str, target: Path) -> None:
    try:
        info = tar.getmember(member)
    except KeyError as error:
        raise ToolError(ToolFault.MALFORMED_ARCHIVE, f"{archive} does not hold {member}") from error
    if not info.isfile() or info.size > MEMBER_BYTES:
        raise ToolError(
            ToolFault.MALFORMED_ARCHIVE, f"{member} in {archive} is not a regular file of at most {MEMBER_BYTES} bytes"
        )
    source = tar.extractfile(info)
    if source is None:
        raise ToolError(ToolFault.MALFORMED_ARCHIVE, f"{member} in {archive} has no content")
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
    target.chmod(0o755)
