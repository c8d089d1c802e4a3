import asyncio
from datetime import UTC, datetime

import pytest

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns.aggregator import Aggregator
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore


def _permit() -> None:
    """Allow every write: this process leads."""


async def test_a_term_that_ends_just_when_something_was_published_ends() -> None:
    api = KubernetesApi(Credentials(None))
    events = EventRecorder(api, "test", _permit)
    tracker = RolloutTracker(lambda _: None, "release", asks=True)
    status = StatusLoop(
        StatusWriter(api, _permit, "release"),
        KnownResources(ResourceStore()),
        events,
        StatusMerge("release", lambda: datetime.now(UTC), tracker),
    )
    flow = RolloutFlow(tracker, status, events)
    waiting = asyncio.create_task(flow.wait_until_due(60.0))
    await asyncio.sleep(0)
    flow.begin_turn({TRUST: 5})
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_operator_stops_although_an_urgent_change_comes() -> None:
    changes = Aggregator(quiet=60.0, longest=60.0)
    changes.wake()
    waiting = asyncio.create_task(changes.wait_until_due())
    for _ in range(3):
        await asyncio.sleep(0)
    changes.wake(urgent=True)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
