"""One hour of a release with two CUPS pods and two operators, as the samples that Prometheus scrapes of them.

| minutes | what happens |
|-|-|
| 0 to 60 | gateways are answered, some strangers knock |
| 6 | CUPS pod `b` refuses a document, and lags until 14 |
| 15 to 24 | no operator leads |
| 16 | pod `a` closes a connection without an answer |
| 25 to 35 | two of three requests are refused, and most handshakes |
| 30 to 60 | the operator tries again and again; a TrustedCA is not accepted; gateways do not converge |
| 35 to 60 | the server's certificate ends in less than two days; answers are slow; connections pile up |
| 52 to 60 | no CUPS pod is there |
"""

from collections.abc import Iterator

STEP_SECONDS = 15
MINUTES = 60
NAMESPACE = "lorawan"
CUPS_PODS = ("a", "b")
OPERATOR_PODS = ("x", "y")
DAY = 86400

Labels = dict[str, str]
Sample = tuple[str, Labels, float]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_COMPILE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30)


def samples(minute: float, start: float) -> Iterator[Sample]:
    """Yield the samples of all pods at that minute of the hour that begins at `start`, in Unix seconds."""
    if minute < 52:
        for pod in CUPS_PODS:
            for name, labels, value in _cups(pod, minute, start):
                yield name, {"namespace": NAMESPACE, "pod": pod, **labels}, value
    for pod in OPERATOR_PODS:
        for name, labels, value in _operator(pod, minute):
            yield name, {"namespace": NAMESPACE, "pod": pod, **labels}, value


def open_metrics(start: float) -> str:
    """Return the hour that begins at `start`, in Unix seconds, as OpenMetrics with timestamps."""
    lines = []
    for step in range(MINUTES * 60 // STEP_SECONDS + 1):
        seconds = step * STEP_SECONDS
        for name, labels, value in samples(seconds / 60, start):
            inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
            lines.append(f"{name}{{{inner}}} {value} {start + seconds}")
    return "\n".join([*lines, "# EOF", ""])


def _within(minute: float, begin: float, end: float) -> float:
    """Return how many minutes of the time from `begin` to `end` have passed."""
    return min(max(minute - begin, 0), end - begin)


def _cups(pod: str, minute: float, start: float) -> Iterator[Sample]:
    good, bad = 60 * minute, 120 * _within(minute, 25, 35)
    for outcome, value in (("Answered", good / 4), ("Unchanged", good * 3 / 4), ("GatewayNotRegistered", bad)):
        yield "stationkeeper_requests_total", {"outcome": outcome}, value
    if pod == "a" and minute >= 16:
        yield "stationkeeper_requests_total", {"outcome": "InternalError"}, 1
    slow = 60 * _within(minute, 35, 60)
    for bucket in _BUCKETS:
        quick = 0.0 if bucket < 0.005 else good + bad - slow
        yield "stationkeeper_request_seconds_bucket", {"le": str(bucket)}, quick + (slow if bucket >= 5 else 0)
    yield "stationkeeper_request_seconds_bucket", {"le": "+Inf"}, good + bad
    yield "stationkeeper_request_seconds_count", {}, good + bad
    yield "stationkeeper_request_seconds_sum", {}, 0.003 * (good + bad - slow) + 2 * slow
    yield "stationkeeper_handshake_refusals_total", {"reason": "NoTrustedCA"}, minute + 900 * _within(minute, 25, 35)
    yield "stationkeeper_connections", {}, 1200 if minute >= 35 else 40
    yield "stationkeeper_connections_limit", {}, 1280
    yield "stationkeeper_handshakes", {}, 20
    for state, count in (("Silent", 3), ("Ready", 900 if 20 < minute < 30 else 0)):
        yield "stationkeeper_waiting_connections", {"state": state}, count
    yield "stationkeeper_longest_wait_seconds", {}, 9 if 20 < minute < 30 else 0
    for reason, count in (("PeerGone", 900), ("WaitedTooLong", 300), ("QueueFull", 300)):
        yield "stationkeeper_dropped_connections_total", {"reason": reason}, count * _within(minute, 20, 30)
    generation = 1000.0 if minute < 6 or (pod == "b" and minute < 14) else 1001.0
    yield "stationkeeper_loaded_generation", {"document": "trust"}, generation
    yield "stationkeeper_loaded_generation", {"document": "registry-00"}, 1000
    if pod == "b" and minute >= 6:
        yield "stationkeeper_load_refusals_total", {"document": "trust", "reason": "ChecksumMismatch"}, 1
    left = 2 * DAY if minute >= 35 else 40 * DAY
    yield "stationkeeper_server_certificate_begins_timestamp_seconds", {}, start - 300 * DAY
    yield "stationkeeper_server_certificate_expires_timestamp_seconds", {}, start + left
    yield "stationkeeper_trusted_cas", {}, 3
    yield "stationkeeper_gateways", {}, 1200
    yield "stationkeeper_deliveries_total", {"segment": "LNSURI"}, minute
    yield "stationkeeper_suppressed_deliveries_total", {}, _within(minute, 30, 60)
    for state, count in (("Delivered", 1100), ("Pending", 90), ("NotConverging", 10 if minute >= 30 else 0)):
        yield "stationkeeper_gateway_deliveries", {"state": state}, count
    for kind, count in (("registered", 1200), ("unregistered", 2)):
        yield "stationkeeper_observations", {"kind": kind}, count
    for within, count in (("30d", 5), ("7d", 1), ("expired", 0)):
        yield "stationkeeper_gateway_certificates_expiring", {"within": within}, count


def _operator(pod: str, minute: float) -> Iterator[Sample]:
    leads = pod == "x" and not 15 <= minute < 24
    yield "stationkeeper_operator_leading", {}, float(leads)
    done, again = _within(minute, 0, 30), 20 * _within(minute, 30, 60)
    for outcome, value in (("Done", done), ("Again", again)):
        yield "stationkeeper_operator_turns_total", {"outcome": outcome}, value if pod == "x" else 0
    for bucket in (*map(str, _COMPILE_BUCKETS), "+Inf"):
        yield "stationkeeper_operator_compile_seconds_bucket", {"le": bucket}, done if pod == "x" else 0
    yield "stationkeeper_operator_compile_seconds_count", {}, done if pod == "x" else 0
    yield "stationkeeper_operator_compile_seconds_sum", {}, done * 0.005 if pod == "x" else 0
    yield "stationkeeper_operator_statuses_waiting", {}, 0
    yield "stationkeeper_operator_tasks", {}, 30
    for what, value in (("Gateway", done), ("Document", done / 2)):
        yield "stationkeeper_operator_compiled_total", {"what": what}, value if pod == "x" else 0
    for what in ("Document", "Verdict"):
        yield "stationkeeper_operator_compile_differences_total", {"what": what}, 0
    if not leads:
        return
    for kind, accepted, count in (("Gateway", "true", 1200), ("TrustedCA", "true", 3), ("TrustedCA", "false", 1)):
        if accepted == "true" or minute >= 30:
            yield "stationkeeper_resources", {"kind": kind, "accepted": accepted}, count
    for use in ("TrustAnchor", "LNSTrust"):
        for within in ("30d", "7d", "expired"):
            is_near = use == "TrustAnchor" and within != "expired"
            yield "stationkeeper_certificates_expiring", {"use": use, "within": within}, float(is_near)
