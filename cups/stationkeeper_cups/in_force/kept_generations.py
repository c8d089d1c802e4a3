"""The generations in force in this pod, stored for restarts of its container.

A kubelet refreshes a mounted Secret only after up to two minutes, and later while the API server is away. So a
restarted container may find an older volume than the documents that the operator handed to it before, after the
operator has already reported a removal as enforced. The documents themselves are not stored, because they contain
secrets. A new pod has no such file, but its volume is new too.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION

_MAX_BYTES = 128 * 1024
"""The maximum size of the file; a release has at most 1,025 documents."""
_log = logging.getLogger("stationkeeper.cups.kept_generations")


class KeptGenerations:
    """The file with the generations.

    Args:
        file: the file, in a folder that lasts as long as the pod; None stores nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def read(self) -> Mapping[str, int]:
        """Return the generations by document; empty if the file does not exist or cannot be read."""
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as file:
                generations = msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            fields = {"file": str(self._file), "detail": str(error)}
            _log.error("cannot read which generations were in force", extra={"fields": fields})
            return {}
        return {document: number for document, number in generations.items() if 0 <= number <= MAX_GENERATION}

    def write(self, generations: Mapping[str, int]) -> None:
        """Store the generations by document; a failure is only logged, because serving gateways is more important."""
        if self._file is None:
            return
        fresh = self._file.with_name(f"{self._file.name}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(dict(generations)))
            # A process may be killed between any two bytes.
            fresh.replace(self._file)
        except OSError as error:
            fields = {"file": str(self._file), "detail": str(error)}
            _log.error("cannot write which generations are in force", extra={"fields": fields})
