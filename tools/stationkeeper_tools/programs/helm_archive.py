"""The program `helm` from its publisher's archives, each with its SHA-256 beside it (`<archive>.sha256sum`)."""

import re
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_tools.programs.archive_members import unpack_programs
from stationkeeper_tools.programs.download import Bounds, Digest, fetch_file, fetch_text
from stationkeeper_tools.programs.tool_platform import Platform
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault

BASE_URL = "https://get.helm.sh"
DIGEST_BOUNDS = Bounds(size=4096, idle_seconds=5.0, total_seconds=20.0)
ARCHIVE_BOUNDS = Bounds(size=128 << 20, idle_seconds=20.0, total_seconds=600.0)

_DIGEST_LINE = re.compile(r"([0-9a-f]{64})(?:\s+\*?(\S+))?\s*")


@dataclass(frozen=True)
class HelmServer:
    """The address of the archives, and the limits of the downloads."""

    base_url: str = BASE_URL
    digest_bounds: Bounds = DIGEST_BOUNDS
    archive_bounds: Bounds = ARCHIVE_BOUNDS


def fetch_helm(server: HelmServer, version: str, platform: Platform, folder: Path, progress: Progress) -> str:
    """Put `helm` into `folder`.

    Args:
        server: where the archives are.
        version: `4.3.1`.
        platform: the archive's platform.
        folder: exists.
        progress: shows the download.

    Returns:
        The archive's URL.

    Raises:
        ToolError: it cannot be downloaded, or is not what its digest says.
    """
    name = f"helm-v{version}-{platform}.tar.gz"
    url = f"{server.base_url}/{name}"
    digest = _parse_digest(fetch_text(f"{url}.sha256sum", server.digest_bounds), name)
    progress.say(f"Downloading {url}")
    archive = folder / "archive.tar.gz"
    fetch_file(url, archive, digest, server.archive_bounds, progress)
    unpack_programs(archive, {f"{platform}/helm": "helm"}, folder)
    archive.unlink()
    return url


def _parse_digest(text: str, name: str) -> Digest:
    match = _DIGEST_LINE.fullmatch(text)
    if not match or match[2] not in {None, name}:
        raise ToolError(ToolFault.MALFORMED_INDEX, f"{name}.sha256sum is not one SHA-256 of {name}")
    return Digest("sha256", match[1])
