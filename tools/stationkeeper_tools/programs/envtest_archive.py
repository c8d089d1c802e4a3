"""The control plane's programs from the archives that controller-runtime's `setup-envtest` uses.

Their index names, for each release of Kubernetes and each platform, an archive and its SHA-512:
`releases: {v1.36.0: {envtest-v1.36.0-linux-amd64.tar.gz: {hash: <hex>, selfLink: <url>}}}`. Source:
https://github.com/kubernetes-sigs/controller-tools/blob/main/envtest-releases.yaml
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_tools.programs.archive_members import unpack_programs
from stationkeeper_tools.programs.download import Bounds, Digest, fetch_file, fetch_text
from stationkeeper_tools.programs.tool_platform import Platform
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault

INDEX_URL = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"
INDEX_BOUNDS = Bounds(size=4 << 20, idle_seconds=5.0, total_seconds=20.0)
ARCHIVE_BOUNDS = Bounds(size=512 << 20, idle_seconds=20.0, total_seconds=900.0)
PROGRAMS = ("kube-apiserver", "etcd", "kubectl")

_MEMBERS = {f"controller-tools/envtest/{name}": name for name in PROGRAMS}
_VERSION = re.compile(r"v(\d{1,4})\.(\d{1,4})\.(\d{1,4})")
_SHA512 = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True)
class Release:
    """One archive of the index: the version of Kubernetes (`1.37.2`), its URL and its digest."""

    version: str
    url: str
    digest: Digest


@dataclass(frozen=True)
class EnvtestServer:
    """The address of the index, and the limits of the downloads."""

    index_url: str = INDEX_URL
    index_bounds: Bounds = INDEX_BOUNDS
    archive_bounds: Bounds = ARCHIVE_BOUNDS


def fetch_control_plane(
    server: EnvtestServer, version: str, platform: Platform, folder: Path, progress: Progress
) -> Release:
    """Put `PROGRAMS` of the release that `choose_release` chooses into `folder`.

    Raises:
        ToolError: it cannot be downloaded, is not what the index says, or there is none.
    """
    index = fetch_text(server.index_url, server.index_bounds)
    release = choose_release(index, version, platform)
    progress.say(f"Downloading {release.url}")
    archive = folder / "archive.tar.gz"
    fetch_file(release.url, archive, release.digest, server.archive_bounds, progress)
    unpack_programs(archive, _MEMBERS, folder)
    archive.unlink()
    return release


def choose_release(index: str, version: str, platform: Platform) -> Release:
    """Return the release to use: `version` itself, else the newest one with a major and minor version not above it.

    Args:
        index: the index, YAML.
        version: `1.37.2`.
        platform: the archive must be for this one.

    Raises:
        ToolError: `MalformedIndex` or `NoRelease`.
    """
    wanted = _parse_version(f"v{version}")
    candidates = {
        number: (name, archives)
        for name, archives in _releases(index).items()
        if (number := _parse_version(name)) and wanted and number[:2] <= wanted[:2] and isinstance(archives, dict)
    }
    for number in sorted(candidates, key=lambda each: (each == wanted, each), reverse=True):
        name, archives = candidates[number]
        entry = archives.get(f"envtest-{name}-{platform}.tar.gz")
        if entry is not None:
            return _release(name, entry)
    raise ToolError(ToolFault.NO_RELEASE, f"the envtest index has no release up to {version} for {platform}")


def _releases(index: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(index)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ToolError(ToolFault.MALFORMED_INDEX, "the envtest index is not YAML") from error
    releases = document.get("releases") if isinstance(document, dict) else None
    if not isinstance(releases, dict):
        raise ToolError(ToolFault.MALFORMED_INDEX, "the envtest index has no map `releases`")
    return {name: archives for name, archives in releases.items() if isinstance(name, str)}


def _release(name: str, entry: object) -> Release:
    digest, url = (entry.get("hash"), entry.get("selfLink")) if isinstance(entry, dict) else (None, None)
    if not isinstance(digest, str) or not _SHA512.fullmatch(digest) or not isinstance(url, str):
        raise ToolError(ToolFault.MALFORMED_INDEX, f"the envtest index has no SHA-512 and selfLink for {name}")
    return Release(name.removeprefix("v"), url, Digest("sha512", digest))


def _parse_version(text: str) -> tuple[int, int, int] | None:
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
