"""A secret in a file, which is read again when it changes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.page.access import MAX_SECRET, MIN_SECRET

REREAD_SECONDS = 2.0

_log = logging.getLogger("stationkeeper.page")


class SecretFile:
    """The content of one file.

    Args:
        path: the file.
        clock: returns monotonic seconds.

    Raises:
        InputError: it holds no secret.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._secret = _read(path)
        self._read_at = clock()

    def __call__(self) -> bytes:
        """Return the secret; empty if the file can no longer be read, so that it gives no access."""
        if self._clock() - self._read_at >= REREAD_SECONDS:
            self._read_at = self._clock()
            try:
                self._secret = _read(self._path)
            except (OSError, InputError) as error:
                _log.warning("a secret cannot be read, so it gives no access", extra={"fields": {"detail": str(error)}})
                self._secret = b""
        return self._secret


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        found = file.read(MAX_SECRET + 1).strip()
    if not MIN_SECRET <= len(found) <= MAX_SECRET:
        detail = f"{path} has {len(found)} bytes; a secret has {MIN_SECRET} to {MAX_SECRET}"
        raise InputError(f"{detail}: openssl rand -hex 32 > {path}")
    return found
