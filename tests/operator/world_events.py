"""Random events in a small cluster, as steps for `ChangingWorld`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

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
    Resource,
    decode_resource,
)
from tests.operator.changing_world import (
    ALL,
    CLIENT,
    CONTENTS,
    CRL_ROOT,
    DAY,
    EARLY,
    EUIS,
    LATER,
    LNS,
    MOVES,
    NAMESPACES,
    RELEASE,
    ROOTS,
    SHORT_LNS,
    SOON,
    URI,
    Event,
    Step,
    made,
    secret,
    secret_key,
    token_of,
)
from tests.operator.resource_building import metadata

_ENDPOINTS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"uri": "ws://lns:1"},
    {"uri": URI, "trust": LNS},
    {"uri": URI, "trust": SHORT_LNS},
    {"uri": URI, "trust": LNS, "auth": token_of()},
    {"uri": URI, "trust": LNS, "auth": CLIENT},
    {"uri": URI, "trustFrom": secret_key("anchors", "ca.crt")},
    {"uri": "nonsense"},
)
_CLIENTS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"trustedCAs": ["c0"]},
    {"trustedCAs": [f"{RELEASE}/c0", "c1"]},
    {"tokens": [secret_key("token", "token")]},
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
    {"certificatesFrom": {**secret_key("anchors", "ca.crt"), "retain": "2h"}},
    {"certificates": "nonsense"},
    {"certificates": to_pem(CRL_ROOT.der)},
)
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


def _mostly(draw: st.DrawFn, usual: Any, values: Sequence[Any]) -> Any:
    """Draw the usual value of a part, or any of `values`: most events then change only one or two parts.

    If each event changed everything, a missed change of one part would hardly ever show.
    """
    return draw(st.sampled_from(values)) if draw(st.integers(0, 3)) == 0 else usual


@st.composite
def _gateways(draw: st.DrawFn) -> Event:
    key = Key(GATEWAY, draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(("g0", "g1", "g2"))))
    life = draw(st.sampled_from(("is", "is", "is", "is", "is", "leaves", "gone")))
    if life == "gone":
        return key, None
    place = 3 * NAMESPACES.index(key.namespace) + int(key.name[-1])
    parts = {
        "eui": _mostly(draw, EUIS[place % 2], (*EUIS, EUIS[0], "nonsense")),
        "lns": _mostly(draw, _ENDPOINTS[(0, 4, 5, 2)[place % 4]], _ENDPOINTS),
        "cups": _mostly(draw, MOVES[2 if place % 4 == 3 else 0], MOVES),
        "client": _mostly(draw, _CLIENTS[place % 4], _CLIENTS),
        "suspended": draw(st.sampled_from((None, None, None, None, None, True))),
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
    place = 2 * NAMESPACES.index(key.namespace) + int(key.name[-1])
    spec = {
        **_mostly(draw, _ANCHORS[(0, 6, 3, 6, 2, 5)[place]], _ANCHORS),
        **_mostly(draw, _REVOCATIONS[place % 2 * 2], _REVOCATIONS),
        **_mostly(draw, _SERVES[(1, 2, 0, 0, 0, 0)[place]], _SERVES),
    }
    if draw(st.integers(0, 5)) == 0:
        spec["suspended"] = True
    return key, _made(draw, key, spec, life == "leaves", {})


@st.composite
def _gateway_defaults(draw: st.DrawFn) -> Event:
    key = Key(GATEWAY_DEFAULTS, draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from((DEFAULTS_NAME, "other"))))
    life = draw(st.sampled_from(("is", "is", "is", "is", "leaves", "gone")))
    if life == "gone":
        return key, None
    return key, _made(
        draw, key, _mostly(draw, _DEFAULTS[2 if key.namespace == RELEASE else 0], _DEFAULTS), life == "leaves", {}
    )


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


def _beginning() -> list[Event]:
    """Return a cluster with each kind of dependency, which the random events then change."""
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
    uid = f"uid-{key.namespace}-{key.name}-{_mostly(draw, 0, (0, 1))}"
    takes_over = _mostly(draw, "", ("", "uid-a-g0-0", "uid-b-g0-0"))
    meta = metadata(key.name, key.namespace, _mostly(draw, 2, (1, 2, 3)), uid)
    if takes_over:
        meta["annotations"] = {TAKES_OVER: takes_over}
    if leaves:
        meta["deletionTimestamp"] = "2026-06-01T00:00:00Z"
    return decode_resource(key.kind, {"metadata": meta, "spec": spec, "status": dict(status)})


_EVENTS = st.one_of(_gateways(), _gateways(), _trusted_cas(), _secrets(), _gateway_defaults())
_WAITS = st.sampled_from([timedelta(), timedelta(), timedelta(seconds=1), timedelta(hours=1), DAY, DAY, 40 * DAY])


def steps(number: int) -> st.SearchStrategy[list[Step]]:
    """Return a strategy for at most that many steps, each with a few events, after a fixed beginning."""

    def one(least: int, most: int) -> st.SearchStrategy[Step]:
        return st.builds(
            Step,
            st.lists(_EVENTS, min_size=least, max_size=most),
            _WAITS,
            st.one_of(st.just(ALL), st.just(ALL), st.integers(0, ALL)),
            st.integers(0, 7).map(lambda drawn: drawn == 0),
            st.booleans(),
            st.integers(0, 3).map(lambda drawn: drawn == 0),
            st.integers(0, 3).map(bool),
            st.integers(0, 3),
        )

    first = one(0, 12).map(lambda step: replace(step, events=[*_beginning(), *step.events]))
    return st.tuples(first, st.lists(one(0, 3), min_size=1, max_size=number)).map(lambda both: [both[0], *both[1]])
