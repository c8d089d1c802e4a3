"""Several namespaces have a Gateway with one EUI: the certificate or token decides which one a request means."""

import hashlib
from typing import Any

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.gateway_registry import Holder
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.policy.refused_client import identify_refused
from stationkeeper_core.policy.token_authorization import TokenClaim, authorize_by_token
from stationkeeper_core.published.documents import ReservedEUI, ServedNamespace, TrustedAuthority
from stationkeeper_core.reason_table import REASONS
from tests.core.certificates import EUI, Signer, ca, leaf
from tests.core.states import RELEASE, authority, gateway, judged, presented, release_ca, snapshot

A, B = "tenant-a", "tenant-b"
ROUTER = EUI64(int(EUI, 16))
ROOT_A, ROOT_B, SHARED = ca("Root A"), ca("Root B"), ca("Shared")
OF_A, OF_B = authority(ROOT_A, "a", A), authority(ROOT_B, "b", B)
TOKEN_A, TOKEN_B = b"Bearer 0123456789abcdef", b"Bearer fedcba9876543210"


def held(namespace: str, rank: int = 0, **options: Any) -> Holder:
    return gateway(namespace=namespace, uid=namespace, rank=rank, **options)


def reserved(namespace: str, rank: int = 0) -> Holder:
    return ReservedEUI(eui=EUI, namespace=namespace, uid=f"{namespace}-gone", rank=rank)


def opens(end_entity: Signer, authorities: list[TrustedAuthority], holders: list[Holder]) -> str:
    state = snapshot(authorities, holders)
    try:
        return authorize(Claim(judged(presented(end_entity), state), ROUTER), state).registered.uid
    except StationkeeperError as error:
        return error.reason


def opens_by_token(token: bytes, holders: list[Holder]) -> str:
    try:
        return authorize_by_token(TokenClaim((token,), ROUTER), snapshot([], holders)).gateway.uid
    except StationkeeperError as error:
        return error.reason


@pytest.mark.parametrize("ranks", [(0, 1), (1, 0), (0, 0)])
def test_each_tenants_ca_opens_its_own_gateway_whatever_the_ranks(ranks: tuple[int, int]) -> None:
    holders = [held(A, ranks[0]), held(B, ranks[1])]

    assert opens(leaf(ROOT_A), [OF_A, OF_B], holders) == A
    assert opens(leaf(ROOT_B), [OF_A, OF_B], holders) == B


@pytest.mark.parametrize(
    ("holders", "outcome"),
    [
        ([held(A, 0), held(B, 1)], A),
        ([held(A, 1), held(B, 0)], B),
        ([held(A, 0), held(B, 0)], A),
        ([reserved(A, 0), held(B, 1)], Reason.GATEWAY_NOT_REGISTERED),
        ([held(A, 0), reserved(B, 1)], A),
        ([held(A, 0, suspended=True), held(B, 1)], Reason.GATEWAY_SUSPENDED),
        ([held(B, 1)], B),
    ],
)
def test_with_one_ca_for_several_the_lowest_rank_counts_and_a_reservation_is_not_inherited(
    holders: list[Holder], outcome: str
) -> None:
    assert opens(leaf(SHARED), [release_ca(SHARED)], holders) == outcome


def test_a_reservation_blocks_only_clients_of_its_namespaces_cas() -> None:
    assert opens(leaf(ROOT_B), [OF_A, OF_B], [reserved(A, 0), held(B, 1)]) == B
    assert opens(leaf(ROOT_A), [OF_A, OF_B], [reserved(A, 0), held(B, 1)]) == Reason.GATEWAY_NOT_REGISTERED


@pytest.mark.parametrize(
    ("serves", "outcome"),
    [
        ((), Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE),
        ((ServedNamespace(namespace="*"),), A),
        ((ServedNamespace(namespace=A),), A),
        ((ServedNamespace(namespace=B),), Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE),
        ((ServedNamespace(namespace=A, eui_ranges=(f"{EUI}/64",)),), A),
        (
            (ServedNamespace(namespace=A, eui_ranges=("FF00000000000000/8",)),),
            Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        ),
        (
            (
                ServedNamespace(namespace="*", eui_ranges=("FF00000000000000/8",)),
                ServedNamespace(namespace=A, eui_ranges=("0102000000000000/16",)),
            ),
            A,
        ),
    ],
)
def test_a_ca_of_the_release_serves_the_namespaces_and_ranges_that_it_names(
    serves: tuple[ServedNamespace, ...], outcome: str
) -> None:
    assert opens(leaf(SHARED), [authority(SHARED, "s", RELEASE, serves=serves)], [held(A)]) == outcome
    assert opens(leaf(SHARED), [authority(SHARED, "s", RELEASE, serves=serves)], [held(RELEASE)]) == RELEASE
    assert opens(leaf(SHARED), [authority(SHARED, "s", B, serves=serves)], [held(A)]) == (
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE
    )


def test_a_foreign_certificate_changes_no_gateway_and_its_refusal_names_no_one() -> None:
    state = snapshot([OF_A, OF_B], [held(A)])
    judgement = judged(presented(leaf(ROOT_B)), state)

    assert identify_refused(judgement, state.registry) is None
    assert opens(leaf(ROOT_B), [OF_A, OF_B], [held(A)]) == Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE
    for reason in (
        Reason.NO_TRUSTED_CA,
        Reason.GATEWAY_NOT_REGISTERED,
        Reason.GATEWAY_SUSPENDED,
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        Reason.TRUSTED_CA_NOT_ALLOWED,
        Reason.EUI_OUT_OF_RANGE,
        Reason.CERTIFICATE_REVOKED,
        Reason.CRL_EXPIRED,
        Reason.CERTIFICATE_TOO_WEAK,
        Reason.CERTIFICATE_NOT_PINNED,
        Reason.TRUST_BUDGET_SPENT,
        Reason.TOKEN_REFUSED,
    ):
        assert REASONS[reason].discreet


def test_a_refusal_is_shown_only_on_the_requested_gateway() -> None:
    revoking = authority(ROOT_B, "b", B, revoked_serials=("1",))
    state = snapshot([OF_A, revoking], [held(A, 0), held(B, 1)])

    found = identify_refused(judged(presented(leaf(ROOT_B, serial=1)), state), state.registry)

    assert found is not None
    assert found.gateway is not None
    assert found.gateway.namespace == B


def test_a_reserved_euis_client_is_listed_as_unregistered() -> None:
    state = snapshot([OF_A, OF_B], [reserved(A)])

    found = identify_refused(judged(presented(leaf(ROOT_A)), state), state.registry)

    assert found is not None
    assert found.gateway is None
    assert identify_refused(judged(presented(leaf(ROOT_B)), state), state.registry) is None


@pytest.mark.parametrize(
    ("holders", "token", "outcome"),
    [
        ([("a", 0), ("b", 1)], TOKEN_A, A),
        ([("a", 0), ("b", 1)], TOKEN_B, B),
        ([("a", 1), ("b", 0)], TOKEN_A, A),
        ([("reserved", 0), ("b", 1)], TOKEN_B, B),
        ([("reserved", 0), ("b", 1)], TOKEN_A, Reason.TOKEN_REFUSED),
        ([("a", 0), ("b", 1)], b"Bearer another-token-of-length", Reason.TOKEN_REFUSED),
    ],
)
def test_a_token_selects_its_gateway(holders: list[tuple[str, int]], token: bytes, outcome: str) -> None:
    digests = [hashlib.sha256(each).hexdigest() for each in (TOKEN_A, TOKEN_B)]
    kinds = {
        "a": lambda rank: held(A, rank, token_sha256s=(digests[0],)),
        "b": lambda rank: held(B, rank, token_sha256s=(digests[1],)),
        "reserved": lambda rank: reserved(A, rank),
    }
    assert opens_by_token(token, [kinds[kind](rank) for kind, rank in holders]) == outcome


def test_a_gateway_is_unpacked_once_for_all_that_ask_for_it_in_one_request() -> None:
    other = f"{ROUTER + 1:016X}"
    registry = snapshot([], [held(A), held(B, eui=other)]).registry
    first = registry.holders(ROUTER)
    assert [each.namespace for each in first] == [A]
    assert registry.scope(ROUTER).namespaces == (A,)
    assert registry.holders(ROUTER)[0] is first[0]

    assert [each.namespace for each in registry.holders(EUI64(ROUTER + 1))] == [B]
    assert registry.holders(EUI64(ROUTER + 2)) == ()
    assert registry.holders(ROUTER) == first
