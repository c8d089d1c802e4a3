from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.policy.authorization import STEPS, Claim, authorize
from stationkeeper_core.published.documents import ALL_NAMESPACES, RegisteredGateway, ServedNamespace, TrustedAuthority
from stationkeeper_core.reason_table import REASONS
from stationkeeper_core.x509.client_certificate import read_client_certificate
from tests.core.certificates import EUI, Signer, Wish, ca, issue, leaf, name
from tests.core.slow_keys import rsa_key
from tests.core.states import RELEASE, authority, gateway, judged, presented, release_ca, snapshot
from tests.examples import examples

ROOT, OTHER = ca("Root"), ca("Other")
ISSUING = ca("Issuing", ROOT)
LEAF = leaf(ROOT)
WEAK = leaf(ROOT, key=rsa_key(1024))
ROUTER = EUI64(int(EUI, 16))
ANOTHER = EUI64(0xFFFF)
INDIRECT = leaf(ISSUING)
SNAPSHOT = snapshot([authority(ROOT)], [gateway()])


def _authorize(
    authorities: Sequence[TrustedAuthority],
    gateways: Sequence[RegisteredGateway],
    end_entity: Signer = LEAF,
    router: EUI64 = ROUTER,
) -> RegisteredGateway:
    state = snapshot(authorities, gateways)
    return authorize(Claim(judged(presented(end_entity), state), router), state).registered


@pytest.mark.parametrize(
    ("authorities", "registered"),
    [
        ([authority(ROOT)], gateway()),
        ([release_ca(ROOT)], gateway()),
        ([release_ca(ROOT, serves="radio")], gateway()),
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
        (
            Reason.CERTIFICATE_REVOKED,
            {
                "authorities": [authority(ROOT), authority(ROOT, "b", revoked_sha256=(LEAF.certificate.sha256,))],
                "gateways": [gateway(trusted_cas=("radio/ca",))],
            },
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
        (Reason.CERTIFICATE_TOO_WEAK, {"end_entity": WEAK}),
    ],
)
def test_a_failed_step_refuses_with_its_reason(reason: Reason, case: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"authorities": [authority(ROOT)], "gateways": [gateway()]} | case

    with pytest.raises(StationkeeperError) as refused:
        _authorize(**arguments)

    assert refused.value.reason is reason
    assert REASONS[reason].http_status in {403, 404}


def test_the_first_step_that_fails_decides() -> None:
    rotten: dict[str, Any] = {"namespace": "elsewhere", "eui_ranges": ("0202000000000000/16",)}
    barred: dict[str, Any] = {"suspended": True, "trusted_cas": (), "sha256_fingerprints": ()}
    everything: dict[str, Any] = {
        "end_entity": issue(Wish(name("gateway")), ROOT),
        "router": ANOTHER,
        "anchor": OTHER,
        "authority": rotten | {"revoked_sha256": (WEAK.certificate.sha256,)},
        "gateway": None,
    }
    mended: list[tuple[Reason, dict[str, Any]]] = [
        (Reason.COMMON_NAME_NOT_EUI, {}),
        (Reason.COMMON_NAME_MISMATCH, {"end_entity": WEAK}),
        (Reason.NO_TRUSTED_CA, {"router": ROUTER}),
        (Reason.GATEWAY_NOT_REGISTERED, {"anchor": ROOT}),
        (Reason.GATEWAY_SUSPENDED, {"gateway": barred}),
        (Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE, {"gateway": barred | {"suspended": False}}),
        (Reason.CERTIFICATE_REVOKED, {"authority": everything["authority"] | {"namespace": "radio"}}),
        (Reason.TRUSTED_CA_NOT_ALLOWED, {"authority": rotten | {"namespace": "radio"}}),
        (Reason.EUI_OUT_OF_RANGE, {"gateway": {"sha256_fingerprints": ()}}),
        (Reason.CERTIFICATE_NOT_PINNED, {"authority": {}}),
        (Reason.CERTIFICATE_TOO_WEAK, {"gateway": {}}),
    ]
    state = everything
    for reason, change in mended:
        state = state | change
        registered = [] if state["gateway"] is None else [gateway(**state["gateway"])]
        with pytest.raises(StationkeeperError) as refused:
            _authorize(
                [authority(state["anchor"], **state["authority"])], registered, state["end_entity"], state["router"]
            )
        assert refused.value.reason is reason
    assert len(mended) == len(STEPS)
    assert _authorize([authority(ROOT)], [gateway()]) == gateway()


@settings(max_examples=examples(30))
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


AUTHORITIES = st.builds(
    authority,
    st.sampled_from([ROOT, OTHER]),
    name=st.sampled_from(["a", "b"]),
    namespace=st.sampled_from(["radio", "elsewhere", RELEASE]),
    eui_ranges=st.sampled_from([(), (f"{EUI}/64",), ("FFFF000000000000/16",)]),
    serves=st.sampled_from(
        [
            (),
            (ServedNamespace(namespace=ALL_NAMESPACES),),
            (ServedNamespace(namespace="radio"),),
            (ServedNamespace(namespace="radio", eui_ranges=("FFFF000000000000/16",)),),
            (ServedNamespace(namespace="elsewhere", eui_ranges=(f"{EUI}/64",)), ServedNamespace(namespace="other")),
        ]
    ),
    revoked_serials=st.sampled_from([(), ("1F",), (LEAF.certificate.serial,)]),
)
GATEWAYS = st.builds(
    gateway,
    st.sampled_from([EUI, format_hex(ANOTHER)]),
    namespace=st.sampled_from(["radio", "elsewhere"]),
    suspended=st.booleans(),
    trusted_cas=st.none() | st.lists(st.sampled_from(["radio/a", "elsewhere/b", f"{RELEASE}/a"])).map(tuple),
    sha256_fingerprints=st.none() | st.sampled_from([(), (LEAF.certificate.sha256,), ("0" * 64,)]),
)


def _serves(release_ca: TrustedAuthority, namespace: str) -> bool:
    return any(
        served.namespace in {namespace, "*"} and (not served.eui_ranges or f"{EUI}/64" in served.eui_ranges)
        for served in release_ca.serves
    )


def _may_speak_for(registered: RegisteredGateway, authorities: Sequence[TrustedAuthority]) -> bool:
    """Return, by the rules without steps, whether the holder of `LEAF` may have the configuration of `registered`."""
    in_scope = [
        each
        for each in authorities
        if each.anchors == (ROOT.der,)
        if each.namespace == registered.namespace or (each.namespace == RELEASE and _serves(each, registered.namespace))
    ]
    vouching = [
        each
        for each in in_scope
        if registered.trusted_cas is None or f"{each.namespace}/{each.name}" in registered.trusted_cas
        if not each.eui_ranges or f"{EUI}/64" in each.eui_ranges
    ]
    own = LEAF.certificate.serial
    return (
        registered.eui == EUI
        and not registered.suspended
        and bool(vouching)
        and all(own not in each.revoked_serials for each in in_scope)
        and (registered.sha256_fingerprints is None or LEAF.certificate.sha256 in registered.sha256_fingerprints)
    )


@settings(max_examples=examples(300))
@given(
    st.lists(AUTHORITIES, max_size=4, unique_by=lambda each: (each.namespace, each.name)),
    st.lists(GATEWAYS, max_size=2, unique_by=lambda each: each.eui),
    st.sampled_from([ROUTER, ROUTER, ROUTER, ANOTHER]),
)
def test_only_a_registered_gateway_that_the_rules_allow_passes(
    authorities: list[TrustedAuthority], gateways: list[RegisteredGateway], router: EUI64
) -> None:
    expected = [each for each in gateways if router == ROUTER and _may_speak_for(each, authorities)]
    try:
        found = [_authorize(authorities, gateways, router=router)]
    except StationkeeperError:
        found = []
    assert found == expected


@settings(max_examples=examples(200))
@given(st.data())
def test_a_certificate_with_any_byte_changed_opens_nothing(data: st.DataObject) -> None:
    der = bytearray(LEAF.der)
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(StationkeeperError):
        authorize(Claim(judged(read_client_certificate((bytes(der),)), SNAPSHOT), ROUTER), SNAPSHOT)


@settings(max_examples=examples(200))
@given(st.data())
def test_a_presented_intermediate_with_any_byte_changed_opens_nothing(data: st.DataObject) -> None:
    der = bytearray(ISSUING.der)
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(StationkeeperError) as refused:
        presenting = read_client_certificate((INDIRECT.der, bytes(der)))
        authorize(Claim(judged(presenting, SNAPSHOT), ROUTER), SNAPSHOT)

    assert refused.value.reason is Reason.NO_TRUSTED_CA


def test_a_step_that_needs_the_gateway_cannot_run_before_it_was_looked_up() -> None:
    with pytest.raises(LookupError, match="before it was looked up"):
        _ = Claim(judged(presented(leaf(ROOT)), SNAPSHOT), ROUTER).registered
