"""What is counted for each request, at the cost of an addition; Prometheus' metrics are made of it when it asks.

The client library's own counters lock, look at their labels and keep examples, each time. All requests are answered in
one thread, that of the event loop.
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
    """How often each of some things happened.

    Args:
        name: of the metric, without `_total`.
        help_text: for people.
        label: what the things are.
    """

    def __init__(self, name: str, help_text: str, label: str) -> None:
        self._name, self._help, self._label = name, help_text, label
        self._counts: Counter[str] = Counter()
        self._begun: dict[str, float] = {}

    def expect(self, *things: str) -> None:
        """Tell 0 of `things` that did not happen yet."""
        for each in things:
            self._begin(each)

    def count(self, thing: str) -> None:
        """Take note that it happened once more."""
        if thing not in self._begun:
            self._begin(thing)
        self._counts[thing] += 1

    def describe(self) -> Iterable[CounterMetricFamily]:
        """The family without values."""
        return (CounterMetricFamily(self._name, self._help, labels=[self._label]),)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """The family."""
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for thing, begun in list(self._begun.items()):
            family.add_metric([thing], self._counts[thing], created=begun)
        return (family,)

    def _begin(self, thing: str) -> None:
        self._begun.setdefault(thing, time.time())


class Durations(Collector):
    """How long something took, each time.

    Args:
        name: of the metric.
        help_text: for people.
        bounds: of its buckets, in seconds, upwards.
    """

    def __init__(self, name: str, help_text: str, bounds: tuple[float, ...]) -> None:
        self._name, self._help, self._bounds = name, help_text, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Take note of one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The family without values."""
        return (HistogramMetricFamily(self._name, self._help),)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The family."""
        limits = (*map(floatToGoString, self._bounds), "+Inf")
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], list(zip(limits, accumulate(self._counts), strict=True)), self._sum)
        return (family,)
