"""A small cluster that changes at random, and its compile: step by step, and each time from the beginning.

There are few EUIs, keys and names, so that a change in one place often affects another one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import strategies as st

from stationkeeper_core.published.documents import Document, decode, digest, encode, encode_payload
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.compiling.compile import PublishPlan, World, compile_plan
from stationkeeper_operator.compiling.incremental.incremental_compiler import IncrementalCompiler, PlanChange
from stationkeeper_operator.compiling.incremental.work import Work
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import (
    DEFAULTS_NAME,
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TAKES_OVER,
    TRUSTED_CA,
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


def _secret_key(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def _token(name: str = "token") -> dict[str, Any]:
    return {"token": _secret_key(name, "token")}


CLIENT = {"clientCertificate": {"secretRef": {"name": "client"}}}
URI = "wss://lns.example.com:8887"
_ENDPOINTS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"uri": "ws://lns:1"},
    {"uri": URI, "trust": LNS},
    {"uri": URI, "trust": SHORT_LNS},
    {"uri": URI, "trust": LNS, "auth": _token()},
    {"uri": URI, "trust": LNS, "auth": CLIENT},
    {"uri": URI, "trustFrom": _secret_key("anchors", "ca.crt")},
    {"uri": "nonsense"},
)
MOVES: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"uri": HERE, "trust": LNS, "auth": CLIENT},
    {"uri": HERE, "trust": LNS, "auth": _token()},
    {"uri": "https://other.example.org:443"},
)
_CLIENTS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"trustedCAs": ["c0"]},
    {"trustedCAs": [f"{RELEASE}/c0", "c1"]},
    {"tokens": [_secret_key("token", "token")]},
    {"trustedCAs": []},
)
_DEFAULTS: tuple[Any, ...] = (
    {"lns": {"uri": URI, "trust": LNS}},
    {"lns": {"uri": "wss://second.example.com:1", "trust": SHORT_LNS}},
    {"lns": {"uri": URI, "trust": LNS, "auth": {"tokenByEUI": {"secretRef": {"name": "tokens"}}}}},
    {"lns": {"uri": URI, "trust": LNS, "auth": CLIENT}},
    {"lns": {"uri": URI}},
    {"lns": 7},
)
_ANCHORS: tuple[dict[str, Any], ...] = (
    *({"certificates": each} for each in ROOTS),
    {"certificates": ROOTS[0] + ROOTS[1]},
    {"certificates": SOON},
    {"certificates": ROOTS[0] + LATER},
    {"certificatesFrom": {**_secret_key("anchors", "ca.crt"), "retain": "2h"}},
    {"certificates": "nonsense"},
    {"certificates": to_pem(CRL_ROOT.der)},
)
EARLY = crl_pem(make_crl(CRL_ROOT, wish=CrlWish((9,), begins=NOW + DAY, ends=NOW + 5 * DAY)))
_REVOCATIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"revocation": {"serials": ["AB"]}},
    {"revocation": {"sha256Fingerprints": ["cd" * 32]}},
    {"revocation": {"crl": EARLY}},
)
_SERVES: tuple[dict[str, Any], ...] = (
    {},
    {"serves": [{"namespace": "*"}]},
    {"serves": [{"namespace": "a"}, {"namespace": "b", "euiRanges": ["0000000000000000/62"]}]},
    {"euiRanges": ["0000000000000000/63"]},
)
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


@st.composite
def _gateways(draw: st.DrawFn) -> Event:
    key = Key(GATEWAY, draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(("g0", "g1", "g2"))))
    life = draw(st.sampled_from(("is", "is", "is", "is", "is", "leaves", "gone")))
    if life == "gone":
        return key, None
    parts = {
        "eui": draw(st.sampled_from((*EUIS, EUIS[0], "nonsense"))),
        "lns": draw(st.sampled_from(_ENDPOINTS)),
        "cups": draw(st.sampled_from(MOVES)),
        "client": draw(st.sampled_from(_CLIENTS)),
        "suspended": draw(st.sampled_from((None, None, None, True))),
    }
    spec: Any = {name: each for name, each in parts.items() if each is not None}
    if draw(st.integers(0, 9)) == 0:
        spec = {**spec, "client": 7}
    serial = draw(st.sampled_from(("AB", "CD")))
    seen = {"serial": serial, "sha256": "cd" * 32, "trustedCA": draw(st.sampled_from((f"{RELEASE}/c0", "a/c0")))}
    status = draw(st.sampled_from(({}, {"certificate": seen})))
    return key, _made(draw, key, spec, life == "leaves", status)


@st.composite
def _trusted_cas(draw: st.DrawFn) -> Event:
    key = Key(TRUSTED_CA, draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(("c0", "c1"))))
    life = draw(st.sampled_from(("is", "is", "is", "is", "leaves", "gone")))
    if life == "gone":
        return key, None
    spec = {**draw(st.sampled_from(_ANCHORS)), **draw(st.sampled_from(_REVOCATIONS)), **draw(st.sampled_from(_SERVES))}
    if draw(st.integers(0, 5)) == 0:
        spec["suspended"] = True
    return key, _made(draw, key, spec, life == "leaves", {})


@st.composite
def _gateway_defaults(draw: st.DrawFn) -> Event:
    key = Key(GATEWAY_DEFAULTS, draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from((DEFAULTS_NAME, "other"))))
    life = draw(st.sampled_from(("is", "is", "is", "is", "leaves", "gone")))
    if life == "gone":
        return key, None
    return key, _made(draw, key, draw(st.sampled_from(_DEFAULTS)), life == "leaves", {})


@st.composite
def _secrets(draw: st.DrawFn) -> Event:
    name = draw(st.sampled_from(sorted(CONTENTS)))
    reference = Reference(SECRET, draw(st.sampled_from(NAMESPACES)), name)
    if draw(st.integers(0, 5)) == 0:
        return reference, None
    return secret(
        reference,
        draw(st.sampled_from(CONTENTS[name])),
        draw(st.sampled_from(("true", "true", "true", "no"))),
        draw(st.sampled_from(("", "renewed"))),
    )


def secret(reference: Reference, content: Mapping[str, bytes], label: str = "true", renewed_by: str = "") -> Event:
    """Return a Secret that is there from now on."""
    labels = {_TRUST if reference.name == "anchors" else _CREDENTIALS: label}
    meta: dict[str, Any] = {"name": reference.name, "namespace": reference.namespace, "labels": labels}
    if renewed_by:
        meta["annotations"] = {"cert-manager.io/certificate-name": renewed_by}
    data = {key: base64.b64encode(each).decode() for key, each in content.items()}
    return reference, decode_referenced(SECRET, {"metadata": meta, "data": data})


def made(kind: str, namespace: str, name: str, spec: Any, age: int = 2, **status: Any) -> Event:
    """Return a resource that is there from now on."""
    meta = metadata(name, namespace, age, f"uid-{namespace}-{name}-0")
    return Key(kind, namespace, name), decode_resource(kind, {"metadata": meta, "spec": spec, "status": status})


def _beginning() -> list[Event]:
    """Return a cluster in which each kind of dependency is there, for what happens at random to change."""
    secrets = [
        secret(Reference(SECRET, namespace, name), contents[0])
        for namespace in NAMESPACES
        for name, contents in CONTENTS.items()
    ]
    moved = {"eui": EUIS[0], "lns": _ENDPOINTS[2], "cups": MOVES[2]}
    return [
        *secrets,
        made(TRUSTED_CA, RELEASE, "c0", {**_ANCHORS[0], **_SERVES[1]}),
        made(GATEWAY_DEFAULTS, RELEASE, DEFAULTS_NAME, _DEFAULTS[2]),
        made(GATEWAY, "a", "g0", moved),
        made(GATEWAY, "a", "g1", {"eui": EUIS[1], "lns": _ENDPOINTS[5], "client": _CLIENTS[3]}),
        made(GATEWAY, "b", "g2", {"eui": EUIS[0], "client": _CLIENTS[2]}),
    ]


def _made(draw: st.DrawFn, key: Key, spec: Any, leaves: bool, status: Mapping[str, Any]) -> Resource:
    uid = f"uid-{key.namespace}-{key.name}-{draw(st.integers(0, 1))}"
    takes_over = draw(st.sampled_from(("", "", "uid-a-g0-0", "uid-b-g0-0")))
    meta = metadata(key.name, key.namespace, draw(st.integers(1, 3)), uid)
    if takes_over:
        meta["annotations"] = {TAKES_OVER: takes_over}
    if leaves:
        meta["deletionTimestamp"] = "2026-06-01T00:00:00Z"
    return decode_resource(key.kind, {"metadata": meta, "spec": spec, "status": dict(status)})


@dataclass(frozen=True)
class Step:
    """The events between two turns.

    Attributes:
        events: the changes of resources and Secrets.
        wait: the time that passes.
        published: the documents that are written after the turn; a number of 16 bits and one for the trust document.
        restarts: whether another process leads from now on.
        change_waits: whether another change waits all the time.
        until_deadline: whether the time passes to the moment at which something changes by itself, if there is one.
    """

    events: Sequence[Event]
    wait: timedelta
    published: int
    restarts: bool
    change_waits: bool
    until_deadline: bool = False


_EVENTS = st.one_of(_gateways(), _gateways(), _trusted_cas(), _secrets(), _gateway_defaults())
_WAITS = st.sampled_from([timedelta(), timedelta(), timedelta(seconds=1), timedelta(hours=1), DAY, DAY, 40 * DAY])
_ALL = 2**17 - 1


def steps(number: int) -> st.SearchStrategy[list[Step]]:
    """Sequences of so many steps at most, each a few events, after a beginning that is always the same."""

    def one(least: int, most: int) -> st.SearchStrategy[Step]:
        return st.builds(
            Step,
            st.lists(_EVENTS, min_size=least, max_size=most),
            _WAITS,
            st.one_of(st.just(_ALL), st.just(_ALL), st.integers(0, _ALL)),
            st.integers(0, 7).map(lambda drawn: drawn == 0),
            st.booleans(),
            st.integers(0, 3).map(lambda drawn: drawn == 0),
        )

    first = one(0, 12).map(lambda step: replace(step, events=[*_beginning(), *step.events]))
    return st.tuples(first, st.lists(one(0, 3), min_size=1, max_size=number)).map(lambda both: [both[0], *both[1]])


_MOST_COMPILES = 1_000
"""In one step; there are a few dozen Gateways, and each compile takes one at least."""


class ChangingWorld:
    """The cluster, its documents in force, and a compiler that receives the changes."""

    def __init__(self) -> None:
        self.resources: dict[Key, Resource] = {}
        self.referenced: dict[Reference, ReferencedObject] = {}
        self.in_force: dict[str, Document] = {}
        self.now = NOW
        self.told: dict[Key, Verdict] = {}
        self.work = Work()
        self._compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        self._deadline: datetime | None = None

    def happens(self, *events: Event, wait: timedelta = timedelta(), published: int = _ALL) -> Work:
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
            self._compiler = self.restarted(*step.events)
            self.told.clear()
        else:
            self._compiler.take_in(self.apply(step.events))
        plan = self._compiled(step)
        self._compare(plan, self.from_nothing())
        self._deadline = plan.deadline
        self._publish(plan, step.published)

    def restarted(self, *events: Event) -> IncrementalCompiler:
        """Return the compiler of a process that starts after `events`, which none has seen."""
        self.apply(events)
        compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        changes = {key: ResourceChange(None, each) for key, each in self.resources.items()}
        compiler.take_in(WorldChanges(changes, self.referenced))
        return compiler

    def from_nothing(self) -> PublishPlan:
        """Return the plan of a full compile."""
        world = World(RELEASE, dict(self.resources), dict(self.referenced), CUPS_NAMES)
        return compile_plan(world, self.in_force, self.now)

    def _publish(self, plan: PlanChange, published: int) -> None:
        for place, (name, document) in enumerate(sorted(plan.documents.items())):
            # As the publisher does: what is in force already is not written.
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
        return WorldChanges(
            {key: ResourceChange(before.get(key), self.resources.get(key)) for key in resources},
            {key: self.referenced.get(key) for key in referenced},
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
