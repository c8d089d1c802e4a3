"""The CUPS server process: settings, sockets, signals, and the order of start and stop."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

from OpenSSL import SSL

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.record_types import prepare_record_types
from stationkeeper_core.setting_values import Address, SettingsError
from stationkeeper_cups.accepting.before_tls import ProxyProtocol
from stationkeeper_cups.accepting.connection_limits import ConnectionLimits, derived_limits, halved, memory_limit
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.accepting.listening_socket import ListeningSocket
from stationkeeper_cups.accepting.unaccepted_connections import Dropped
from stationkeeper_cups.admission.admission import Admission
from stationkeeper_cups.admission.judgement_budget import JudgementBudget
from stationkeeper_cups.forwarded.handler import ForwardedHandler, WithoutProxies
from stationkeeper_cups.forwarded.port import forwarded_port
from stationkeeper_cups.gateway_expiry import GatewayExpiry
from stationkeeper_cups.http.connection import REQUEST_SECONDS, RequestSeconds
from stationkeeper_cups.http.connections import Connections
from stationkeeper_cups.http.handler import UpdateInfoHandler
from stationkeeper_cups.http.port import GatewayPort, PortBounds
from stationkeeper_cups.http.refusals import Refusals
from stationkeeper_cups.in_force.kept_generations import KeptGenerations
from stationkeeper_cups.in_force.server_certificate import ServerCertificate
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.internal.derived_identity import DerivedIdentity
from stationkeeper_cups.internal.port import RunningInternalPort, start_internal
from stationkeeper_cups.internal.server import InternalSources, internal_application, provisional_context
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations
from stationkeeper_cups.process.event_loop import new_event_loop
from stationkeeper_cups.process.json_log import log_as_json
from stationkeeper_cups.process.memory_return import MemoryReturn, release_free_memory, resident_bytes
from stationkeeper_cups.settings import Files, Forwarded, Settings, read_settings
from stationkeeper_cups.sources.file_source import FileSource
from stationkeeper_cups.sources.kubernetes_source import KubernetesSource
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.server_credentials import ServerCredentials, load_credentials
from stationkeeper_cups.tls.time_limits import TimeLimits

DRAIN_SECONDS = 10.0
# The share of the maximum of connections, below which memory is returned to the kernel.
CALM_SHARE = 10

# The time, aware. A partial function costs less than a function written in Python.
_now = partial(datetime.now, UTC)

_log = logging.getLogger("stationkeeper.cups")


def main() -> None:
    """Run the server until SIGTERM or SIGINT; exit with 2 if the configuration does not allow a start."""
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        log_as_json(settings.log_level)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_run(settings))
    except SettingsError as error:
        print(f"stationkeeper-cups: {error}", file=sys.stderr)  # noqa: T201 - there may be no log yet
        sys.exit(2)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


@dataclass(frozen=True)
class _Answering:
    """The objects that answer gateways, on any port.

    Attributes:
        state: the state in force.
        admission: judges certificates.
        refusals: records refusals.
        handler: decides on requests.
    """

    state: ServingState
    admission: Admission
    refusals: Refusals
    handler: UpdateInfoHandler


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    seconds: RequestSeconds = REQUEST_SECONDS,
    on_serving: Callable[[], None] = lambda: None,
) -> None:
    """Serve gateways and the internal port until `stop` is set.

    The gateways' port is bound at once, to fail early, but accepts no connection before the first complete load. At the
    stop it is closed first; requests under way have `DRAIN_SECONDS` to end.

    Args:
        settings: the configuration.
        stop: the event that stops the server.
        seconds: the maximum seconds of the parts of a request.
        on_serving: called when gateways can connect.

    Raises:
        SettingsError: an address cannot be bound.
    """
    prepare_record_types()
    server = _server(settings, seconds)
    state, listeners = server.sources.state, [each.listener for each in server.ports]
    internal = await _start_internal(settings, server.sources)
    checking = asyncio.create_task(server.sources.server_certificate.run())
    returning = asyncio.create_task(_memory_return(listeners, server.limits).run())
    source = asyncio.create_task(_source(settings, state).run())
    try:
        await _first(source, stop, state.complete)
        if settings.operator_certificate and settings.latest_seconds and not stop.is_set():
            await _latest(source, stop, state, settings.latest_seconds)
        if not stop.is_set():
            for each in listeners:
                each.start()
            _log.info("serving", extra={"fields": {"port": settings.cups.port}})
            on_serving()
            await _first(source, stop)
    finally:
        source.cancel()
        checking.cancel()
        returning.cancel()
        for each in listeners:
            each.stop()
        await asyncio.gather(*(each.connections.drain(DRAIN_SECONDS) for each in server.ports))
        for each in listeners:
            each.cut()
        await internal.stop()
        _log.info("stopped")


@dataclass(frozen=True)
class _Server:
    """The parts of the server, connected, before they run.

    Attributes:
        sources: the sources of the internal port.
        ports: the gateways' own port, and the port for proxies if there is one.
        limits: the limits of each port.
    """

    sources: InternalSources
    ports: list[GatewayPort]
    limits: ConnectionLimits


def _server(settings: Settings, seconds: RequestSeconds) -> _Server:
    metrics = Metrics()
    state = ServingState(
        metrics,
        token_authentication=settings.token_authentication,
        buckets=settings.buckets,
        kept=KeptGenerations(settings.kept_generations),
        server_tls=settings.source.server_tls,
    )
    observations = Observations(metrics)
    metrics.add(GatewayExpiry(observations.certificates, _now))
    admission = Admission(lambda: state.snapshot, _now, JudgementBudget())
    refusals = Refusals(metrics, observations, _now)
    handler = UpdateInfoHandler(lambda: state.snapshot, admission, refusals, metrics, observations, _now)
    limits = _limits(settings)
    bounds = PortBounds(TimeLimits(asyncio.get_running_loop()), seconds, limits)
    ports = _ports(settings, _Answering(state, admission, refusals, handler), bounds)
    metrics.connections_limit.set(limits.connections * len(ports))
    _measure(metrics, ports)
    certificate = ServerCertificate(metrics, _now, root_may_change=settings.server_root_may_change)
    state.on_trust_change = ports[0].connections.close_untrusted
    state.on_gateways_loaded, state.is_remembered = observations.reconfigured, observations.remembers
    state.on_server_credentials_loaded = certificate.loaded

    def is_open() -> bool:
        return all(each.listener.is_open for each in ports)

    sources = InternalSources(state, metrics, observations, certificate, is_open, lambda: refusals.recent)
    return _Server(sources, ports, limits)


def _measure(metrics: Metrics, ports: list[GatewayPort]) -> None:
    listeners = [each.listener for each in ports]

    def total(of: Callable[[Listener], int]) -> Callable[[], int]:
        return lambda: sum(map(of, listeners))

    metrics.connections.set_function(lambda: sum(len(each.connections) for each in ports))
    metrics.waiting_connections.labels("Silent").set_function(total(lambda each: each.silent))
    metrics.waiting_connections.labels("Ready").set_function(total(lambda each: each.waiting))
    metrics.handshakes.set_function(total(lambda each: len(each.handshake)))
    metrics.longest_wait_seconds.set_function(lambda: max(each.longest_wait for each in listeners))
    for why in Dropped:
        metrics.dropped_connections.labels(why)
    for each in listeners:
        each.on_drop = lambda why: metrics.dropped_connections.labels(why).inc()


def _memory_return(listeners: list[Listener], limits: ConnectionLimits) -> MemoryReturn:
    def is_calm() -> bool:
        return sum(each.connections for each in listeners) <= limits.connections // CALM_SHARE

    return MemoryReturn(resident_bytes, release_free_memory, is_calm)


async def _latest(source: asyncio.Task[None], stop: asyncio.Event, state: ServingState, seconds: float) -> None:
    """Wait, for a limited time, until the operator says that the documents of the source are the latest.

    The source may have documents from minutes ago, and this process cannot know that: gateways removed since then would
    be accepted again. Without an operator, the last good state is served.
    """
    try:
        async with asyncio.timeout(seconds):
            await _first(source, stop, state.is_latest)
    except TimeoutError:
        fields = {"seconds": seconds}
        _log.warning(
            "no operator confirmed the latest documents; serving those of the source", extra={"fields": fields}
        )


async def _first(source: asyncio.Task[None], *events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([source, *waits], return_when=asyncio.FIRST_COMPLETED)
        if source.done():
            source.result()
            raise RuntimeError("the source ended by itself")
    finally:
        for wait in waits:
            wait.cancel()


async def _start_internal(settings: Settings, sources: InternalSources) -> RunningInternalPort:
    context = provisional_context(_now())

    def take(credentials: ServerCredentials) -> None:
        sources.server_certificate.admit(credentials)
        load_credentials(context, credentials)

    sources.state.on_server_credentials = take
    token = settings.internal_token.read_bytes if settings.internal_token else None
    if token is not None:
        DerivedIdentity(token).attach(context)
    return await start_internal(
        lambda guard: internal_application(
            sources,
            token,
            guard,
            settings.operator_certificate.read_bytes if settings.operator_certificate else None,
        ),
        _bound(settings.internal),
        context,
    )


def _ports(settings: Settings, answering: _Answering, bounds: PortBounds) -> list[GatewayPort]:
    """Return the gateways' own port, and the port for proxies if there is one."""
    state, admission = answering.state, answering.admission
    refusals, handler = answering.refusals, answering.handler

    def begin(peer: str) -> tuple[SSL.Context, Judge] | None:
        return (context, partial(admission.judge, peer=peer)) if (context := state.context) else None

    guarded = WithoutProxies(handler, refusals) if settings.forwarded else handler
    connections = Connections(guarded, admission.is_trusted, bounds.times, bounds.seconds)
    opener = ProxyProtocol(settings.proxy_protocol_from)
    listener = Listener(
        *(_bound(settings.cups), begin, connections, refusals.handshake, bounds.times, bounds.limits, opener)
    )
    own = GatewayPort(listener, connections)
    if settings.forwarded is None:
        return [own]
    form = settings.forwarded.proxies.form
    tokens = settings.token_authentication
    forwarding = ForwardedHandler(handler, admission, refusals, form, token_authentication=tokens)
    return [own, _forwarded_port(settings.forwarded, answering, forwarding, bounds)]


def _forwarded_port(
    forwarded: Forwarded, answering: _Answering, handler: ForwardedHandler, bounds: PortBounds
) -> GatewayPort:
    bound, refused = _bound(forwarded.address), answering.refusals.handshake
    try:
        return forwarded_port(
            *(forwarded.proxies, bound, lambda: answering.state.strict_context, handler, refused, _now, bounds)
        )
    except (OSError, StationkeeperError) as error:
        raise SettingsError(f"--forwarded-ca-file: {error}") from None


def _source(settings: Settings, state: ServingState) -> FileSource | KubernetesSource:
    source = settings.source
    if isinstance(source, Files):
        return FileSource(source.documents, source.certificates, source.key, state)
    return KubernetesSource(source.api, source.server_tls, state)


def _bound(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, sockaddr = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = ListeningSocket(family, kind, protocol)
        if address.port:
            # A restart takes its port at once. Without a fixed port, the kernel could choose one that another process
            # uses.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(sockaddr)
    except OSError as error:
        raise SettingsError(f"cannot listen on {address.host} port {address.port}: {error}") from None
    return bound


def _limits(settings: Settings) -> ConnectionLimits:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    descriptors = None if hard == resource.RLIM_INFINITY else hard
    limits = derived_limits(memory_limit(), descriptors, settings.handshake_seconds)
    if settings.forwarded:
        limits = halved(limits)
    _log.info("limits", extra={"fields": asdict(limits)})
    return limits
