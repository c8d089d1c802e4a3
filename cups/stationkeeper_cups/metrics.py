"""The Prometheus metrics of CUPS. Labels are only reasons and documents, never names of gateways."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.registry import Collector

from stationkeeper_cups.tallies import Durations, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Tally(
            "stationkeeper_requests",
            "Requests by outcome: Answered, Unchanged, the reason of the refusal, ClientGone (it left before its "
            "answer), or InternalError (closed without an answer).",
            "outcome",
        )
        self.request_seconds = Durations(
            "stationkeeper_request_seconds",
            "From a request's first line to its answer, in seconds.",
            (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
        )
        self.handshake_refusals = Tally(
            "stationkeeper_handshake_refusals", "TLS handshakes that failed or were refused, by reason.", "reason"
        )
        for each in (self.requests, self.request_seconds, self.handshake_refusals):
            self._registry.register(each)
        self.connections = Gauge("stationkeeper_connections", "Open connections of gateways.", registry=self._registry)
        self.connections_limit = Gauge(
            "stationkeeper_connections_limit",
            "The limit of open connections of gateways; it follows from the memory of the process.",
            registry=self._registry,
        )
        self.waiting_connections = Gauge(
            "stationkeeper_waiting_connections",
            "Connections that have not begun their handshake: Silent, or Ready and waiting for their turn.",
            ["state"],
            registry=self._registry,
        )
        self.handshakes = Gauge(
            "stationkeeper_handshakes", "Handshakes that have begun and are not done.", registry=self._registry
        )
        self.longest_wait_seconds = Gauge(
            "stationkeeper_longest_wait_seconds",
            "How long the oldest ready connection has waited for its turn, in seconds.",
            registry=self._registry,
        )
        self.dropped_connections = Counter(
            "stationkeeper_dropped_connections",
            "Connections that were closed before their turn: PeerGone, WaitedTooLong, QueueFull.",
            ["reason"],
            registry=self._registry,
        )
        self.loaded_generation = Gauge(
            "stationkeeper_loaded_generation",
            "The generation in force of each document.",
            ["document"],
            registry=self._registry,
        )
        self.load_refusals = Counter(
            "stationkeeper_load_refusals",
            "Documents and server certificates that were refused, by reason.",
            ["document", "reason"],
            registry=self._registry,
        )
        self.server_certificate_begins = Gauge(
            "stationkeeper_server_certificate_begins_timestamp_seconds",
            "Start of the server certificate's validity, in Unix seconds.",
            registry=self._registry,
        )
        self.server_certificate_expires = Gauge(
            "stationkeeper_server_certificate_expires_timestamp_seconds",
            "End of the server certificate's validity, in Unix seconds.",
            registry=self._registry,
        )
        self.trusted_cas = Gauge("stationkeeper_trusted_cas", "TrustedCAs in force.", registry=self._registry)
        self.gateways = Gauge("stationkeeper_gateways", "Gateways in force.", registry=self._registry)
        self.deliveries = Counter(
            "stationkeeper_deliveries",
            "Parts of configurations that were sent: CUPSURI, LNSURI, CUPSCredentials, LNSCredentials.",
            ["segment"],
            registry=self._registry,
        )
        self.suppressed_deliveries = Counter(
            "stationkeeper_suppressed_deliveries",
            "Answers without a part that the gateway has rejected before.",
            registry=self._registry,
        )
        self.gateway_deliveries = Gauge(
            "stationkeeper_gateway_deliveries",
            "Gateways that this pod remembers, by delivery: Delivered, Pending, NotConverging, Moved, FellBack.",
            ["state"],
            registry=self._registry,
        )
        self.observations = Gauge(
            "stationkeeper_observations",
            "EUIs that this pod remembers: registered, unregistered.",
            ["kind"],
            registry=self._registry,
        )

    def add(self, collector: Collector) -> None:
        """Add `collector` to each exposition."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
