"""The state that the server decides on, and its changes.

Sources hand over documents and server credentials. A change is atomic: the new state is complete before it replaces the
old one in a single assignment. A refused document or certificate is logged, counted and shown on the internal port, and
the last good state stays in force.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, islice

from OpenSSL import SSL

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.snapshot import Holdings, OlderGenerationError, Snapshot
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.registry_layout import BUCKETS, TRUST, layout_of
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_cups.in_force.kept_generations import KeptGenerations
from stationkeeper_cups.in_force.server_certificate import check_for_stations
from stationkeeper_cups.in_force.waiting_notice import SERVER_CERTIFICATE, secrets_of
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials

GATEWAYS_A_STEP = 200

_log = logging.getLogger("stationkeeper.cups.state")


@dataclass(frozen=True)
class _State:
    holdings: Holdings
    credentials: ServerCredentials | None
    context: SSL.Context | None = None
    strict_context: SSL.Context | None = None


class ServingState:
    """The state in force.

    Args:
        metrics: the metrics.
        token_authentication: whether a client without a certificate may authenticate by a token.
        buckets: the number of documents for the Gateways; one of `BUCKET_COUNTS`.
        kept: the generations in force before a restart; older ones are refused.
        server_tls: the name of the Secret with the server certificate, for messages.

    Attributes:
        token_authentication: the argument.
        complete: set when the server has everything that it needs; never cleared.
        is_latest: set when the operator has said that all documents here are the latest; never cleared.
        on_trust_change: called after a change of the trust in force.
        on_gateways_loaded: called with the gateways of a registry document after it is in force, some at a time.
        is_remembered: returns whether `on_gateways_loaded` needs the gateways with an EUI.
        on_server_credentials_loaded: called after a change of the server credentials in force.
        on_server_credentials: called before such a change; may refuse it.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        token_authentication: bool = False,
        buckets: int = BUCKETS,
        kept: KeptGenerations | None = None,
        server_tls: str = "",
    ) -> None:
        self._metrics = metrics
        self._kept = kept or KeptGenerations(None)
        self._server_tls = server_tls
        self.token_authentication = token_authentication
        holdings = Holdings(layout=layout_of(buckets), floors=self._kept.read())
        self._state = _State(holdings, credentials=None)
        self._refused: dict[str, StationkeeperError] = {}
        self._source: dict[str, int] = {}
        self._loading = asyncio.Lock()
        self.complete = asyncio.Event()
        self.is_latest = asyncio.Event()
        self.on_trust_change: Callable[[], None] = lambda: None
        self.on_gateways_loaded: Callable[[Iterable[RegisteredGateway]], None] = lambda _gateways: None
        self.is_remembered: Callable[[EUI64], bool] = lambda _eui: True
        self.on_server_credentials: Callable[[ServerCredentials], None] = lambda _credentials: None
        self.on_server_credentials_loaded: Callable[[ServerCredentials], None] = lambda _credentials: None

    @property
    def snapshot(self) -> Snapshot | None:
        """The documents in force, for decisions on requests; None before the first complete load."""
        return self._state.holdings.snapshot

    @property
    def trust(self) -> TrustGeneration | None:
        """The trust in force, for judgements; None before there is any."""
        return self._state.holdings.trust

    @property
    def context(self) -> SSL.Context | None:
        """The TLS context of the next handshake, without trust; None before there are server credentials."""
        return self._state.context

    @property
    def strict_context(self) -> SSL.Context | None:
        """The TLS context for handshakes that require a certificate; None before there are server credentials."""
        return self._state.strict_context

    @property
    def documents(self) -> tuple[str, ...]:
        """The names of the documents that it needs."""
        return self._state.holdings.layout.documents

    @property
    def missing(self) -> tuple[str, ...]:
        """The missing documents and credentials; the server is ready when there are none."""
        credentials = () if self._state.credentials else (SERVER_CERTIFICATE,)
        return (*self._state.holdings.missing, *credentials)

    @property
    def secrets_missing(self) -> str:
        """The Secrets of the missing content, as text; empty if nothing is missing."""
        return secrets_of(self.missing, self._server_tls)

    @property
    def generations(self) -> dict[str, int]:
        """The generation in force of each document."""
        return self._state.holdings.generations

    @property
    def kept_generations(self) -> dict[str, int]:
        """The generation that each missing document had before a restart; an older one is refused."""
        holdings = self._state.holdings
        return {each: holdings.floors[each] for each in holdings.missing if each in holdings.floors}

    @property
    def refused(self) -> dict[str, StationkeeperError]:
        """The last refusal of each document that is not in force."""
        return dict(self._refused)

    async def load_document(self, document: str, value: bytes) -> None:
        """Put `value` of the source in force as `document`; if it is refused, keep the state and report why.

        If the operator handed over a newer document, that is not reported; only a source that goes back is reported.
        """
        async with self._loading:
            try:
                self._source[document] = await self._load(document, value)
            except OlderGenerationError as error:
                if error.generation < self._source.get(document, 0):
                    self._refuse(document, error)
                    return
                self._source[document] = error.generation
                self._refused.pop(document, None)
            except StationkeeperError as error:
                self._refuse(document, error)

    async def take_over(self, document: str, value: bytes) -> None:
        """Put `value`, handed over by the operator, in force as `document`; if it is refused, keep the state.

        Raises:
            StationkeeperError: the reason of the refusal. All but `OlderGeneration` are reported here too.
        """
        async with self._loading:
            try:
                await self._load(document, value)
            except OlderGenerationError:
                raise
            except StationkeeperError as error:
                self._refuse(document, error)
                raise

    def compare(self, latest: Mapping[str, int]) -> frozenset[str]:
        """Take in the latest generations; return the documents that are older here."""
        in_force = self.generations
        older = frozenset(document for document, number in latest.items() if in_force.get(document, -1) < number)
        if not older:
            self.is_latest.set()
        return older

    async def _load(self, document: str, value: bytes) -> int:
        """Put `value` in force; return its generation.

        Work that grows with the document runs in a thread or in steps, so that gateways are answered meanwhile. One
        document is loaded at a time, in the order of the calls.
        """
        before = self._state.holdings
        holdings = await asyncio.to_thread(before.accept, document, value)
        self._refused.pop(document, None)
        if holdings is not before:
            # Before any report that it is in force: an enforced change must survive a crash.
            await asyncio.to_thread(self._kept.write, {**holdings.floors, **holdings.generations})
            # The server's credentials may have changed while the thread ran.
            self._enforce(replace(self._state, holdings=holdings))
            self._measure(document)
            await self._announce(document)
        return self.generations[document]

    async def _announce(self, document: str) -> None:
        if document == TRUST:
            self.on_trust_change()
            return
        bucket = self._state.holdings.buckets[document]
        euis = (eui for eui, _ in groupby(bucket.euis))
        while step := tuple(islice(euis, GATEWAYS_A_STEP)):
            self.on_gateways_loaded(each for eui in filter(self.is_remembered, step) for each in bucket.gateways(eui))
            await asyncio.sleep(0)

    def load_server_credentials(self, credentials: ServerCredentials) -> None:
        """Put the server credentials in force; if they are refused, keep the state and report why."""
        if credentials == self._state.credentials:
            self._refused.pop(SERVER_CERTIFICATE, None)
            return
        try:
            check_for_stations(credentials)
            strict = context = gateway_context(credentials)
            if self.token_authentication:
                context = gateway_context(credentials, certificate_optional=True)
            changed = replace(self._state, credentials=credentials, context=context, strict_context=strict)
            self.on_server_credentials(credentials)
        except StationkeeperError as error:
            self._refuse(SERVER_CERTIFICATE, error)
            return
        self._refused.pop(SERVER_CERTIFICATE, None)
        self._enforce(changed)
        _log.info("loaded", extra={"fields": {"document": SERVER_CERTIFICATE}})
        self.on_server_credentials_loaded(credentials)

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
