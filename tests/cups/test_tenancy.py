"""A CA of one tenant never gives access to a Gateway of another, over real TLS, with any certificates of the client."""

import ssl
from dataclasses import dataclass, field

import pytest

from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.certificate_corpus import EUI, Party, ca, leaf
from tests.cups.client import ENDED, Client
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted

A, B = "tenant-a", "tenant-b"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
FOREIGN = "TrustedCAOfAnotherNamespace"
UNKNOWN_CA = "TLSV1_ALERT_UNKNOWN_CA"

ROOT_A, ROOT_B = ca("Root A"), ca("Root B")
ISSUING_A = ca("Issuing A", ROOT_A)
SHARED_BY_A = ca("Shared", ROOT_A)
SHARED_BY_B = ca("Shared", ROOT_B, key=SHARED_BY_A.key)
A_CROSS_SIGNED_BY_B = ca("Root A", ROOT_B, key=ROOT_A.key)
B_CROSS_SIGNED_BY_A = ca("Root B", ROOT_A, key=ROOT_B.key)
A_UNDER_ANOTHER_NAME = ca("Renamed A", key=ROOT_A.key)
A_UNDER_THE_NAME_OF_B = ca("Root B", key=ROOT_A.key)


def _trusted(root: Party, name: str, namespace: str, *intermediates: Party) -> Trusted:
    return Trusted(name, root.pair, tuple(each.pair for each in intermediates), namespace)


OF_A, OF_B = _trusted(ROOT_A, "a", A), _trusted(ROOT_B, "b", B)


@dataclass(frozen=True)
class Attempt:
    """The certificates of a client, the trusted ones, and the expected refusal at B's Gateway."""

    end_entity: KeyPair
    presented: tuple[Party, ...] = ()
    trusted: tuple[Trusted, ...] = (OF_A, OF_B)
    refused: str = FOREIGN
    gateway: dict[str, object] = field(default_factory=dict)


ATTEMPTS = {
    "its own root": Attempt(leaf(ROOT_A).pair),
    "an intermediate sent along": Attempt(leaf(ISSUING_A).pair, (ISSUING_A,)),
    "B's certificates sent along": Attempt(leaf(ROOT_A).pair, (ROOT_B, SHARED_BY_B)),
    "both chains sent along, B's first": Attempt(leaf(ISSUING_A).pair, (ROOT_B, SHARED_BY_B, ISSUING_A, ROOT_A)),
    "a shared intermediate that both list": Attempt(
        leaf(ISSUING_A).pair, trusted=(_trusted(ROOT_A, "a", A, ISSUING_A), _trusted(ROOT_B, "b", B, ISSUING_A))
    ),
    "a shared intermediate that only B lists": Attempt(
        leaf(ISSUING_A).pair, trusted=(OF_A, _trusted(ROOT_B, "b", B, ISSUING_A)), refused=UNKNOWN_CA
    ),
    "B's root cross-signed by A": Attempt(leaf(ROOT_B).pair, (B_CROSS_SIGNED_BY_A,), (OF_A,)),
    "its key under another name": Attempt(
        leaf(A_UNDER_ANOTHER_NAME).pair, trusted=(_trusted(A_UNDER_ANOTHER_NAME, "a", A), OF_B)
    ),
    "its key under another name, which only the client sends": Attempt(
        leaf(A_UNDER_ANOTHER_NAME).pair, (A_UNDER_ANOTHER_NAME,), refused=UNKNOWN_CA
    ),
    "an allow list that names A's CA": Attempt(leaf(ROOT_A).pair, gateway={"trusted_cas": (f"{A}/a", f"{B}/b")}),
}


async def _meets(cups: Cups, attempt: Attempt, namespace: str) -> set[str]:
    """Return the result with each version of TLS: `200`, the reason of the refusal, or the alert."""
    cups.publish(list(attempt.trusted), [Gateway(EUI, namespace, attempt.gateway)])
    await cups.loaded()
    chain = tuple(each.pair for each in attempt.presented)
    return {await _outcome(cups.client(attempt.end_entity, tls=tls, chain=chain)) for tls in VERSIONS}


async def _outcome(client: Client) -> str:
    try:
        answer = await client.ask()
    except ENDED:
        # TLS 1.3 hides which certificates come with a leaf, so that a chain is judged only after the handshake.
        return UNKNOWN_CA
    except ssl.SSLError as error:
        return str(error.reason)
    return "200" if answer.status == 200 else answer.reason


@pytest.mark.parametrize("way", ATTEMPTS)
async def test_it_opens_no_gateway_of_another_tenant_and_those_of_its_own(cups: Cups, way: str) -> None:
    attempt = ATTEMPTS[way]
    assert await _meets(cups, attempt, B) == {attempt.refused}
    assert await _meets(cups, attempt, A) == {"200" if attempt.refused == FOREIGN else attempt.refused}


@pytest.mark.parametrize(
    ("end_entity", "cross_signed"), [(leaf(ROOT_A), A_CROSS_SIGNED_BY_B), (leaf(SHARED_BY_A), SHARED_BY_B)]
)
async def test_what_b_cross_signed_opens_b_only_as_long_as_b_is_trusted(
    cups: Cups, end_entity: Party, cross_signed: Party
) -> None:
    assert await _meets(cups, Attempt(end_entity.pair, (cross_signed,)), B) == {"200"}
    without_b = await _meets(cups, Attempt(end_entity.pair, (cross_signed,), (OF_A,)), B)
    assert without_b <= {FOREIGN, UNKNOWN_CA}
    assert await _meets(cups, Attempt(end_entity.pair, trusted=(OF_B,)), B) == {UNKNOWN_CA}


async def test_the_name_of_another_tenants_ca_is_not_its_key(cups: Cups) -> None:
    forged = leaf(A_UNDER_THE_NAME_OF_B).pair
    alone = _trusted(A_UNDER_THE_NAME_OF_B, "a", A)
    for trusted in ((OF_B,), (alone,), (alone, OF_B), (OF_B, alone)):
        assert "200" not in await _meets(cups, Attempt(forged, (A_UNDER_THE_NAME_OF_B,), trusted), B)
    assert await _meets(cups, Attempt(forged, trusted=(alone,)), A) == {"200"}
