from datetime import datetime
from typing import Any

import pytest

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.gateway_registry import Holder
from stationkeeper_core.policy.refused_client import RefusedClient, identify_claimed, identify_refused
from stationkeeper_core.published.documents import TrustedAuthority
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot

ROOT, OTHER = ca("Root"), ca("Other")
LEAF = leaf(ROOT)
REVOKING: dict[str, Any] = {"revoked_sha256": (LEAF.certificate.sha256,)}
ELSEWHERE: dict[str, Any] = {"eui_ranges": ("FFFF000000000000/16",)}


def _identified(
    end_entity: Signer, authorities: list[TrustedAuthority], holders: list[Holder], now: datetime = NOW
) -> RefusedClient | None:
    state = snapshot(authorities, holders)
    return identify_refused(judged(presented(end_entity), state, now), state.registry)


@pytest.mark.parametrize("limits", [{}, REVOKING, ELSEWHERE])
def test_a_holder_of_a_certificate_for_a_gateway_is_known_whatever_it_may_do(limits: dict[str, Any]) -> None:
    found = _identified(LEAF, [authority(ROOT, **limits)], [gateway()])

    assert found is not None
    assert (found.eui, found.gateway) == (int(EUI, 16), gateway())


@pytest.mark.parametrize(
    ("limits", "known"), [({}, True), ({"namespace": "tenant"}, True), (REVOKING, False), (ELSEWHERE, False)]
)
def test_an_eui_without_a_gateway_is_listed_only_where_registering_it_could_help(
    limits: dict[str, Any], known: bool
) -> None:
    found = _identified(LEAF, [authority(ROOT, **limits)], [])

    assert (found is not None) == known


@pytest.mark.parametrize("end_entity", [leaf(OTHER), issue(Wish(name("gateway")), ROOT)])
def test_a_client_without_a_valid_certificate_proved_nothing(end_entity: Any) -> None:
    assert _identified(end_entity, [authority(ROOT)], [gateway()]) is None


def test_the_certificate_is_shown_with_the_first_trusted_ca_by_name() -> None:
    trusted = [authority(ROOT, "b"), authority(ROOT, "a"), authority(OTHER, "0")]

    found = _identified(LEAF, trusted, [gateway()])

    assert found is not None
    assert found.certificate.trusted_ca == "radio/a"
    assert found.certificate.sha256 == LEAF.certificate.sha256
    assert found.certificate.not_after == LEAF.certificate.not_after
    assert int(found.certificate.serial, 16) == LEAF.certificate.serial_number


ASKED_FOR = "AABBCCDD00000001"


@pytest.mark.parametrize(
    ("trusted", "end_entity", "holders", "known"),
    [
        ([authority(ROOT)], LEAF, [gateway(ASKED_FOR)], True),
        ([authority(ROOT)], LEAF, [gateway(), gateway(ASKED_FOR)], True),
        ([authority(ROOT)], issue(Wish(name("gateway")), ROOT), [gateway(ASKED_FOR)], True),
        ([authority(ROOT, namespace="tenant")], LEAF, [gateway(ASKED_FOR)], False),
        ([authority(ROOT, namespace="tenant")], LEAF, [gateway(), gateway(ASKED_FOR)], False),
        ([release_ca(ROOT, serves="radio")], LEAF, [gateway(ASKED_FOR)], True),
        ([release_ca(ROOT, serves="tenant")], LEAF, [gateway(ASKED_FOR)], False),
        ([authority(ROOT, **REVOKING)], LEAF, [gateway(ASKED_FOR)], False),
        ([authority(OTHER)], LEAF, [gateway(ASKED_FOR)], False),
        ([authority(ROOT)], LEAF, [], False),
        ([authority(ROOT)], leaf(ROOT, ASKED_FOR), [gateway(ASKED_FOR)], False),
    ],
)
def test_a_client_is_shown_on_the_gateway_that_it_asked_for_only_by_a_trusted_ca_in_its_scope(
    trusted: list[TrustedAuthority], end_entity: Signer, holders: list[Holder], known: bool
) -> None:
    state = snapshot(trusted, holders)
    found = identify_claimed(judged(presented(end_entity), state), EUI64(int(ASKED_FOR, 16)), state.registry)

    assert (found is not None) is known
    if found is not None:
        assert found.gateway == gateway(ASKED_FOR)
        assert found.certificate.trusted_ca == trusted[0].namespace + "/ca"
