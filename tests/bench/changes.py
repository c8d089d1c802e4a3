"""Measure how long a change takes: from its request until its Secret and its status are written."""

import asyncio
import itertools
import math
import random
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import TRUST, Document, RegistryDocument, TrustDocument, bucket_of
from stationkeeper_operator.resources.records import TRUSTED_CA
from stationkeeper_tools.sample_pki import make_root
from tests.bench.gateway_store import Member
from tests.bench.large_cluster import LargeCluster, patiently

LONGEST_SECONDS = 600.0
_POLL_SECONDS = 0.05


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    observed_generation: int = 0


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []


class _Metadata(msgspec.Struct):
    generation: int = 0


class _Object(msgspec.Struct):
    metadata: _Metadata
    status: _Status = msgspec.field(default_factory=_Status)


class Changes:
    """Makes changes one after another, each of another resource.

    Args:
        cluster: with an operator that leads.

    Attributes:
        to_secret: seconds until a changed LNS is published.
        to_status: seconds until a changed Gateway's condition `Published` is about that change.
        reductions: seconds until a suspension, or the removal of a TrustedCA, is published.
    """

    def __init__(self, cluster: LargeCluster) -> None:
        self._cluster = cluster
        self._numbers = itertools.count(1)
        self._trust = make_root("Other LNS", datetime.now(UTC)).certificate_pem.decode()
        self._random = random.Random(1)  # noqa: S311 - nothing secret
        members = list(cluster.members)
        self._random.shuffle(members)
        self._members = deque(members)
        self._authorities = itertools.count()
        self.to_secret: list[float] = []
        self.to_status: list[float] = []
        self.reductions: list[float] = []

    async def change(self) -> None:
        member, uri = self._members.popleft(), f"wss://lns-{next(self._numbers)}.example.com:8887"

        def holds(document: Document) -> bool:
            assert isinstance(document, RegistryDocument)
            return any(each.eui == member.eui and each.lns_uri == uri for each in document.gateways)

        began = time.monotonic()
        body = {"spec": {"lns": {"uri": uri, "trust": self._trust}}}
        answer = await patiently(lambda: self._cluster.api.merge_patch(member.path, body))
        generation = msgspec.json.decode(answer, type=_Object).metadata.generation
        written = await self._cluster.documents.until(self._document_of(member), holds, LONGEST_SECONDS)
        self.to_secret.append(written - began)
        await self._until_status_tells(member, generation)
        self.to_status.append(time.monotonic() - began)
        self._members.append(member)

    async def suspend(self, member: Member | None = None) -> None:
        began = time.monotonic()
        at = await self.published_suspension(member or await self.ask_to_suspend())
        self.reductions.append(at - began)

    async def ask_to_suspend(self) -> Member:
        member = self._members.popleft()
        await patiently(lambda: self._cluster.api.merge_patch(member.path, {"spec": {"suspended": True}}))
        return member

    async def published_suspension(self, member: Member) -> float:
        """Return the time, in monotonic seconds, at which the suspension of `member` was published."""

        def holds(document: Document) -> bool:
            assert isinstance(document, RegistryDocument)
            return not any(each.eui == member.eui and not each.suspended for each in document.gateways)

        return await self._cluster.documents.until(self._document_of(member), holds, LONGEST_SECONDS)

    async def remove_authority(self) -> None:
        namespaces = self._cluster.namespaces
        number = next(self._authorities)
        namespace, name = namespaces[number % len(namespaces)], f"vendor-{number}"

        def holds(document: Document) -> bool:
            assert isinstance(document, TrustDocument)
            return not any((each.namespace, each.name) == (namespace, name) for each in document.authorities)

        began = time.monotonic()
        await asyncio.to_thread(self._cluster.release.delete, TRUSTED_CA, name, namespace)
        self.reductions.append(await self._cluster.documents.until(TRUST, holds, LONGEST_SECONDS) - began)

    async def reduce(self, number: int) -> None:
        """Remove trust, in one of the two ways, by turns."""
        await (self.suspend() if number % 2 else self.remove_authority())

    async def many(self, changes: int, reductions: int) -> None:
        """Make `changes` and `reductions`, with pauses of up to a second; the kinds of reduction alternate."""
        for number in range(changes):
            await asyncio.sleep(self._random.uniform(0, 1))
            await self.change()
            if number * reductions // changes != (number + 1) * reductions // changes:
                await asyncio.sleep(self._random.uniform(0, 1))
                await self.reduce(number)

    def _document_of(self, member: Member) -> str:
        layout = self._cluster.layout
        return layout.registry[bucket_of(EUI64(int(member.eui, 16)), layout.buckets)]

    async def _until_status_tells(self, member: Member, generation: int) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                answer = await patiently(lambda: self._cluster.api.get(member.path))
                conditions = msgspec.json.decode(answer, type=_Object).status.conditions
                if any(each.type == "Published" and each.observed_generation >= generation for each in conditions):
                    return
                await asyncio.sleep(_POLL_SECONDS)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of `values` do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
