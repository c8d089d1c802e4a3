from typing import Any

import pytest

from stationkeeper_core.witness import bear_witness
from tests.core.certificates import EUI, NOW, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, presented, snapshot

ROOT, OTHER = ca("Root"), ca("Other")
LEAF = leaf(ROOT)
REVOKING: dict[str, Any] = {"revoked_sha256": (LEAF.certificate.sha256,)}
ELSEWHERE: dict[str, Any] = {"eui_ranges": ("FFFF000000000000/16",)}


@pytest.mark.parametrize("limits", [{}, REVOKING, ELSEWHERE, {"namespace": "tenant"}])
def test_a_holder_of_a_certificate_for_a_gateway_is_known_whatever_it_may_do(limits: dict[str, Any]) -> None:
    found = bear_witness(presented(LEAF), snapshot([authority(ROOT, **limits)], [gateway()]), NOW)

    assert found is not None
    assert (found.eui, found.gateway) == (int(EUI, 16), gateway())


@pytest.mark.parametrize(
    ("limits", "known"), [({}, True), ({"namespace": "tenant"}, True), (REVOKING, False), (ELSEWHERE, False)]
)
def test_an_eui_without_a_gateway_is_listed_only_where_registering_it_could_help(
    limits: dict[str, Any], known: bool
) -> None:
    found = bear_witness(presented(LEAF), snapshot([authority(ROOT, **limits)], []), NOW)

    assert (found is not None) == known


@pytest.mark.parametrize("end_entity", [leaf(OTHER), issue(Wish(name("gateway")), ROOT)])
def test_who_has_no_certificate_that_counts_proved_nothing(end_entity: Any) -> None:
    assert bear_witness(presented(end_entity), snapshot([authority(ROOT)], [gateway()]), NOW) is None


def test_the_certificate_is_shown_with_the_first_trusted_ca_by_name() -> None:
    trusted = [authority(ROOT, "b"), authority(ROOT, "a"), authority(OTHER, "0")]

    found = bear_witness(presented(LEAF), snapshot(trusted, [gateway()]), NOW)

    assert found is not None
    leaf_x509 = LEAF.certificate.x509
    assert found.certificate.trusted_ca == "radio/a"
    assert found.certificate.sha256 == LEAF.certificate.sha256
    assert found.certificate.not_after == leaf_x509.not_valid_after_utc
    assert int(found.certificate.serial, 16) == leaf_x509.serial_number
