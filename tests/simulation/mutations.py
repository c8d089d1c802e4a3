"""Deliberate bugs: some seed must find each of them, or the simulation proves little.

The first ones are bugs that the project really had. Each is a change of one function during a run.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any
from unittest import mock

import msgspec

from stationkeeper_core.in_force.snapshot import Holdings
from stationkeeper_core.published import operator_proof
from stationkeeper_core.published.operator_proof import Latest
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.leadership import Leadership
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.reporting import event_recorder
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.removal_events import RemovalEvents
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.watching.reference_watch import ReferenceWatch
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change
from tests.simulation import kopf_watch, pods

Patch = Callable[[], AbstractContextManager[Any]]


def _replaced(of: type, name: str, make: Callable[[Any], Any]) -> Patch:
    """Replace a method by the result of `make`."""
    return lambda: mock.patch.object(of, name, make(getattr(of, name)))


def _nothing(_original: Any) -> Any:
    def do_nothing(*_: Any, **__: Any) -> None:
        return None

    return do_nothing


def _yields_nothing(_original: Any) -> Any:
    return lambda *_, **__: iter(())


def _nothing_async(_original: Any) -> Any:
    async def do_nothing(*_: Any, **__: Any) -> None:
        return None

    return do_nothing


def _accepts_older(original: Any) -> Any:
    def accept(self: Holdings, document: str, value: bytes) -> Holdings:
        forgetful = (
            replace(self, trust=None, floors={}) if document == "trust" else replace(self, buckets={}, floors={})
        )
        found: Holdings = original(forgetful, document, value)
        if document == "trust":
            return replace(found, buckets=self.buckets)
        return replace(found, buckets={**self.buckets, **found.buckets})

    return accept


def _leads_for_ever(_original: Any) -> Any:
    return property(lambda self: self._held is not None)


def _trusts_cut_lists(original: Any) -> Any:
    async def pages(self: KubernetesApi, *arguments: Any, **options: Any) -> Any:
        try:
            async for page in original(self, *arguments, **options):
                yield page
        except ApiError:
            return

    return pages


def _takes_stale_reports(original: Any) -> Any:
    def put(self: ResourceStore, resource: Any) -> Change:
        held = self.get(resource.key)
        if held is not None:
            self.remove(held)
        change: Change = original(self, resource)
        return change

    return put


def _never_lists_again(original: Any) -> Any:
    def began(self: Any, kind: str) -> None:
        if self._to_begin:
            original(self, kind)

    return began


def _proves_by_ready_pods(original: Any) -> Any:
    def take_in(self: Enforcement, reports: Any, now: float) -> Any:
        return original(self, [each for each in reports if each.ready][:1], now)

    return take_in


def _tells_at_once(original: Any) -> Any:
    def published(self: Enforcement, step: Any, changed: Any, removed: Any = ()) -> Iterator[None]:
        found: Iterator[None] = original(self, replace(step, generation=0), changed, removed)
        return found

    return published


def _writes_whatever_was_read(original: Any) -> Any:
    async def write(self: KubernetesApi, path: str, body: Any, *arguments: Any, **options: Any) -> bytes:
        metadata = {name: value for name, value in body.get("metadata", {}).items() if name != "resourceVersion"}
        found: bytes = await original(self, path, {**body, "metadata": metadata}, *arguments, **options)
        return found

    return write


def _always_untouched(_original: Any) -> Any:
    async def is_unchanged(_self: Publisher) -> bool:
        return True

    return is_unchanged


def _sees_no_later(_original: Any) -> Any:
    def outrun(_self: Publisher, _generations: Any) -> bool:
        return False

    return outrun


@contextmanager
def _told_by_each_leader() -> Iterator[None]:
    """The note of a removal stays, and each leader writes its event with another name."""
    suffixes = map("{:016x}".format, count())
    with (
        mock.patch.object(Publisher, "mark_reported", lambda _self, _uids: None),
        mock.patch.object(event_recorder, "_fixed_suffix", lambda _uid, _reason: next(suffixes)),
    ):
        yield


def _notes_nothing(_original: Any) -> Any:
    def leaving(*_: Any) -> tuple[()]:
        return ()

    return leaving


def _calls_what_is_held_the_latest(original: Any) -> Any:
    async def bring_up_to_date(self: Handover, client: Any, pod: Any, loaded: Any) -> bool:
        if loaded.handover is not None and not loaded.handover.is_latest:
            body = msgspec.json.encode(
                Latest(loaded.handover.instance, dict(loaded.generations), loaded.handover.moment)
            )
            await client.send_latest(pod, body, self._operator_key().sign_latest(body))
        found: bool = await original(self, client, pod, loaded)
        return found

    return bring_up_to_date


@contextmanager
def _one_document_each() -> Iterator[None]:
    """A Gateway waits only for its present document, not for its earlier one."""
    documents = Enforcement._documents_of

    def present(self: Enforcement, resource: Any, verdict: Any) -> list[str]:
        return documents(self, resource, verdict)[:1]

    with (
        mock.patch.object(Enforcement, "_documents_of", present),
        mock.patch.object(Enforcement, "_unloaded_bases", property(lambda _self: [])),
    ):
        yield


@contextmanager
def _believes_late_words() -> Iterator[None]:
    """A pod accepts the message about the latest documents, however long it was under way."""
    with (
        mock.patch.object(operator_proof, "LATEST_HOLDS_MS", 10**9),
        mock.patch.object(Handover, "was_informed_lately", lambda _self, _uid: False),
    ):
        yield


def _forgets_cancellations(_original: Any) -> Any:
    async def due(self: RolloutFlow, pace: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pace)
        self._wake.clear()

    return due


MUTATIONS: Mapping[str, tuple[str, Patch]] = {
    "container-goes-back": (
        "a container that starts again takes an older volume than what was in force",
        _replaced(pods.KeptFile, "read", lambda _: lambda _self: {}),
    ),
    "impatient-pods": (
        "a pod that starts does not wait for the operator's word",
        partial(mock.patch.object, pods, "LATEST_SECONDS", 0.0),
    ),
    "no-term-marks": (
        "a new leader does not mark the Secrets with its term",
        _replaced(Publisher, "_mark", _nothing_async),
    ),
    "unconditional-secrets": (
        "a Secret is written whatever was read before",
        _replaced(KubernetesApi, "apply", _writes_whatever_was_read),
    ),
    "unconditional-statuses": (
        "a status is written whatever was read before",
        _replaced(KubernetesApi, "merge_patch", _writes_whatever_was_read),
    ),
    "cut-lists": ("a LIST that was cut counts as whole", _replaced(KubernetesApi, "pages", _trusts_cut_lists)),
    "deaf-after-410": (
        "nothing is listed after the watch began again",
        _replaced(kopf_watch.SimulatedWatch, "_began", _never_lists_again),
    ),
    "stale-reports": ("an older report replaces a newer one", _replaced(ResourceStore, "put", _takes_stale_reports)),
    "endless-leader": (
        "a leader writes on after its Lease ended",
        _replaced(Leadership, "is_leading", _leads_for_ever),
    ),
    "pods-go-back": ("a pod takes an older generation", _replaced(Holdings, "accept", _accepts_older)),
    "one-pod-proves": ("one ready pod proves for all", _replaced(Enforcement, "take_in", _proves_by_ready_pods)),
    "proof-of-nothing": ("any generation proves a change", _replaced(Enforcement, "published", _tells_at_once)),
    "latest-as-held": (
        "a pod that starts is told that what it has is the latest",
        _replaced(Handover, "bring_up_to_date", _calls_what_is_held_the_latest),
    ),
    "unguarded-secrets": (
        "nobody looks whether a Secret was changed",
        _replaced(Publisher, "is_unchanged", _always_untouched),
    ),
    "later-in-pods": (
        "nobody sees that pods have a later generation than the one that is published",
        _replaced(Publisher, "note_pod_generations", _sees_no_later),
    ),
    "moved-gateways": ("a Gateway with another EUI does not wait for its earlier place", _one_document_each),
    "late-words": ("a pod believes a leader that was frozen meanwhile", _believes_late_words),
    "endless-terms": (
        "a term that ends just when something is published does not end",
        _replaced(RolloutFlow, "wait_until_due", _forgets_cancellations),
    ),
    "removals-told-twice": ("each leader tells a removal", _told_by_each_leader),
    "removals-unnoted": (
        "a removal that a leader did not come to tell is told by nobody",
        _replaced(RolloutTracker, "removals_in", _notes_nothing),
    ),
    "removals-not-announced": ("a removal is never told", _replaced(RemovalEvents, "announce", _yields_nothing)),
    "references-unread": (
        "a change of a ConfigMap is not seen",
        _replaced(ReferenceWatch, "_take_in", lambda _: lambda _self, _kind, _line: ""),
    ),
    "nothing-handed-over": (
        "pods get documents from their kubelets alone",
        _replaced(Handover, "bring_up_to_date", _nothing_async),
    ),
    "statuses-once": ("a status is not looked at again", _replaced(StatusLoop, "recheck", _nothing)),
}
