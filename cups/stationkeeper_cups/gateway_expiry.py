"""How many of the gateways that this pod remembers came with a certificate that ends soon; computed when asked for."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_REMEMBERED_SECONDS = 60.0


class GatewayExpiry(Collector):
    """Tells that, at most a minute old.

    Args:
        ends: those of the certificates, aware.
        now: the time, aware.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        ends: Callable[[], Iterable[datetime]],
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ends = ends
        self._now = now
        self._clock = clock
        self._counted_at = float("-inf")
        self._family = _family()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The family without values: nothing is computed for a registration."""
        return (_family(),)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The family; certificates of `7d` count in `30d` too, those that expired in neither."""
        if self._clock() - self._counted_at >= _REMEMBERED_SECONDS:
            now = self._now()
            week, month = now + timedelta(days=7), now + timedelta(days=30)
            near = [end for end in self._ends() if end <= month]
            expired = sum(end < now for end in near)
            self._family = _family()
            self._family.add_metric(["30d"], len(near) - expired)
            self._family.add_metric(["7d"], sum(end <= week for end in near) - expired)
            self._family.add_metric(["expired"], expired)
            self._counted_at = self._clock()
        return (self._family,)


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "stationkeeper_gateway_certificates_expiring",
        "Gateways that asked this pod, by when the certificate ends that they came with last: 30d, 7d, expired.",
        labels=["within"],
    )
