"""Fetch a file over HTTP, with bounds on size and time; check its digest before anything reads it.

The proxies of the environment are used (`HTTPS_PROXY`, `NO_PROXY`), as in other programs.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault

_CHUNK_BYTES = 1 << 16
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """The limits of a download.

    Attributes:
        size: bytes.
        idle_seconds: to connect, and between two pieces.
        total_seconds: from the first piece to the last.
    """

    size: int
    idle_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Digest:
    """The digest that a publisher gives for a file: an algorithm of `hashlib`, and the value in lower-case hex."""

    algorithm: str
    value: str


def fetch_text(url: str, bounds: Bounds) -> str:
    """Return the text (UTF-8) at `url`.

    Raises:
        ToolError: `DownloadFailed` or `DownloadTooLarge`.
    """
    pieces: list[bytes] = []
    _transfer(url, bounds, pieces.append, lambda _done, _all: None)
    try:
        return b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} is not text: {error.reason}") from error


def fetch_file(url: str, target: Path, digest: Digest, bounds: Bounds, progress: Progress) -> None:
    """Download `url` into the new file `target`; the file is removed again if its digest is not the given one.

    Raises:
        ToolError: `DownloadFailed`, `DownloadTooLarge` or `DigestMismatch`.
    """
    running = hashlib.new(digest.algorithm)

    def show(done: int, size: int | None) -> None:
        whole = f" of {size // _MEBIBYTE}" if size else ""
        progress.show(f"  {done // _MEBIBYTE}{whole} MiB downloaded")

    try:
        with target.open("xb") as file:

            def take(piece: bytes) -> None:
                running.update(piece)
                file.write(piece)

            _transfer(url, bounds, take, show)
        _compare(url, Digest(digest.algorithm, running.hexdigest()), digest)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        progress.end()


def _compare(url: str, found: Digest, published: Digest) -> None:
    if found != published:
        raise ToolError(
            ToolFault.DIGEST_MISMATCH,
            f"{url} has the {found.algorithm} {found.value}, its publisher says {published.value}; "
            "nothing of it was used",
        )


def _transfer(
    url: str, bounds: Bounds, take: Callable[[bytes], object], show: Callable[[int, int | None], None]
) -> None:
    if urlsplit(url).scheme not in {"https", "http"}:
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} is not an http or https URL")
    try:
        with closing(urllib.request.urlopen(url, timeout=bounds.idle_seconds)) as answer:  # noqa: S310 - checked above
            _copy(url, answer, bounds, take, show)
    except urllib.error.HTTPError as error:
        with error:
            raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} answered with status {error.code}") from error
    except urllib.error.URLError as error:
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} cannot be reached: {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} broke off: {error or type(error).__name__}") from error


def _copy(
    url: str,
    answer: IO[bytes],
    bounds: Bounds,
    take: Callable[[bytes], object],
    show: Callable[[int, int | None], None],
) -> None:
    if not isinstance(answer, http.client.HTTPResponse):
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} does not answer with HTTP")
    size, done = answer.length, 0
    ends = time.monotonic() + bounds.total_seconds
    while piece := answer.read1(_CHUNK_BYTES):
        done += len(piece)
        if done > bounds.size:
            raise ToolError(ToolFault.DOWNLOAD_TOO_LARGE, f"{url} is larger than {bounds.size} bytes")
        if time.monotonic() > ends:
            raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} took longer than {bounds.total_seconds:.0f} s")
        take(piece)
        show(done, size)
    if size is not None and done < size:
        raise ToolError(ToolFault.DOWNLOAD_FAILED, f"{url} broke off after {done} of {size} bytes")
