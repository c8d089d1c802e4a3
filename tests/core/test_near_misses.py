"""A TrustedCA that would vouch except for one thing gives the reason of a refused handshake, also on its Gateway."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import Reason
from stationkeeper_core.policy.refused_client import identify_refused
from stationkeeper_core.published.documents import ServedNamespace
from tests.core.certificates import NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, judged, presented, snapshot

DAY = timedelta(days=1)
ROOT, FAKE = ca("Root"), ca("Root")
OLD = ca("Old", ROOT, begins=NOW - 9 * DAY, ends=NOW - DAY)
SHALLOW = issue(Wish(name("Shallow"), extensions=(x509.BasicConstraints(True, 0),)), ROOT)
DEEP = ca("Deep", SHALLOW)
SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
NO_SIGNING = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
NAMES = x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))])
LIMITED = ca("Limited", ROOT, extensions=(NAMES,))
EXPIRED = leaf(ROOT, ends=NOW - DAY)
NEIGHBOUR, OLD_NEIGHBOUR = leaf(ROOT, "0807060504030201"), leaf(ROOT, "0807060504030201", ends=NOW - DAY)
STRANGE_NEIGHBOUR = leaf(FAKE, "0807060504030201")
BELOW = ca("Below", NEIGHBOUR)
SIGNS_NOTHING = ca("Signs nothing", ROOT, extensions=(NO_SIGNING,))

CASES: dict[str, tuple[Reason, Signer, tuple[Signer, ...]]] = {
    "expired": (Reason.CERTIFICATE_EXPIRED, EXPIRED, ()),
    "not yet valid": (Reason.CERTIFICATE_NOT_YET_VALID, leaf(ROOT, begins=NOW + DAY), ()),
    "expired intermediate": (Reason.CERTIFICATE_EXPIRED, leaf(OLD), (OLD,)),
    "for servers": (Reason.CERTIFICATE_WRONG_PURPOSE, leaf(ROOT, extensions=(SERVERS,)), ()),
    "without digital signature": (
        Reason.CERTIFICATE_WRONG_PURPOSE,
        leaf(ROOT, extensions=(x509.KeyUsage(False, False, True, False, False, False, False, False, False),)),
        (),
    ),
    "path too long": (Reason.CERTIFICATE_INVALID, leaf(DEEP), (DEEP, SHALLOW)),
    "name constraints": (Reason.CERTIFICATE_INVALID, leaf(LIMITED), (LIMITED,)),
    "issued by a gateway": (Reason.CERTIFICATE_INVALID, leaf(NEIGHBOUR), (NEIGHBOUR,)),
    "issued by an expired gateway": (Reason.CERTIFICATE_INVALID, leaf(OLD_NEIGHBOUR), (OLD_NEIGHBOUR,)),
    "issued by a CA of a gateway's": (Reason.CERTIFICATE_INVALID, leaf(BELOW), (NEIGHBOUR, BELOW)),
    "issued by a gateway of an unknown CA": (Reason.UNKNOWN_CA, leaf(STRANGE_NEIGHBOUR), (STRANGE_NEIGHBOUR,)),
    "not issued by the gateway that is sent": (Reason.UNKNOWN_CA, leaf(STRANGE_NEIGHBOUR), (NEIGHBOUR,)),
    "issued by a CA that may not sign": (Reason.CERTIFICATE_INVALID, leaf(SIGNS_NOTHING), (SIGNS_NOTHING,)),
    "unknown CA": (Reason.UNKNOWN_CA, leaf(ca("Nobody")), ()),
    "unknown CA with the root's name": (Reason.UNKNOWN_CA, leaf(FAKE), ()),
    "expired, of an unknown CA with the root's name": (Reason.UNKNOWN_CA, leaf(FAKE, ends=NOW - DAY), ()),
    "for servers, of an unknown CA": (Reason.UNKNOWN_CA, leaf(FAKE, extensions=(SERVERS,)), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_handshake_has_the_nearest_reason_whose_signatures_hold(case: str) -> None:
    reason, end_entity, sent = CASES[case]
    refusal = judged(presented(end_entity, *sent), snapshot([authority(ROOT)], [gateway()])).handshake_refusal

    assert refusal is not None
    assert refusal[0] is reason


@pytest.mark.parametrize("case", CASES)
def test_a_near_miss_is_shown_only_on_the_gateway_of_its_ca(case: str) -> None:
    reason, end_entity, sent = CASES[case]
    known = reason is not Reason.UNKNOWN_CA
    for namespace in ("radio", "elsewhere"):
        state = snapshot([authority(ROOT)], [gateway(namespace=namespace)])
        found = identify_refused(judged(presented(end_entity, *sent), state), state.registry)
        assert (found is not None) == (known and namespace == "radio")
        assert found is None or found.gateway is not None


@pytest.mark.parametrize("sent", [(NEIGHBOUR,), (NEIGHBOUR, BELOW), (BELOW, NEIGHBOUR, ROOT)])
def test_certificates_signed_by_a_gateways_key_are_never_accepted(sent: tuple[Signer, ...]) -> None:
    for end_entity in (leaf(NEIGHBOUR), leaf(BELOW)):
        assert not judged(presented(end_entity, *sent), snapshot([authority(ROOT)], [gateway()])).vouched


def test_a_configured_intermediate_that_is_not_a_ca_is_judged_the_same_where_it_is_presented_too() -> None:
    record = authority(ROOT, intermediates=(NEIGHBOUR.der,))
    alone, beside = (
        judged(presented(leaf(NEIGHBOUR), *sent), snapshot([record], [gateway()])) for sent in ((), (NEIGHBOUR,))
    )

    assert alone.handshake_refusal is not None
    assert "X.509 error" in alone.handshake_refusal[1]
    assert [each.detail for each in beside.near_misses] == [each.detail for each in alone.near_misses]


def test_an_unregistered_gateways_expired_certificate_is_named_so_too() -> None:
    refusal = judged(presented(EXPIRED), snapshot([authority(ROOT)], [])).handshake_refusal

    assert refusal is not None
    assert refusal[0] is Reason.CERTIFICATE_EXPIRED


@pytest.mark.parametrize(
    ("configured", "sent", "final"),
    [((), (), True), ((DEEP,), (), False), ((OLD,), (), True), ((), (SHALLOW,), False)],
)
def test_a_no_is_final_unless_another_certificate_could_complete_the_path(
    configured: tuple[Signer, ...], sent: tuple[Signer, ...], final: bool
) -> None:
    record = authority(ROOT, intermediates=tuple(each.der for each in configured))
    assert judged(presented(leaf(DEEP), *sent), snapshot([record], [gateway()])).is_final is final


def test_a_near_miss_shows_the_certificates_of_its_path() -> None:
    (found,) = judged(presented(leaf(OLD), OLD), snapshot([authority(ROOT)], [gateway()])).near_misses

    assert [each.subject for each in found.certificates] == ["CN=0102030405060708", "CN=Old", "CN=Root"]


def test_a_near_miss_of_a_ca_counts_for_a_namespace_that_it_serves_with_this_eui() -> None:
    def counts(*ranges: str) -> bool:
        serves = (ServedNamespace(namespace="radio", eui_ranges=ranges),)
        record = authority(ROOT, namespace="stationkeeper", serves=serves)
        judgement = judged(presented(EXPIRED), snapshot([record], [gateway()]))
        assert len(judgement.near_misses) == 1
        return len(judgement.near_misses_within("radio")) == 1

    assert counts()
    assert counts("0100000000000000/8")
    assert not counts("0200000000000000/8")


def test_where_no_gateway_gives_a_scope_every_ca_could_complete_a_path() -> None:
    record = authority(ROOT, intermediates=(DEEP.der,))
    assert not judged(presented(leaf(DEEP)), snapshot([record], [])).is_final
    assert judged(presented(leaf(DEEP)), snapshot([record], [gateway(namespace="elsewhere")])).is_final
