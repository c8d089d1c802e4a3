"""Report refused clients: to the client, in the log, and on the internal port."""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.policy.refused_client import identify_refused
from stationkeeper_core.published.observation import clean
from stationkeeper_core.reason_table import REASONS
from stationkeeper_core.x509.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.admission.admission import Judged
from stationkeeper_cups.http.messages import TEXT, Answer
from stationkeeper_cups.log_budget import LogBudget, LogBudgets
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations

MAX_RECENT = 200

_MAX_ERROR_BYTES = 1000

_log = logging.getLogger("stationkeeper.cups")


class RecentRefusal(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A refused client.

    Attributes:
        at: the time, aware.
        peer: its IP address.
        reason: the word of the reason.
        detail: the details.
        in_handshake: whether the TLS handshake was refused. Then the client did not prove that it has the certificate's
            key.
        common_name, issuer, serial, sha256: from the presented certificate; empty without one.
    """

    at: datetime
    peer: str
    reason: str
    detail: str
    in_handshake: bool
    common_name: str = ""
    issuer: str = ""
    serial: str = ""
    sha256: str = ""


class Refusals:
    """The refusals of one server.

    Args:
        metrics: the metrics.
        observations: the memory for the refusals of gateways.
        clock: returns the time, aware.

    Attributes:
        recent: the last refusals, the oldest first.
    """

    def __init__(self, metrics: Metrics, observations: Observations, clock: Callable[[], datetime]) -> None:
        self._metrics = metrics
        self._observations = observations
        self._clock = clock
        self._handshake_lines = LogBudget(time.monotonic)
        self._unknown_client_lines = LogBudget(time.monotonic)
        self._known_client_lines = LogBudgets(time.monotonic)
        self.recent: deque[RecentRefusal] = deque(maxlen=MAX_RECENT)

    def handshake(self, refusal: Refusal) -> None:
        """Record a refused handshake."""
        self._metrics.handshake_refusals.count(refusal.reason)
        left_out = self._handshake_lines.take()
        judged = refusal.judgement
        if isinstance(judged, Judged):
            client = identify_refused(judged.judgement, judged.snapshot.registry)
            if client is not None and client.gateway is not None:
                self._observations.claimed(client, refusal.reason, self._clock())
        if left_out is None:
            # Without a log line the certificate is not read: a flood must stay cheap.
            return
        certificate = judged.judgement.certificate if isinstance(judged, Judged) else _read(refusal.presented)
        error = StationkeeperError(refusal.reason, refusal.detail)
        self._log_refusal("handshake refused", refusal.peer, error, certificate, left_out, in_handshake=True)

    def request(self, peer: str, error: StationkeeperError, certificate: ClientCertificate | None) -> Answer | None:
        """Record a refused request and return its answer; None to close the connection without one."""
        self._metrics.requests.count(error.reason)
        if certificate is None:
            left_out = self._unknown_client_lines.take()
        else:
            # A gateway that is refused again and again must not suppress the lines of others.
            left_out = self._known_client_lines.take(certificate.leaf.sha256)
        if left_out is not None:
            self._log_refusal("refused", peer, error, certificate, left_out, in_handshake=False)
        info = REASONS[error.reason]
        if info.http_status is None:
            return None
        explanation = info.meaning if info.discreet else error.detail
        text = f"{error.reason}: {explanation}".encode("ascii", "replace")[:_MAX_ERROR_BYTES] + b"\n"
        allow = b"Allow: POST\r\n" if error.reason is Reason.METHOD_NOT_ALLOWED else b""
        return Answer(HTTPStatus(info.http_status), text, TEXT, allow, closes=True)

    def _log_refusal(  # noqa: PLR0913 - the content of a line
        self,
        event: str,
        peer: str,
        error: StationkeeperError,
        certificate: ClientCertificate | None,
        left_out: int,
        *,
        in_handshake: bool,
    ) -> None:
        seen = _described(certificate)
        fields = {"peer": peer, "reason": error.reason, "detail": error.detail} | seen
        _log.warning(event, extra={"fields": fields | ({"left_out": left_out} if left_out else {})})
        self.recent.append(
            RecentRefusal(
                at=self._clock(),
                peer=peer,
                reason=error.reason,
                detail=clean(error.detail, 256),
                in_handshake=in_handshake,
                **{name: clean(text) for name, text in seen.items()},
            )
        )


def _read(presented: tuple[bytes, ...]) -> ClientCertificate | None:
    try:
        return read_client_certificate(presented[:1]) if presented else None
    except StationkeeperError:
        return None


def _described(certificate: ClientCertificate | None) -> dict[str, str]:
    if certificate is None:
        return {}
    return {
        "common_name": ", ".join(certificate.common_names),
        "issuer": certificate.leaf.issuer,
        "serial": certificate.leaf.serial,
        "sha256": certificate.leaf.sha256,
    }
