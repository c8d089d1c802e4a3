"""What the server decides on at this moment, and how that changes.

Sources hand over documents and server credentials as they find them. A change is made whole or not at all: the new
state is complete, its TLS context included, before it takes the place of the old one in a single assignment. What is
refused is logged, counted and shown on the internal port, and the last good state stays in force.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published import TRUST, RegisteredGateway
from stationkeeper_core.snapshot import Holdings, Snapshot
from stationkeeper_core.trust_anchors import handshake_certificates, takes_weak_signatures
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.server_certificate import check_for_stations
from stationkeeper_cups.tls_context import ServerCredentials, client_authentication

CONNECTIONS_A_CONTEXT = 2000
SERVER_CERTIFICATE = "server-certificate"

_log = logging.getLogger("stationkeeper.cups.state")


@dataclass(frozen=True)
class _State:
    holdings: Holdings
    credentials: ServerCredentials | None
    context: ssl.SSLContext | None


class ServingState:
    """The state in force.

    Args:
        metrics: what to count in.
        token_authentication: whether a client without a certificate may come in by a token.
        clock: the time, aware.

    Attributes:
        token_authentication: as given.
        complete: set once all is there that the server needs, and for ever then.
        on_trust_change: called after other trust than before is in force.
        on_gateways_loaded: called with the gateways of a registry document after it is in force.
        on_server_credentials_loaded: called after other server credentials are in force.
        on_server_credentials: called before other server credentials are put in force; may refuse them.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        token_authentication: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self.token_authentication = token_authentication
        self._state = _State(Holdings(), credentials=None, context=None)
        self._refused: dict[str, StationkeeperError] = {}
        self._accepted = 0
        self.complete = asyncio.Event()
        self.on_trust_change: Callable[[], None] = lambda: None
        self.on_gateways_loaded: Callable[[Iterable[RegisteredGateway]], None] = lambda _gateways: None
        self.on_server_credentials: Callable[[ServerCredentials], None] = lambda _credentials: None
        self.on_server_credentials_loaded: Callable[[ServerCredentials], None] = lambda _credentials: None

    @property
    def snapshot(self) -> Snapshot | None:
        """What to decide requests on; None before the first complete load."""
        return self._state.holdings.snapshot

    @property
    def context(self) -> ssl.SSLContext | None:
        """What to accept connections under; None before there are server credentials.

        Before there is trust, it lets in no certificate.
        """
        return self._state.context

    def next_context(self) -> ssl.SSLContext | None:
        """The context for one more connection, made anew now and then.

        A context keeps the TLS 1.2 sessions of its clients, up to 20,000 of them, and Python has no switch for that.
        """
        self._accepted += 1
        if self._accepted % CONNECTIONS_A_CONTEXT == 0:
            try:
                self._state = replace(self._state, context=self._new_context(self._state))
            except (StationkeeperError, OSError) as error:
                _log.warning("the TLS context is kept", extra={"fields": {"detail": str(error)}})
        return self._state.context

    @property
    def missing(self) -> tuple[str, ...]:
        """What has to come before the server is ready."""
        credentials = () if self._state.credentials else (SERVER_CERTIFICATE,)
        return (*self._state.holdings.missing, *credentials)

    @property
    def generations(self) -> dict[str, int]:
        """The generation in force of each document."""
        return self._state.holdings.generations

    @property
    def refused(self) -> dict[str, StationkeeperError]:
        """What was given last but not put in force, and why."""
        return dict(self._refused)

    def load_document(self, document: str, value: bytes) -> None:
        """Puts `value` in force as `document`, or leaves all as it is and says why."""
        before = self._state
        try:
            holdings = before.holdings.accept(document, value)
            changed = replace(before, holdings=holdings)
            if holdings.trust is not before.holdings.trust:
                changed = replace(changed, context=self._new_context(changed))
        except StationkeeperError as error:
            self._refuse(document, error)
            return
        self._refused.pop(document, None)
        if holdings is before.holdings:
            return
        self._enforce(changed)
        self._measure(document)
        if document == TRUST:
            self.on_trust_change()
        else:
            self.on_gateways_loaded(holdings.buckets[document])

    def load_server_credentials(self, credentials: ServerCredentials) -> None:
        """Has the server prove itself with `credentials`, or leaves all as it is and says why."""
        if credentials == self._state.credentials:
            self._refused.pop(SERVER_CERTIFICATE, None)
            return
        changed = replace(self._state, credentials=credentials)
        try:
            check_for_stations(credentials)
            changed = replace(changed, context=self._new_context(changed))
            self.on_server_credentials(credentials)
        except StationkeeperError as error:
            self._refuse(SERVER_CERTIFICATE, error)
            return
        self._refused.pop(SERVER_CERTIFICATE, None)
        self._enforce(changed)
        _log.info("loaded", extra={"fields": {"document": SERVER_CERTIFICATE}})
        self.on_server_credentials_loaded(credentials)

    def _new_context(self, state: _State) -> ssl.SSLContext | None:
        if state.credentials is None:
            return None
        trust = state.holdings.trust
        return client_authentication(
            handshake_certificates(trust, self._clock()) if trust else (),
            state.credentials,
            certificate_optional=self.token_authentication,
            weak=trust is not None and takes_weak_signatures(trust),
        )

    def _enforce(self, state: _State) -> None:
        self._state = state
        if not self.missing:
            self.complete.set()

    def _refuse(self, document: str, error: StationkeeperError) -> None:
        known = self._refused.get(document)
        self._refused[document] = error
        self._metrics.load_refusals.labels(document, error.reason).inc()
        if known is None or str(known) != str(error):
            fields = {"document": document, "reason": error.reason, "detail": error.detail}
            _log.error("not loaded, the last good state stays in force", extra={"fields": fields})

    def _measure(self, document: str) -> None:
        generation = self.generations[document]
        self._metrics.loaded_generation.labels(document).set(generation)
        trust, snapshot = self._state.holdings.trust, self.snapshot
        self._metrics.trusted_cas.set(len(trust.trusted_cas) if trust else 0)
        self._metrics.gateways.set(len(snapshot.registry) if snapshot else 0)
        _log.info("loaded", extra={"fields": {"document": document, "generation": generation}})
