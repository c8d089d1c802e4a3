"""Log the missing content that the server waits for, if that takes long."""

import logging
from collections.abc import Callable, Sequence

from stationkeeper_core.published.documents import secret_name

SERVER_CERTIFICATE = "server-certificate"
FIRST_SECONDS = 10.0
AGAIN_SECONDS = 300.0

_MAX_NAMED = 3
_log = logging.getLogger("stationkeeper.cups.waiting")


class WaitingNotice:
    """Logs the missing content after 10 s, and then every five minutes.

    Args:
        missing: returns the missing documents and credentials.
        where: the place of the source, as text: a folder, or a namespace.
        monotonic: returns monotonic seconds.
        secrets: returns the Secrets of the missing content.
    """

    def __init__(
        self,
        missing: Callable[[], tuple[str, ...]],
        where: str,
        monotonic: Callable[[], float],
        secrets: Callable[[], str] = lambda: "",
    ) -> None:
        self._missing = missing
        self._where = where
        self._monotonic = monotonic
        self._secrets = secrets
        self._due = monotonic() + FIRST_SECONDS

    def check(self) -> None:
        """Log, if it is time and content is missing."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + AGAIN_SECONDS
        if missing := self._missing():
            fields = {"missing": ", ".join(missing), "where": self._where, "secrets": self._secrets()}
            _log.warning("waiting: gateways cannot connect until these exist", extra={"fields": fields})


def secrets_of(missing: Sequence[str], server_tls: str) -> str:
    """Return the Secrets and keys of the missing content; empty if nothing is missing.

    Args:
        missing: names of documents, and `SERVER_CERTIFICATE`.
        server_tls: the name of the server's TLS Secret.
    """
    documents = [each for each in missing if each != SERVER_CERTIFICATE]
    named = [f"{server_tls} (keys tls.crt and tls.key)"] if len(documents) < len(missing) else []
    named += [f"{secret_name(each)} (key {each})" for each in documents[:_MAX_NAMED]]
    more = len(documents) - _MAX_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
