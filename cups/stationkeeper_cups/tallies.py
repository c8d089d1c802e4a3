"""Fast counters for each request; Prometheus' metrics are made from them at an exposition.

The counters of the client library take a lock, look up labels and store exemplars each time. All requests are answered
in one thread, so that is not needed.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Tally(Collector):
    """A counter for each of several events.

    Args:
        name: the name of the metric, without `_total`.
        help_text: the help of the metric.
        label: the name of the label.
    """

    def __init__(self, name: str, help_text: str, label: str) -> None:
        self._name, self._help, self._label = name, help_text, label
        self._counts: Counter[str] = Counter()
        self._begun: dict[str, float] = {}

    def expect(self, *things: str) -> None:
        """Expose 0 for `things` that have not happened yet."""
        for each in things:
            self._begin(each)

    def count(self, thing: str) -> None:
        """Count one event."""
        if thing not in self._begun:
            self._begin(thing)
        self._counts[thing] += 1

    def describe(self) -> Iterable[CounterMetricFamily]:
        """Return the family without values."""
        return (CounterMetricFamily(self._name, self._help, labels=[self._label]),)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the family."""
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for thing, begun in list(self._begun.items()):
            family.add_metric([thing], self._counts[thing], created=begun)
        return (family,)

    def _begin(self, thing: str) -> None:
        self._begun.setdefault(thing, time.time())


class Durations(Collector):
    """A histogram of durations.

    Args:
        name: the name of the metric.
        help_text: the help of the metric.
        bounds: the upper limits of its buckets in seconds, ascending.
    """

    def __init__(self, name: str, help_text: str, bounds: tuple[float, ...]) -> None:
        self._name, self._help, self._bounds = name, help_text, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Record one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return the family without values."""
        return (HistogramMetricFamily(self._name, self._help),)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return the family."""
        limits = (*map(floatToGoString, self._bounds), "+Inf")
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], list(zip(limits, accumulate(self._counts), strict=True)), self._sum)
        return (family,)
