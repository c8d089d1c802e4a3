"""A small cluster that changes at random, and its compile: step by step, and in full each time.

There are few EUIs, keys and names, so that a change in one place often affects another one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_core.published.documents import Document, decode, digest, encode, encode_payload
from stationkeeper_operator.compiling.compile import PublishPlan, World, compile_plan
from stationkeeper_operator.compiling.incremental.compile_work import Work
from stationkeeper_operator.compiling.incremental.incremental_compiler import (
    IncrementalCompiler,
    PlanChange,
    compiles_the_same,
)
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import (
    SECRET,
    Key,
    Reference,
    ReferencedObject,
    Resource,
    decode_referenced,
    decode_resource,
)
from tests.core.certificates import ca
from tests.core.revocation_lists import CrlWish, crl_pem, make_crl
from tests.operator.resource_building import NOW, key_of, make_pem, metadata

RELEASE = "stationkeeper"
NAMESPACES = (RELEASE, "a", "b")
EUIS = ("0000000000000001", "0000000000000002", "0000000000000003", "000000000000000A")
HERE = "https://cups.example.org:8987"
CUPS_NAMES = ("cups.example.org",)
DAY = timedelta(days=1)

ROOTS = [make_pem(f"root {key}", key=key) for key in ("one", "two", "gateway")]
SOON = make_pem("soon", key="soon", end=3)
LATER = make_pem("later", key="later", start=2)
LNS = make_pem("lns-root", key="lns")
SHORT_LNS = make_pem("short", key="lns", end=2)
CRL_ROOT = ca("Root")
LEAVES = [
    make_pem(name, authority=None, key="gateway", issuer=(f"root {issuer}", issuer), end=end)
    for name, issuer, end in ((EUIS[0], "one", 300), (EUIS[0], "two", 4), (EUIS[1], "one", 300))
]
_CREDENTIALS, _TRUST = "stationkeeper.io/credentials", "stationkeeper.io/trust"


def secret_key(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def token_of(name: str = "token") -> dict[str, Any]:
    return {"token": secret_key(name, "token")}


CLIENT = {"clientCertificate": {"secretRef": {"name": "client"}}}
URI = "wss://lns.example.com:8887"
MOVES: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"uri": HERE, "trust": LNS, "auth": CLIENT},
    {"uri": HERE, "trust": LNS, "auth": token_of()},
    {"uri": "https://other.example.org:443"},
)
EARLY = crl_pem(make_crl(CRL_ROOT, wish=CrlWish((9,), begins=NOW + DAY, ends=NOW + 5 * DAY)))
CONTENTS: Mapping[str, tuple[dict[str, bytes], ...]] = {
    "token": ({"token": b"Bearer ONE"}, {"token": b"Bearer TWO"}, {"other": b""}),
    "tokens": (
        {EUIS[0]: b"Bearer ONE", EUIS[1]: b"Bearer TWO", f"a.{EUIS[0]}": b"Bearer A"},
        {EUIS[0]: b"Bearer ONE", EUIS[1]: b"Bearer THREE", f"b.{EUIS[0]}": b"Bearer B"},
        {"odd": b""},
    ),
    "client": tuple(
        {
            "tls.crt": each.encode(),
            "tls.key": key_of("gateway").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        }
        for each in LEAVES
    ),
    "anchors": ({"ca.crt": ROOTS[0].encode()}, {"ca.crt": ROOTS[1].encode()}, {"ca.crt": SOON.encode()}),
}

Event = tuple[Key | Reference, Resource | ReferencedObject | None]


def secret(reference: Reference, content: Mapping[str, bytes], label: str = "true", renewed_by: str = "") -> Event:
    """Return a Secret that exists from now on."""
    labels = {_TRUST if reference.name == "anchors" else _CREDENTIALS: label}
    meta: dict[str, Any] = {"name": reference.name, "namespace": reference.namespace, "labels": labels}
    if renewed_by:
        meta["annotations"] = {"cert-manager.io/certificate-name": renewed_by}
    data = {key: base64.b64encode(each).decode() for key, each in content.items()}
    return reference, decode_referenced(SECRET, {"metadata": meta, "data": data})


def made(kind: str, namespace: str, name: str, spec: Any, age: int = 2, **status: Any) -> Event:
    """Return a resource that exists from now on."""
    meta = metadata(name, namespace, age, f"uid-{namespace}-{name}-0")
    return Key(kind, namespace, name), decode_resource(kind, {"metadata": meta, "spec": spec, "status": status})


@dataclass(frozen=True)
class Step:
    """The events between two turns.

    Attributes:
        events: the changes of resources and Secrets.
        wait: the time that passes.
        published: the documents that are written after the turn: a bit for each of the 16, and one for the trust
        document.
        restarts: whether another process leads from now on.
        change_waits: whether another change waits all the time.
        until_deadline: whether the time goes on to the deadline of the last plan, if there is one, and not by `wait`.
        settles: whether the written documents are compiled before the next step. If not, their own event compiles all
        of it once more, and so hides an error of the next events.
        prepared: what another process took in before the events: 0 nothing, 1 half of the resources, 2 all of them,
            3 also the documents in force.
    """

    events: Sequence[Event]
    wait: timedelta
    published: int
    restarts: bool
    change_waits: bool
    until_deadline: bool = False
    settles: bool = False
    prepared: int = 0


ALL = 2**17 - 1


_MOST_COMPILES = 1_000
"""The maximum of compiles in one step: there are a few dozen Gateways, and each compile does at least one."""


class ChangingWorld:
    """The cluster, its documents in force, and a compiler that gets the changes."""

    def __init__(self) -> None:
        self.resources: dict[Key, Resource] = {}
        self.referenced: dict[Reference, ReferencedObject] = {}
        self.in_force: dict[str, Document] = {}
        self.now = NOW
        self.told: dict[Key, Verdict] = {}
        self.work = Work()
        self._compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        self._deadline: datetime | None = None

    def happens(self, *events: Event, wait: timedelta = timedelta(), published: int = ALL) -> Work:
        """Apply these events; return the result of the compile."""
        self.take(Step(events, wait, published, restarts=False, change_waits=False))
        return self.work

    def take(self, step: Step) -> None:
        """Apply a step, and compare the result with a full compile."""
        if step.until_deadline and self._deadline is not None:
            self.now = max(self.now, self._deadline)
        else:
            self.now += step.wait
        self.work = Work()
        if step.restarts:
            self._compiler = self.restarted(*step.events, prepared=step.prepared)
            self.told.clear()
        else:
            self._compiler.take_in(self.apply(step.events))
        plan = self._compiled(step)
        self._compare(plan, self.from_nothing())
        self._deadline = plan.deadline
        self._publish(plan, step.published)
        if step.settles:
            self.happens()

    def restarted(self, *events: Event, prepared: int = 0) -> IncrementalCompiler:
        """Return the compiler of another process, which has taken in everything after `events`."""
        compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        listed = dict(list(self.resources.items())[:: 1 if prepared > 1 else 2]) if prepared else {}
        compiler.take_in(WorldChanges({key: ResourceChange(None, each) for key, each in listed.items()}, {}))
        if prepared:
            compiler.set_in_force(self.in_force if prepared > 2 else {})
        self.apply(events)
        pairs = {key: ResourceChange(listed.get(key), self.resources.get(key)) for key in {**listed, **self.resources}}
        changes = {key: each for key, each in pairs.items() if each.before is not each.after}
        compiler.take_in(WorldChanges(changes, self.referenced))
        return compiler

    def from_nothing(self) -> PublishPlan:
        """Return the plan of a full compile."""
        world = World(RELEASE, dict(self.resources), dict(self.referenced), CUPS_NAMES)
        return compile_plan(world, self.in_force, self.now)

    def _publish(self, plan: PlanChange, published: int) -> None:
        for place, (name, document) in enumerate(sorted(plan.documents.items())):
            # Like the publisher: a document that is in force already is not written.
            if published >> place & 1 and self.in_force.get(name) != document:
                self.in_force[name] = _read_back(name, document)

    def apply(self, events: Sequence[Event]) -> WorldChanges:
        before, resources, referenced = dict(self.resources), set[Key](), set[Reference]()
        for key, found in events:
            if isinstance(key, Key):
                assert not isinstance(found, ReferencedObject)
                resources.add(key)
                if found is None:
                    self.resources.pop(key, None)
                else:
                    self.resources[key] = found
            else:
                assert found is None or isinstance(found, ReferencedObject)
                referenced.add(key)
                if found is None:
                    self.referenced.pop(key, None)
                else:
                    self.referenced[key] = found
        for key in resources - self.resources.keys():
            self.told.pop(key, None)
        changes = {key: ResourceChange(before.get(key), self.resources.get(key)) for key in resources}
        restated = {
            key: after
            for key, (held, after) in changes.items()
            if held is not None and after is not None and compiles_the_same(held, after)
        }
        return WorldChanges(
            {key: each for key, each in changes.items() if key not in restated},
            {key: self.referenced.get(key) for key in referenced},
            restated,
        )

    def _compiled(self, step: Step) -> PlanChange:
        is_first = step.restarts
        for _ in range(_MOST_COMPILES):
            plan = self._compiler.compile(self.in_force, self.now, lambda: step.change_waits)
            self.told |= plan.verdicts
            self.work.gateways += plan.work.gateways
            self.work.documents += plan.work.documents
            if plan.is_done:
                return plan
            if is_first:
                # Not all Gateways are compiled yet, so a document is whole or not there.
                whole = self.from_nothing().documents
                assert dict(plan.documents) == {name: whole[name] for name in plan.documents}
            is_first = False
            self._publish(plan, step.published)
        raise AssertionError("it does not come to rest")

    def _compare(self, plan: PlanChange, full: PublishPlan) -> None:
        assert dict(plan.documents) == dict(full.documents)
        assert dict(plan.digests) == {name: digest(payload) for name, payload in full.payloads.items()}
        assert self.told == dict(full.verdicts)
        assert {key: self._compiler.verdict_on(key) for key in full.verdicts} == dict(full.verdicts)
        assert plan.deadline == full.deadline


def _read_back(name: str, document: Document) -> Document:
    """Return the document as a process reads it from the Secret."""
    return decode(name, encode(name, 1, encode_payload(document))).content
