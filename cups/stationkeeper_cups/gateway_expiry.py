"""Count the remembered gateways whose last certificate ends soon; computed at an exposition."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stationkeeper_core.published.observation import SeenCertificate
from stationkeeper_core.x509.expiry import Stage, stage_of

_REMEMBERED_SECONDS = 60.0


class GatewayExpiry(Collector):
    """The metric with these counts, at most a minute old.

    Args:
        certificates: returns the certificates of the gateways.
        now: returns the time, aware.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        certificates: Callable[[], Iterable[SeenCertificate]],
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._certificates = certificates
        self._now = now
        self._clock = clock
        self._counted_at = float("-inf")
        self._family = _family()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the family without values: a registration computes nothing."""
        return (_family(),)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the family; certificates in `7d` count in `30d` too, expired ones in neither."""
        if self._clock() - self._counted_at >= _REMEMBERED_SECONDS:
            now = self._now()
            found = Counter(stage_of(each.not_before, each.not_after, now) for each in self._certificates())
            self._family = _family()
            self._family.add_metric(["30d"], found[Stage.WITHIN_30_DAYS] + found[Stage.WITHIN_7_DAYS])
            self._family.add_metric(["7d"], found[Stage.WITHIN_7_DAYS])
            self._family.add_metric(["expired"], found[Stage.EXPIRED])
            self._counted_at = self._clock()
        return (self._family,)


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "stationkeeper_gateway_certificates_expiring",
        "Gateways that this pod remembers, by the end of their last certificate: within 30d (including those of 7d), "
        "within 7d, or expired.",
        labels=["within"],
    )
