"""Which generation of each document was in force in this pod, kept while its container is started again.

A kubelet refreshes a mounted Secret only after up to two minutes, and later still while the API server is away. So a
container that starts again may find an older volume than the documents that the operator had handed to it before, and
the operator has shown since that what was taken away is enforced. Nothing of the documents is kept: they hold secrets.
A pod that is new has no such file, and a volume that was just laid.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION

_MAX_BYTES = 128 * 1024
"""A release has at most 1,025 documents."""
_log = logging.getLogger("stationkeeper.cups.kept_generations")


class KeptGenerations:
    """A file of them.

    Args:
        file: in a folder that lasts as long as the pod; None: nothing is kept.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def read(self) -> Mapping[str, int]:
        """Return the generations by document; none where the file does not exist or cannot be read."""
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as file:
                found = msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            fields = {"file": str(self._file), "detail": str(error)}
            _log.error("cannot read which generations were in force", extra={"fields": fields})
            return {}
        return {document: number for document, number in found.items() if 0 <= number <= MAX_GENERATION}

    def write(self, generations: Mapping[str, int]) -> None:
        """Keep the generations by document; a failure is logged, as gateways are worth more than this file."""
        if self._file is None:
            return
        fresh = self._file.with_name(f"{self._file.name}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(dict(generations)))
            # A process may be killed between any two bytes.
            fresh.replace(self._file)
        except OSError as error:
            fields = {"file": str(self._file), "detail": str(error)}
            _log.error("cannot keep which generations are in force", extra={"fields": fields})
