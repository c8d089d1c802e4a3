from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.authorization import STEPS, Claim, authorize
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published import RegisteredGateway, TrustedAuthority
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import RELEASE, authority, gateway, presented, snapshot

ROOT, OTHER = ca("Root"), ca("Other")
ISSUING = ca("Issuing", ROOT)
LEAF = leaf(ROOT)
ROUTER = EUI64(int(EUI, 16))
ANOTHER = EUI64(0xFFFF)


def _authorize(
    authorities: Sequence[TrustedAuthority],
    gateways: Sequence[RegisteredGateway],
    end_entity: Signer = LEAF,
    router: EUI64 = ROUTER,
) -> RegisteredGateway:
    return authorize(Claim(presented(end_entity), router), snapshot(authorities, gateways), NOW)


@pytest.mark.parametrize(
    ("authorities", "registered"),
    [
        ([authority(ROOT)], gateway()),
        ([authority(ROOT, namespace=RELEASE)], gateway()),
        ([authority(ROOT, namespace="elsewhere"), authority(ROOT, "mine")], gateway()),
        ([authority(ROOT)], gateway(trusted_cas=("radio/ca",))),
        ([authority(ROOT, "other"), authority(ROOT)], gateway(trusted_cas=("radio/ca",))),
        ([authority(ROOT)], gateway(sha256_fingerprints=(LEAF.certificate.sha256,))),
        ([authority(ROOT, eui_ranges=("0102030000000000/24",))], gateway()),
        ([authority(ROOT, eui_ranges=("FFFF000000000000/16", f"{EUI}/64"))], gateway()),
        ([authority(ROOT, "narrow", eui_ranges=("FFFF000000000000/16",)), authority(ROOT)], gateway()),
        ([authority(ROOT, revoked_serials=("1",))], gateway()),
        ([authority(ROOT), authority(OTHER, "other", revoked_sha256=(LEAF.certificate.sha256,))], gateway()),
        ([authority(ROOT), authority(ROOT, namespace="x", revoked_sha256=(LEAF.certificate.sha256,))], gateway()),
    ],
)
def test_a_gateways_own_certificate_of_a_ca_in_scope_opens_it(
    authorities: list[TrustedAuthority], registered: RegisteredGateway
) -> None:
    assert _authorize(authorities, [registered]) == registered


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        (Reason.COMMON_NAME_NOT_EUI, {"end_entity": issue(Wish(name("gateway")), ROOT)}),
        (Reason.COMMON_NAME_NOT_EUI, {"end_entity": issue(Wish(name(EUI, EUI)), ROOT)}),
        (Reason.COMMON_NAME_MISMATCH, {"router": ANOTHER, "gateways": [gateway(), gateway(format_hex(ANOTHER))]}),
        (Reason.NO_TRUSTED_CA, {"authorities": []}),
        (Reason.NO_TRUSTED_CA, {"authorities": [authority(OTHER)]}),
        (Reason.GATEWAY_NOT_REGISTERED, {"gateways": []}),
        (Reason.GATEWAY_NOT_REGISTERED, {"gateways": [gateway(format_hex(ANOTHER))]}),
        (Reason.GATEWAY_SUSPENDED, {"gateways": [gateway(suspended=True)]}),
        (Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE, {"authorities": [authority(ROOT, namespace="elsewhere")]}),
        (Reason.CERTIFICATE_REVOKED, {"authorities": [authority(ROOT, revoked_sha256=(LEAF.certificate.sha256,))]}),
        (
            Reason.CERTIFICATE_REVOKED,
            {"authorities": [authority(ROOT), authority(ROOT, "b", revoked_sha256=(LEAF.certificate.sha256,))]},
        ),
        (Reason.TRUSTED_CA_NOT_ALLOWED, {"gateways": [gateway(trusted_cas=("radio/another",))]}),
        (Reason.TRUSTED_CA_NOT_ALLOWED, {"gateways": [gateway(trusted_cas=(f"{RELEASE}/ca",))]}),
        (Reason.TRUSTED_CA_NOT_ALLOWED, {"gateways": [gateway(trusted_cas=())]}),
        (Reason.EUI_OUT_OF_RANGE, {"authorities": [authority(ROOT, eui_ranges=("0202000000000000/16",))]}),
        (
            Reason.EUI_OUT_OF_RANGE,
            {
                "authorities": [authority(ROOT, eui_ranges=("0202000000000000/16",)), authority(ROOT, "wide")],
                "gateways": [gateway(trusted_cas=("radio/ca",))],
            },
        ),
        (Reason.CERTIFICATE_NOT_PINNED, {"gateways": [gateway(sha256_fingerprints=("0" * 64,))]}),
        (Reason.CERTIFICATE_NOT_PINNED, {"gateways": [gateway(sha256_fingerprints=())]}),
    ],
)
def test_what_fails_a_step_is_refused_with_its_reason(reason: Reason, case: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"authorities": [authority(ROOT)], "gateways": [gateway()]} | case

    with pytest.raises(StationkeeperError) as refused:
        _authorize(**arguments)

    assert refused.value.reason is reason
    assert reason.info.http_status in {403, 404}


def test_the_first_step_that_fails_decides() -> None:
    everything: dict[str, Any] = {
        "authorities": [authority(OTHER, namespace="elsewhere", eui_ranges=("0202000000000000/16",))],
        "gateways": [gateway(suspended=True, trusted_cas=(), sha256_fingerprints=())],
    }
    mended: list[tuple[str, dict[str, Any]]] = [
        (Reason.NO_TRUSTED_CA, {}),
        (Reason.GATEWAY_SUSPENDED, {"authorities": [authority(ROOT, namespace="elsewhere")]}),
        (
            Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
            {
                "authorities": [authority(ROOT, namespace="elsewhere")],
                "gateways": [gateway(trusted_cas=(), sha256_fingerprints=())],
            },
        ),
        (
            Reason.TRUSTED_CA_NOT_ALLOWED,
            {"authorities": [authority(ROOT)], "gateways": [gateway(trusted_cas=(), sha256_fingerprints=())]},
        ),
        (
            Reason.CERTIFICATE_NOT_PINNED,
            {"authorities": [authority(ROOT)], "gateways": [gateway(sha256_fingerprints=())]},
        ),
    ]
    for reason, change in mended:
        with pytest.raises(StationkeeperError) as refused:
            _authorize(**everything | change)
        assert refused.value.reason == reason


def test_the_steps_are_numbered_in_their_order() -> None:
    assert [int(step.__name__.split("_")[1]) for step in STEPS] == list(range(1, len(STEPS) + 1))


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_certificate_never_opens_the_gateway_of_another_eui(own: int, other: int) -> None:
    end_entity = leaf(ROOT, format_hex(EUI64(own)))
    gateways = [gateway(format_hex(EUI64(each))) for each in {own, other}]
    for router in {own, other}:
        try:
            found = _authorize([authority(ROOT)], gateways, end_entity, EUI64(router))
        except StationkeeperError as error:
            assert error.reason is Reason.COMMON_NAME_MISMATCH
            assert router != own
        else:
            assert router == own
            assert found.eui == format_hex(EUI64(own))


def test_a_tenants_ca_opens_no_gateway_of_another_tenant_by_a_shared_intermediate() -> None:
    mine = authority(ca("Mine"), "mine", namespace="radio", intermediates=(ISSUING.der,))
    theirs = authority(ROOT, "theirs", namespace="tenant-b")

    with pytest.raises(StationkeeperError) as refused:
        _authorize([mine, theirs], [gateway()], leaf(ISSUING))

    assert refused.value.reason is Reason.NO_TRUSTED_CA
