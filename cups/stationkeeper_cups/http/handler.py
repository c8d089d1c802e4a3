"""Answer `POST /update-info`: the boundary between HTTP and the core.

A refusal for a fault of the client gets 400, 403, 404, 405 or 413 and one short line. After an error of the server
the connection is closed without an answer: at any status but 200 a Basics Station drops its credentials, but it retries
after a lost connection.

With token authentication on, a client without a certificate is judged by its token. If there is a certificate, only the
certificate decides, even if a token comes with it.

A visit is remembered, logged and counted after its answer is written to a client that still listens.
Source: the CUPS protocol, how the client behaves.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import format_hex
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization_memory import AuthorizationMemory, Authorized
from stationkeeper_core.policy.refused_client import identify_claimed, identify_refused
from stationkeeper_core.policy.token_authorization import TokenClaim, authorize_by_token
from stationkeeper_core.protocol.delivery import Asked, Delivery, deliver, segments
from stationkeeper_core.protocol.update_info import UpdateInfoRequest, encode_response, parse_request
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import SeenCertificate
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_cups.admission.admission import Admission, Judged
from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.http.messages import Answer, Request
from stationkeeper_cups.http.refusals import Refusals
from stationkeeper_cups.http.whole_request import PATH
from stationkeeper_cups.log_budget import LogBudget, LogBudgets
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations

# A constant, because each access to `HTTPStatus.OK` costs a call.
_OK = HTTPStatus.OK

_log = logging.getLogger("stationkeeper.cups.update_info")


class UpdateInfoHandler:
    """Decides on requests.

    Args:
        snapshot: returns the documents in force; None before the first load.
        admission: judges certificates.
        refusals: records refused requests and returns their answers.
        metrics: the metrics.
        observations: the memory of gateways.
        clock: returns the time, aware.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of the server that a request touches
        self,
        snapshot: Callable[[], Snapshot | None],
        admission: Admission,
        refusals: Refusals,
        metrics: Metrics,
        observations: Observations,
        clock: Callable[[], datetime],
    ) -> None:
        self._snapshot = snapshot
        self._admission = admission
        self._refusals = refusals
        self._metrics = metrics
        self._observations = observations
        self._clock = clock
        self._authorizations = AuthorizationMemory()
        metrics.requests.expect("Answered", "Unchanged", "ClientGone")
        self._lines = LogBudgets(time.monotonic)
        self._trouble = LogBudget(time.monotonic)

    def answer(self, request: Request, client: Client) -> Answer | None:
        """Return the answer to `request`; None to close the connection without one."""
        begun = time.perf_counter()
        try:
            return self._answer(request, client)
        except StationkeeperError as error:
            return self._refuse(client, error)
        except Exception:
            self._metrics.requests.count("InternalError")
            left_out = self._trouble.take()
            if left_out is not None:
                fields = {"peer": client.peer, "left_out": left_out}
                _log.exception("closed without an answer", extra={"fields": fields})
            return None
        finally:
            self._metrics.request_seconds.observe(time.perf_counter() - begun)

    def malformed(self, detail: str, client: Client) -> Answer | None:
        """Return the answer to bytes that are not an HTTP request."""
        return self._refuse(client, StationkeeperError(Reason.MALFORMED_REQUEST, f"not HTTP: {detail}"))

    def too_slow(self, seconds: float, client: Client) -> Answer | None:
        """Return the answer to a request whose body has not come in time."""
        detail = f"the body did not come within {seconds:g} s"
        return self._refuse(client, StationkeeperError(Reason.REQUEST_TIMEOUT, detail))

    def _answer(self, request: Request, client: Client) -> Answer | None:
        _check_target(request)
        update_info = parse_request(request.body)
        snapshot, now = self._snapshot(), self._clock()
        if snapshot is None:
            return None
        judgement = self._admission.judgement_of(client, snapshot, now)
        seen: SeenCertificate | None = None
        if judgement is None:
            grant = authorize_by_token(TokenClaim(request.authorization, update_info.router), snapshot)
            gateway, way_in = grant.gateway, {"token": grant.source}
        elif not judgement.vouched:
            # Its trust was removed after its handshake, which would be refused now; so it gets no answer.
            return None
        else:
            authorized = self._authorize(judgement, update_info, snapshot, now)
            gateway, seen, way_in = authorized.gateway, authorized.certificate, {}
        asked = Asked(request.host, judgement.certificate.leaf.der if judgement else None)
        delivery = deliver(update_info, gateway, self._observations.progress(gateway), now, asked)
        body = encode_response(delivery.response)

        def sent() -> None:
            self._served(client, update_info, gateway, delivery, way_in, changes=any(body))
            self._observations.visited(gateway, update_info, seen, delivery.progress, now)

        return Answer(_OK, body, sent=sent, lost=lambda: self._answer_lost(client, update_info))

    def _authorize(
        self, judgement: Judgement, update_info: UpdateInfoRequest, snapshot: Snapshot, now: datetime
    ) -> Authorized:
        try:
            return self._authorizations.authorize(judgement, update_info.router, snapshot)
        except StationkeeperError as error:
            refused = identify_refused(judgement, snapshot.registry)
            if refused is not None:
                self._observations.refused(refused, update_info, error.reason, now)
            asked_for = identify_claimed(judgement, update_info.router, snapshot.registry)
            if asked_for is not None:
                self._observations.claimed(asked_for, error.reason, now)
            raise

    def _served(  # noqa: PLR0913 - all facts of a visit
        self,
        client: Client,
        update_info: UpdateInfoRequest,
        gateway: RegisteredGateway,
        delivery: Delivery,
        way_in: dict[str, str],
        *,
        changes: bool,
    ) -> None:
        outcome = "Answered" if changes else "Unchanged"
        self._metrics.requests.count(outcome)
        sent = segments(delivery.response) if changes else ()
        for segment in sent:
            self._metrics.deliveries.labels(segment).inc()
        if delivery.suppressed:
            self._metrics.suppressed_deliveries.inc()
        left_out = self._lines.take(gateway.eui)
        if left_out is None:
            return
        name = f"{gateway.namespace}/{gateway.name}"
        if _log.isEnabledFor(logging.INFO):
            fields = _described(client, gateway.eui, update_info)
            fields["gateway"], fields["sent"] = name, ", ".join(sent)
            fields.update(way_in)
            if left_out:
                fields["left_out"] = left_out
            # Like `_log.info`, without the search of the stack for the caller: no log line has it.
            record = logging.getLogRecordFactory()(_log.name, logging.INFO, "", 0, outcome.lower(), (), None)
            record.__dict__["fields"] = fields
            _log.handle(record)
        if delivery.progress is None:
            return
        trouble = {"gateway": name, "eui": gateway.eui, "outstanding": delivery.progress.outstanding}
        if delivery.stalls:
            _log.warning("not converging", extra={"fields": trouble})
        if delivery.falls_back:
            _log.warning("fell back to an older CUPS configuration", extra={"fields": trouble})

    def _answer_lost(self, client: Client, update_info: UpdateInfoRequest) -> None:
        self._metrics.requests.count("ClientGone")
        left_out = self._lines.take(format_hex(update_info.router))
        if left_out is not None:
            fields = _described(client, format_hex(update_info.router), update_info) | {"left_out": left_out}
            _log.info("gone before its answer", extra={"fields": fields})

    def _refuse(self, client: Client, error: StationkeeperError) -> Answer | None:
        judged = client.tls.verdict.judgement if client.tls and client.tls.verdict else None
        certificate = judged.judgement.certificate if isinstance(judged, Judged) else None
        return self._refusals.request(client.peer, error, certificate)


def _check_target(request: Request) -> None:
    if request.path != PATH:
        raise StationkeeperError(Reason.PATH_NOT_FOUND, f"{request.path[:128]!a} is not a path of this server")
    if request.method != "POST":
        raise StationkeeperError(Reason.METHOD_NOT_ALLOWED, f"{request.method[:20]!a} is not POST")


def _described(client: Client, eui: str, update_info: UpdateInfoRequest) -> dict[str, object]:
    return {
        "peer": client.peer,
        "eui": eui,
        "station": update_info.station,
        "model": update_info.model,
        "package": update_info.package,
    }
