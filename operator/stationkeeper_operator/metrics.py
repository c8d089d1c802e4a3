"""The operator's Prometheus metrics. Labels are only uses, kinds and reasons, never names.

Gauges of resources and certificates are computed at an exposition, and cached for a minute.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_operator.compiling.verdict import Use, Validity, Verdict
from stationkeeper_operator.reporting.expiry import seen_validity
from stationkeeper_operator.resources.records import Gateway, Key, Resource

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REMEMBERED_SECONDS = 60.0
_WITHIN = {
    "30d": (Stage.WITHIN_30_DAYS, Stage.WITHIN_7_DAYS),
    "7d": (Stage.WITHIN_7_DAYS,),
    "expired": (Stage.EXPIRED,),
}


class Metrics:
    """The metrics of one operator, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.leading = Gauge(
            "stationkeeper_operator_leading", "1 if this process holds the Lease.", registry=self._registry
        )
        self.turns = Counter(
            "stationkeeper_operator_turns",
            "Turns by outcome: Done, Again (failed; tried again), More (paused for an event; continued later).",
            ["outcome"],
            registry=self._registry,
        )
        self.compile_seconds = Histogram(
            "stationkeeper_operator_compile_seconds",
            "Duration of the compile of a turn, in seconds.",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
            registry=self._registry,
        )
        self.compiled = Counter(
            "stationkeeper_operator_compiled",
            "Compiled items: Gateway, or Document (a registry document that was fitted and encoded).",
            ["what"],
            registry=self._registry,
        )
        self.compile_differences = Counter(
            "stationkeeper_operator_compile_differences",
            "Differences between a full compile and the turns, Document or Verdict; everything is then compiled "
            "again. Always 0: anything else is a bug, please report it with the log line.",
            ["what"],
            registry=self._registry,
        )
        for what in ("Document", "Verdict"):
            self.compile_differences.labels(what)

        self.statuses_waiting = Gauge(
            "stationkeeper_operator_statuses_waiting",
            "Resources whose status waits to be compared, and written if it differs; many after a restart, soon fewer.",
            registry=self._registry,
        )

        self.tasks = Gauge(
            "stationkeeper_operator_tasks",
            "Tasks of the operator's event loop; a number that grows for hours is a bug.",
            registry=self._registry,
        )

    def add(self, collector: Collector) -> None:
        """Add `collector` to each exposition."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class ResourceMetrics(Collector):
    """Metrics of resources and their certificates; empty while another operator leads.

    Args:
        verdicts: returns the present verdicts.
        current: returns the present resource; None if it no longer exists.
        now: the time, aware.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        verdicts: Callable[[], Mapping[Key, Verdict]],
        current: Callable[[Key], Resource | None],
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verdicts = verdicts
        self._current = current
        self._now = now
        self._clock = clock
        self._computed_at = float("-inf")
        self._families: tuple[GaugeMetricFamily, ...] = ()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing: a registration computes no metrics."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families, at most a minute old."""
        if self._clock() - self._computed_at >= _REMEMBERED_SECONDS:
            verdicts = self._verdicts()
            self._families = (_resources(verdicts), self._certificates(verdicts))
            self._computed_at = self._clock()
        return self._families

    def _certificates(self, verdicts: Mapping[Key, Verdict]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "stationkeeper_certificates_expiring",
            "Certificates by use and nearness of their end; 30d counts those of 7d too, not the expired.",
            labels=["use", "within"],
        )
        now = self._now()
        found = Tally(
            (each.use, stage_of(each.not_before, each.not_after, now)) for each in set(self._validities(verdicts))
        )
        for use in Use:
            for within, stages in _WITHIN.items():
                family.add_metric([use, within], sum(found[use, stage] for stage in stages))
        return family

    def _validities(self, verdicts: Mapping[Key, Verdict]) -> Iterator[Validity]:
        for key, verdict in verdicts.items():
            yield from verdict.validities
            resource = self._current(key)
            if isinstance(resource, Gateway) and not resource.suspended and resource.status.names_a_certificate:
                seen = seen_validity(resource.status.value.get("certificate"))
                if seen is not None:
                    yield seen


def _resources(verdicts: Mapping[Key, Verdict]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "stationkeeper_resources", "Resources by kind and whether they are accepted.", labels=["kind", "accepted"]
    )
    tally = Tally((key.kind, str(verdict.accepted).lower()) for key, verdict in verdicts.items())
    for labels, count in sorted(tally.items()):
        family.add_metric(list(labels), count)
    return family
