"""A leader that is frozen between its permit and its write: its late write changes nothing on the API server."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import (
    DOCUMENTS,
    REGISTRY,
    TRUST,
    RegistryDocument,
    TrustDocument,
    digest,
    encode_payload,
    secret_name,
)
from stationkeeper_operator.api.kubernetes_api import FIELD_MANAGER, KubernetesApi, path_of
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.leadership import Leadership, Timing
from stationkeeper_operator.api.resource_paths import resource_path
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, Key, decode_resource
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_tools.api_client import ApiClient
from tests.controlplane.definitions import install_crds
from tests.waiting import EVENTUALLY

EMPTY = {
    TRUST: encode_payload(TrustDocument(release_namespace="release")),
    **{name: encode_payload(RegistryDocument(bucket=bucket)) for bucket, name in enumerate(REGISTRY)},
}
OLD_PLAN = encode_payload(TrustDocument(release_namespace="what a removal took away"))


class FreezableApi(KubernetesApi):
    """The API server behind a process or network that can freeze: then requests arrive later.

    Attributes:
        flows: if unset, no write is sent.
        held: set when a write waits.
    """

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self.flows = asyncio.Event()
        self.flows.set()
        self.held = asyncio.Event()

    async def __aenter__(self) -> "FreezableApi":
        await super().__aenter__()
        return self

    async def _frozen(self, sending: Awaitable[bytes]) -> bytes:
        if not self.flows.is_set():
            self.held.set()
        await self.flows.wait()
        return await sending

    async def create(self, path: str, body: object) -> bytes:
        return await self._frozen(super().create(path, body))

    async def apply(self, path: str, body: object) -> bytes:
        return await self._frozen(super().apply(path, body))

    async def merge_patch(
        self, path: str, body: object, accept: str = "application/json", manager: str = FIELD_MANAGER
    ) -> bytes:
        return await self._frozen(super().merge_patch(path, body, accept, manager))


class Leader:
    """The writers of one operator, with a Lease of its own clock; a test moves that clock."""

    def __init__(self, api: FreezableApi, namespace: str, identity: str) -> None:
        self.api = api
        self.namespace = namespace
        self.seconds = 0.0
        self.leadership = Leadership(api, namespace, identity, timing=Timing(), clock=lambda: self.seconds)
        self.begin()

    def begin(self) -> None:
        """Forget all published documents, as at the begin of a term."""
        leadership = self.leadership
        self.publisher = Publisher(self.api, self.namespace, leadership.require, lambda: 5000, lambda: leadership.term)

    async def take_over(self) -> None:
        """Lead, after the Lease did not change for long enough."""
        if not await self.leadership.attempt():
            self.seconds += 60
            assert await self.leadership.attempt()
        self.begin()

    async def publish(self, payloads: dict[str, bytes]) -> set[str]:
        await self.publisher.in_force()
        return set(
            await self.publisher.write(
                self.publisher.differing({name: digest(each) for name, each in payloads.items()}), payloads
            )
        )


@pytest.fixture
async def leaders(control_plane: Any) -> AsyncIterator[tuple[Leader, Leader]]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    namespace = f"fencing-{secrets.token_hex(3)}"
    admin = ApiClient(kubeconfig)
    admin.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    for document in DOCUMENTS:
        # The chart creates the Secrets without content, and the operator fills them.
        admin.create(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": secret_name(document)}})
    async with FreezableApi(Credentials(kubeconfig)) as one, FreezableApi(Credentials(kubeconfig)) as two:
        yield Leader(one, namespace, "one"), Leader(two, namespace, "two")


async def data(leader: Leader) -> bytes:
    return await leader.api.get(path_of("v1", leader.namespace, "secrets", "stationkeeper-trust"))


async def test_an_old_plan_is_refused_even_where_the_next_leader_had_nothing_to_write(
    leaders: tuple[Leader, Leader],
) -> None:
    old, new = leaders
    await old.take_over()
    assert await old.publish(EMPTY) == set(DOCUMENTS)

    old.api.flows.clear()
    late = asyncio.create_task(old.publish(EMPTY | {TRUST: OLD_PLAN}))
    await old.api.held.wait()
    await new.take_over()
    assert await new.publish(EMPTY) == set(), "what is in force is what it compiles"
    before = await data(new)

    old.api.flows.set()
    with pytest.raises(SupersededError):
        await late
    assert await data(new) == before
    assert await new.publisher.is_unchanged()


async def test_a_write_that_arrives_before_the_mark_is_seen_and_undone(leaders: tuple[Leader, Leader]) -> None:
    old, new = leaders
    await old.take_over()
    await old.publish(EMPTY)
    await new.take_over()
    new.api.flows.clear()
    marking = asyncio.create_task(new.publisher.in_force())
    await new.api.held.wait()
    assert await old.publish(EMPTY | {TRUST: OLD_PLAN}) == {TRUST}
    new.api.flows.set()
    with pytest.raises(SupersededError):
        await marking
    assert await new.publish(EMPTY) == {TRUST}


async def test_a_secret_that_both_find_empty_is_of_the_one_that_leads(leaders: tuple[Leader, Leader]) -> None:
    old, new = leaders
    await old.take_over()
    old.api.flows.clear()
    late = asyncio.create_task(old.publish(EMPTY | {TRUST: OLD_PLAN}))
    await old.api.held.wait()
    await new.take_over()
    assert await new.publish(EMPTY) == set(DOCUMENTS)
    before = await data(new)
    old.api.flows.set()
    with pytest.raises(SupersededError):
        await late
    assert await data(new) == before


async def test_the_same_leader_marks_once(leaders: tuple[Leader, Leader]) -> None:
    old, _ = leaders
    await old.take_over()
    await old.publish(EMPTY)
    before = await data(old)
    old.begin()
    await old.publish(EMPTY)
    assert await data(old) == before


async def test_a_status_of_a_frozen_leader_does_not_overwrite_a_later_one(
    leaders: tuple[Leader, Leader], control_plane: Any
) -> None:
    kubeconfig: Path = control_plane.admin_kubeconfig
    await asyncio.to_thread(install_crds, kubeconfig)
    old, new = leaders
    key = Key(GATEWAY, old.namespace, "gw")
    body = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": "Gateway", "metadata": {"name": "gw"}}
    await new.api.create(resource_path(GATEWAY, old.namespace), body | {"spec": {"eui": "00000000000000A1"}})
    await old.take_over()
    async with _writing(old, key, "old") as writer:
        old.api.flows.clear()
        writer.recheck([key])
        await _settle(old.api.held.wait())
        await new.take_over()
        async with _writing(new, key, "new") as other:
            other.recheck([key])
            await _says(new, key, "new")
            old.api.flows.set()
            await asyncio.sleep(0.5)
            await _says(new, key, "new")


async def _settle(waiting: Awaitable[Any]) -> None:
    async with asyncio.timeout(EVENTUALLY):
        await waiting


async def _says(leader: Leader, key: Key, message: str) -> None:
    async with asyncio.timeout(EVENTUALLY):
        while message not in str(decode_resource(GATEWAY, await leader.api.get(resource_path(*key))).status.value):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _writing(leader: Leader, key: Key, message: str) -> AsyncIterator[StatusLoop]:
    """Yield a status writer of that leader; it judges the Gateway as it reads it now."""
    store = ResourceStore()
    resource = decode_resource(GATEWAY, await leader.api.get(resource_path(*key)))
    store.put(resource)
    permit = leader.leadership.require
    events = EventRecorder(leader.api, "test", permit)
    writer = StatusLoop(
        StatusWriter(leader.api, permit, "release"),
        KnownResources(store),
        events,
        StatusMerge("release", lambda: datetime.now(UTC)),
    )
    verdict = Verdict(False, "LNSMissing", message, None)
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0)
    if message == "old":
        leader.api.flows.clear()
    writer.judge({key: Judgement(resource.metadata.uid, resource.metadata.generation, verdict, False)})
    try:
        yield writer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
