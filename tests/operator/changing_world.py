"""The resources of a small cluster, and random changes of them.

There are few EUIs, keys and names, so that a change in one place often affects another one.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import strategies as st

from stationkeeper_core.x509.pem import to_pem
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
        prepared: what another process took in before the events: 0 nothing, 1 half of the resources, 2 all of them,
            3 also the documents in force.
    """

    events: Sequence[Event]
    wait: timedelta
    published: int
    restarts: bool
    change_waits: bool
    until_deadline: bool = False
    prepared: int = 0


_EVENTS = st.one_of(_gateways(), _gateways(), _trusted_cas(), _secrets(), _gateway_defaults())
_WAITS = st.sampled_from([timedelta(), timedelta(), timedelta(seconds=1), timedelta(hours=1), DAY, DAY, 40 * DAY])
ALL_DOCUMENTS = 2**17 - 1


def steps(number: int) -> st.SearchStrategy[list[Step]]:
    """Sequences of so many steps at most, each a few events, after a beginning that is always the same."""

    def one(least: int, most: int) -> st.SearchStrategy[Step]:
        return st.builds(
            Step,
            st.lists(_EVENTS, min_size=least, max_size=most),
            _WAITS,
            st.one_of(st.just(ALL_DOCUMENTS), st.just(ALL_DOCUMENTS), st.integers(0, ALL_DOCUMENTS)),
            st.integers(0, 7).map(lambda drawn: drawn == 0),
            st.booleans(),
            st.integers(0, 3).map(lambda drawn: drawn == 0),
            st.integers(0, 3),
        )

    first = one(0, 12).map(lambda step: replace(step, events=[*_beginning(), *step.events]))
    return st.tuples(first, st.lists(one(0, 3), min_size=1, max_size=number)).map(lambda both: [both[0], *both[1]])
