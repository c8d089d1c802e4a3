"""A CA of one tenant never gives access to a Gateway of another by any chain; a release's CA that serves all does."""

from dataclasses import dataclass

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import TrustedAuthority
from tests.core.certificates import EUI, Signer, ca, leaf
from tests.core.states import RELEASE, authority, gateway, judged, presented, release_ca, snapshot

A, B = "tenant-a", "tenant-b"
ROUTER = EUI64(int(EUI, 16))

ROOT_A, ROOT_B = ca("Root A"), ca("Root B")
ISSUING_A = ca("Issuing A", ROOT_A)
SHARED_BY_A = ca("Shared", ROOT_A)
SHARED_BY_B = ca("Shared", ROOT_B, key=SHARED_BY_A.key)
A_CROSS_SIGNED_BY_B = ca("Root A", ROOT_B, key=ROOT_A.key)
A_UNDER_ANOTHER_NAME = ca("Root B", key=ROOT_A.key)
B_BY_NAME_ONLY = ca("Root B")

OF_A = authority(ROOT_A, "a", A)
OF_B = authority(ROOT_B, "b", B)


@dataclass(frozen=True)
class Attempt:
    """A client certificate, the certificates sent with it, and the trusted ones."""

    end_entity: Signer
    presenting: tuple[Signer, ...] = ()
    authorities: tuple[TrustedAuthority, ...] = (OF_A, OF_B)
    allowed: tuple[str, ...] | None = None

    def opens(self, namespace: str) -> Reason | None:
        """Return the reason of the refusal at a Gateway of that namespace; None if the client is accepted."""
        state = snapshot(self.authorities, [gateway(namespace=namespace, trusted_cas=self.allowed)])
        claim = Claim(judged(presented(self.end_entity, *self.presenting), state), ROUTER)
        try:
            authorize(claim, state)
        except StationkeeperError as error:
            return error.reason
        return None


FOREIGN = Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE

REFUSED_AT_B = {
    "its own root": (Attempt(leaf(ROOT_A)), FOREIGN),
    "an intermediate that the client presents": (Attempt(leaf(ISSUING_A), (ISSUING_A,)), FOREIGN),
    "extra certificates of B in the handshake": (Attempt(leaf(ROOT_A), (ROOT_B, SHARED_BY_B)), FOREIGN),
    "its root and the one of B presented in a row": (Attempt(leaf(ISSUING_A), (ISSUING_A, ROOT_A, ROOT_B)), FOREIGN),
    "an intermediate that B lists too": (
        Attempt(
            leaf(ISSUING_A),
            authorities=(
                authority(ROOT_A, "a", A, intermediates=(ISSUING_A.der,)),
                authority(ROOT_B, "b", B, intermediates=(ISSUING_A.der,)),
            ),
        ),
        FOREIGN,
    ),
    "the name of B's root with another key": (
        Attempt(leaf(B_BY_NAME_ONLY), authorities=(authority(B_BY_NAME_ONLY, "a", A), OF_B)),
        FOREIGN,
    ),
    "its key under the name of B's root": (
        Attempt(leaf(A_UNDER_ANOTHER_NAME), authorities=(authority(A_UNDER_ANOTHER_NAME, "a", A), OF_B)),
        FOREIGN,
    ),
    "its key under B's name, the certificate only presented": (
        Attempt(leaf(A_UNDER_ANOTHER_NAME), (A_UNDER_ANOTHER_NAME,)),
        Reason.NO_TRUSTED_CA,
    ),
    "the name of one of B's CAs in an allow list": (
        Attempt(leaf(ROOT_A), allowed=(f"{A}/a", f"{B}/b")),
        FOREIGN,
    ),
    "an allow list that names the foreign CA, pinned": (
        Attempt(leaf(ROOT_A), allowed=(f"{A}/a",)),
        FOREIGN,
    ),
}


@pytest.mark.parametrize("way", REFUSED_AT_B)
def test_a_ca_of_one_tenant_opens_no_gateway_of_another(way: str) -> None:
    attempt, reason = REFUSED_AT_B[way]
    assert attempt.opens(B) is reason


@pytest.mark.parametrize("way", [each for each, (_, reason) in REFUSED_AT_B.items() if reason is FOREIGN])
def test_the_same_certificate_opens_the_gateway_of_its_own_tenant(way: str) -> None:
    assert REFUSED_AT_B[way][0].opens(A) is None


@pytest.mark.parametrize(
    ("cross_signed", "end_entity"),
    [(A_CROSS_SIGNED_BY_B, leaf(ROOT_A)), (SHARED_BY_B, leaf(SHARED_BY_A))],
)
def test_only_cas_of_b_vouch_for_certificates_that_b_signed(cross_signed: Signer, end_entity: Signer) -> None:
    assert Attempt(end_entity, (cross_signed,)).opens(B) is None
    assert Attempt(end_entity, (cross_signed,), authorities=(OF_A,)).opens(B) is not None
    assert Attempt(end_entity, authorities=(OF_B,)).opens(B) is Reason.NO_TRUSTED_CA


def test_a_ca_that_a_cross_signed_for_b_does_not_open_b_by_the_anchor_of_a() -> None:
    b_by_a = ca("Root B", ROOT_A, key=ROOT_B.key)
    assert Attempt(leaf(ROOT_B), (b_by_a,), authorities=(OF_A,)).opens(B) is FOREIGN


@pytest.mark.parametrize("namespace", [A, B, RELEASE])
def test_a_ca_of_the_releases_namespace_speaks_for_all(namespace: str) -> None:
    of_all = release_ca(ROOT_A, "all")
    assert Attempt(leaf(ROOT_A), authorities=(of_all, OF_B)).opens(namespace) is None
    assert Attempt(leaf(ROOT_A), authorities=(OF_A, of_all)).opens(namespace) is None


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        (Attempt(leaf(ROOT_A), authorities=(authority(ROOT_A, "a", A, eui_ranges=(f"{EUI}/64",)),)), None),
        (
            Attempt(leaf(ROOT_A), authorities=(authority(ROOT_A, "a", A, eui_ranges=("0102030405060700/64",)),)),
            Reason.EUI_OUT_OF_RANGE,
        ),
        (
            Attempt(
                leaf(ROOT_A),
                authorities=(
                    authority(ROOT_A, "a", A, eui_ranges=("FF00000000000000/8",)),
                    authority(ROOT_A, "b", B),
                ),
            ),
            Reason.EUI_OUT_OF_RANGE,
        ),
    ],
)
def test_a_range_is_not_widened_by_what_another_tenant_allows(attempt: Attempt, reason: Reason | None) -> None:
    assert attempt.opens(A) is reason
