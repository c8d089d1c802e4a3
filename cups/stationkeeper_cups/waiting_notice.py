"""Tells in the log what the server still waits for before it can serve, where that takes long."""

import logging
from collections.abc import Callable

FIRST_SECONDS = 10.0
AGAIN_SECONDS = 300.0

_log = logging.getLogger("stationkeeper.cups.waiting")


class WaitingNotice:
    """Says what is missing after 10 s, and every five minutes.

    Args:
        missing: what has to come before the server is ready.
        where: what is looked at, for people: a folder, or a namespace.
        monotonic: a clock in seconds.
    """

    def __init__(self, missing: Callable[[], tuple[str, ...]], where: str, monotonic: Callable[[], float]) -> None:
        self._missing = missing
        self._where = where
        self._monotonic = monotonic
        self._due = monotonic() + FIRST_SECONDS

    def look(self) -> None:
        """Tell, if it is time and something is missing."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + AGAIN_SECONDS
        if missing := self._missing():
            fields = {"missing": ", ".join(missing), "where": self._where}
            _log.warning("waiting: gateways cannot connect before these are there", extra={"fields": fields})
