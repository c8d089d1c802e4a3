"""The names in a refusal for the log: EUIs, the Gateway, TrustedCAs. The other words are not tested."""

from collections.abc import Sequence
from typing import Any

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.authorization import Claim, authorize, meant_holder
from stationkeeper_core.published.documents import RegisteredGateway, ReservedEUI
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import revocation_list
from tests.core.states import authority, gateway, judged, presented, snapshot

ROOT, OTHER = ca("Root"), ca("Other")
LEAF, ROUTER, ANOTHER = leaf(ROOT), EUI64(int(EUI, 16)), EUI64(0xFFFF)
GW = f"Gateway radio/gw-{EUI}"
OUT_OF_RANGE: dict[str, Any] = {"eui_ranges": ("0202000000000000/16",)}
OVERDUE = revocation_list(ROOT.certificate, next_update=int(NOW.timestamp()) - 1, refuse_overdue=True)
LISTED = revocation_list(ROOT.certificate, LEAF.certificate.serial_number)
LONG = ca("R" * 60, ends=NOW)
LONG_ISSUER = issue(Wish(name(*["R" * 60] * 3), ca=True))


def refusal(
    authorities: Sequence[object] = (authority(ROOT),),
    holders: Sequence[object] = (gateway(),),
    end_entity: Signer = LEAF,
    router: EUI64 = ROUTER,
) -> tuple[Reason, str]:
    state = snapshot(authorities, holders)  # type: ignore[arg-type]
    with pytest.raises(StationkeeperError) as refused:
        authorize(Claim(judged(presented(end_entity), state), router), state)
    return refused.value.reason, refused.value.detail


RESERVED = ReservedEUI(eui=EUI, namespace="radio", uid="u", rank=0)
CASES: dict[str, tuple[dict[str, Any], Reason, tuple[str, ...]]] = {
    "another EUI": (
        {"router": ANOTHER},
        Reason.COMMON_NAME_MISMATCH,
        (EUI, "000000000000FFFF"),
    ),
    "nobody vouches": (
        {"authorities": [authority(OTHER)]},
        Reason.NO_TRUSTED_CA,
        ("'CN=Root'",),
    ),
    "nobody vouches for a long name": (
        {"end_entity": leaf(LONG_ISSUER)},
        Reason.NO_TRUSTED_CA,
        (f"{LONG_ISSUER.certificate.subject[:128]!a}",),
    ),
    "nobody registered it": (
        {"holders": []},
        Reason.GATEWAY_NOT_REGISTERED,
        (EUI,),
    ),
    "reserved": (
        {"holders": [RESERVED]},
        Reason.GATEWAY_NOT_REGISTERED,
        (EUI, "reserved", "namespace radio"),
    ),
    "suspended": ({"holders": [gateway(suspended=True)]}, Reason.GATEWAY_SUSPENDED, (GW, "suspended")),
    "of another namespace": (
        {"authorities": [authority(ROOT, each, "elsewhere") for each in "dcba"]},
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        ("TrustedCA elsewhere/a, elsewhere/b, elsewhere/c", GW),
    ),
    "revoked": (
        {"authorities": [authority(ROOT, revoked_sha256=(LEAF.certificate.sha256,))]},
        Reason.CERTIFICATE_REVOKED,
        ("TrustedCA radio/ca", "revoke"),
    ),
    "the CRL is overdue": (
        {"authorities": [authority(ROOT, revocation_lists=(OVERDUE,))]},
        Reason.CRL_EXPIRED,
        ("CRL", "overdue", "TrustedCA radio/ca"),
    ),
    "revoked by one, overdue at another": (
        {
            "authorities": [
                authority(ROOT, "a", revocation_lists=(OVERDUE,)),
                authority(ROOT, "b", revocation_lists=(LISTED,)),
            ]
        },
        Reason.CERTIFICATE_REVOKED,
        ("TrustedCA radio/b", "revoke"),
    ),
    "not allowed": (
        {"authorities": [authority(ROOT, "b"), authority(ROOT, "a")], "holders": [gateway(trusted_cas=())]},
        Reason.TRUSTED_CA_NOT_ALLOWED,
        (GW, "TrustedCA radio/a, radio/b"),
    ),
    "out of range": (
        {
            "authorities": [authority(ROOT, "a", **OUT_OF_RANGE), authority(ROOT, "b")],
            "holders": [gateway(trusted_cas=("radio/a",))],
        },
        Reason.EUI_OUT_OF_RANGE,
        (EUI, "TrustedCA radio/a"),
    ),
    "another certificate": (
        {"holders": [gateway(sha256_fingerprints=("0" * 64,))]},
        Reason.CERTIFICATE_NOT_PINNED,
        (GW, LEAF.certificate.sha256),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_names_the_client_and_the_problem(case: str) -> None:
    arguments, reason, named = CASES[case]

    found, detail = refusal(**arguments)

    assert found is reason
    assert [each for each in named if each not in detail] == []
    assert [
        each for each in ("elsewhere/d", "radio/") if each in detail and not any(each in one for one in named)
    ] == []


def test_a_refusal_names_the_ca_of_a_near_miss_and_its_flaw() -> None:
    expired = leaf(ROOT, ends=NOW.replace(year=NOW.year - 1), begins=NOW.replace(year=NOW.year - 2))

    reason, detail = refusal([authority(ROOT, "b"), authority(ROOT, "a")], end_entity=expired)

    assert reason is Reason.NO_TRUSTED_CA
    assert "'CN=Root'" in detail
    assert "radio/a" in detail
    assert "radio/b" not in detail


def test_a_key_that_is_too_weak_is_reported_with_the_ca_that_does_not_take_it() -> None:
    weak = [authority(ROOT, each) for each in "ab"]
    state = snapshot(weak, [gateway()])
    judgement = judged(presented(LEAF), state)
    paths = tuple(type(each)(each.trusted_ca, each.certificates, too_weak=True) for each in judgement.paths)

    with pytest.raises(StationkeeperError) as refused:
        authorize(Claim(type(judgement)(judgement.certificate, judgement.scope, paths), ROUTER), state)

    assert refused.value.reason is Reason.CERTIFICATE_TOO_WEAK
    assert "TrustedCA radio/a, radio/b" in refused.value.detail


def test_only_where_paths_were_left_out_and_nothing_is_nearer_the_budget_is_the_reason() -> None:
    state = snapshot([authority(OTHER)], [gateway()])
    judgement = judged(presented(leaf(LONG_ISSUER)), state)
    spent = type(judgement)(judgement.certificate, judgement.scope, budget_spent=True)
    near = judged(
        presented(leaf(ROOT, ends=NOW.replace(year=NOW.year - 1), begins=NOW.replace(year=NOW.year - 2))),
        snapshot([authority(ROOT)], [gateway()]),
    )

    found = []
    for each in (spent, type(judgement)(near.certificate, near.scope, near_misses=near.near_misses, budget_spent=True)):
        with pytest.raises(StationkeeperError) as refused:
            authorize(Claim(each, ROUTER), state)
        found.append((refused.value.reason, refused.value.detail))

    assert found[0][0] is Reason.TRUST_BUDGET_SPENT
    assert found[0][1].endswith(f"{LONG_ISSUER.certificate.subject[:128]!a}")
    assert found[1][0] is Reason.NO_TRUSTED_CA


def test_the_holder_that_is_meant_is_the_first_that_a_ca_vouches_for_else_a_gateway_else_a_reservation() -> None:
    def meant(*holders: RegisteredGateway | ReservedEUI, namespace: str = "radio") -> object:
        state = snapshot([authority(ROOT, namespace=namespace)], holders)
        return meant_holder(judged(presented(LEAF), state), state.registry)

    first, second = gateway(namespace="a"), gateway(namespace="radio", rank=1)
    reserved = ReservedEUI(eui=EUI, namespace="b", uid="u", rank=0)
    assert meant(first, second) == second
    assert meant(first, second, namespace="nobody") == first
    assert meant(reserved, second, namespace="nobody") == second
    assert meant(reserved, second, namespace="b") == reserved
    assert meant(reserved, namespace="nobody") == reserved
    assert meant() is None
    state = snapshot([authority(ROOT)], [gateway()])
    assert meant_holder(judged(presented(leaf(ROOT, "no EUI")), state), state.registry) is None
