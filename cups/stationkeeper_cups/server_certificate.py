"""The server's certificate: whether gateways can verify it, and its end.

The end is measured, and a warning in the log once per stage and load.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.expiry import Stage, stage_of
from stationkeeper_core.station_certificate import check_client
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.pem import first_certificate
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.tls_context import ServerCredentials

CHECK_SECONDS = 600.0

_log = logging.getLogger("stationkeeper.cups.server_certificate")


class ServerCertificate:
    """Of one server.

    Args:
        metrics: what to measure in.
        now: the time, aware.

    Attributes:
        not_after: its end, aware; None before there is one, and where it cannot be told.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._now = now
        self._told: Stage | None = None
        self.not_after: datetime | None = None

    def loaded(self, credentials: ServerCredentials) -> None:
        """Takes in what is in force from now on."""
        self.not_after, self._told = _end(credentials), None
        end = self.not_after.timestamp() if self.not_after else float("nan")
        self._metrics.server_certificate_expires.set(end)
        self.check()

    def check(self) -> None:
        """Warns if a stage is reached that was not told yet."""
        stage = stage_of(self.not_after, self._now()) if self.not_after else None
        if stage is None or stage is self._told or self.not_after is None:
            return
        self._told = stage
        fields = {"reason": stage.value, "not_after": rfc3339(self.not_after)}
        _log.warning("renew the server's certificate: gateways refuse it once expired", extra={"fields": fields})

    async def run(self) -> None:
        """Looks from time to time until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.check()


def check_for_stations(credentials: ServerCredentials) -> None:
    """Refuses an end-entity certificate that no Basics Station accepts; one that cannot be read here passes.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    certificate = first_certificate(credentials.certificates)
    if certificate is None:
        return
    try:
        check_client(certificate)
    except StationkeeperError as error:
        detail = f"gateways would not connect any more: {error.detail}"
        raise StationkeeperError(Reason.SERVER_CERTIFICATE_INVALID, detail) from None


def _end(credentials: ServerCredentials) -> datetime | None:
    certificate = first_certificate(credentials.certificates)
    return None if certificate is None else certificate.not_after
