"""Changes by time alone, after everything before was compiled."""

from datetime import timedelta
from typing import Any

import pytest

from stationkeeper_core.published.documents import TRUST, TrustDocument
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.resources.records import GATEWAY, SECRET, TRUSTED_CA, Key, Reference
from tests.operator.changing_world import (
    CONTENTS,
    CRL_ROOT,
    DAY,
    EARLY,
    EUIS,
    MOVES,
    ROOTS,
    SOON,
    ChangingWorld,
    made,
    secret,
)
from tests.operator.resource_building import make_pem

AUTHORITY = Key(TRUSTED_CA, "b", "c0")


def test_a_kept_anchor_ends_by_time_alone() -> None:
    world, anchors = ChangingWorld(), Reference(SECRET, "b", "anchors")
    source = {"certificatesFrom": {"secretKeyRef": {"name": "anchors", "key": "ca.crt"}, "retain": "2h"}}
    world.happens(secret(anchors, CONTENTS["anchors"][0]), made(*AUTHORITY, source))
    world.happens(secret(anchors, CONTENTS["anchors"][1]))
    world.happens()
    world.happens()

    def number() -> int:
        trust = world.in_force[TRUST]
        assert isinstance(trust, TrustDocument)
        return sum(len(each.anchors) for each in trust.authorities)

    assert number() == 2
    world.happens(wait=timedelta(hours=3))
    assert number() == 1


def test_a_crl_is_overdue_by_time_alone() -> None:
    world = ChangingWorld()
    world.happens(made(*AUTHORITY, {"certificates": to_pem(CRL_ROOT.der), "revocation": {"crl": EARLY}}))
    for _ in range(3):
        world.happens(wait=DAY)
    assert [each.overdue for each in world.told[AUTHORITY].revocation_lists] == [False]
    world.happens(wait=3 * DAY)
    assert [each.overdue for each in world.told[AUTHORITY].revocation_lists] == [True]


@pytest.mark.parametrize("other", [{"revocation": {"serials": ["nonsense"]}}, {"euiRanges": ["nonsense"]}])
def test_the_certificate_of_a_refused_trusted_ca_expires(other: dict[str, Any]) -> None:
    world = ChangingWorld()
    world.happens(made(*AUTHORITY, {"certificates": SOON, **other}))
    world.happens()
    before = world.told[AUTHORITY]
    world.happens(wait=4 * DAY)
    assert world.told[AUTHORITY].message != before.message


def test_a_deadline_ends_with_its_gateway() -> None:
    world, first, names = ChangingWorld(), Key(GATEWAY, "b", "g0"), ("client-0", "client-1")
    references = [Reference(SECRET, "b", each) for each in names]
    events = [made(*AUTHORITY, {"certificates": ROOTS[0] + ROOTS[1]})]
    for number, name in enumerate(names):
        auth = {"clientCertificate": {"secretRef": {"name": name}}}
        spec = {"eui": EUIS[number], "lns": {"uri": "ws://lns:1"}, "cups": {**(MOVES[2] or {}), "auth": auth}}
        events += [
            secret(references[number], CONTENTS["client"][2 * number]),
            made(GATEWAY, "b", f"g{number}", spec),
        ]
    world.happens(*events)
    world.happens()
    # Both are compiled, the one of the event first: its certificate now ends soon.
    ends_soon = secret(references[0], CONTENTS["client"][1])
    other = made(TRUSTED_CA, "b", "c1", {"certificates": make_pem("third", key="third")})
    assert world.happens(ends_soon, other, published=0).gateways == 2
    assert world.told[first].accepted
    # The comparison with a full compile includes the deadline.
    world.happens((first, None), published=0)
