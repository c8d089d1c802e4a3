"""Deadlines by key: the times at which something changes only because time passes."""

import heapq
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class DeadlineQueue(Generic[K]):
    """A queue with at most one time for each key; replaced entries are skipped later."""

    def __init__(self) -> None:
        self._times: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._number = 0

    def set(self, key: K, when: datetime | None) -> None:
        """Set the time of `key`; None for never."""
        earlier = self._times.get(key)
        if earlier == when:
            return
        if when is None:
            del self._times[key]
            return
        self._times[key] = when
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, key))
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [each for each in self._heap if self._times.get(each[2]) == each[0]]
            heapq.heapify(self._heap)

    def take(self, now: datetime) -> Iterator[K]:
        """Yield the keys whose time has come, and remove their times."""
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._times.get(key) == when:
                del self._times[key]
                yield key

    @property
    def first(self) -> datetime | None:
        """The earliest time; None if there is none."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
