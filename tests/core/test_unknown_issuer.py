"""The quick check refuses only clients that the full judgement refuses because of an unknown CA."""

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.trust.unknown_issuer import MOST_PRESENTED, unknown_issuer
from tests.core.certificates import NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot
from tests.examples import examples

ROOT, OTHER, UNKNOWN = ca("Root"), ca("Other"), ca("Unknown")
NAMESAKE = ca("Root")
ISSUING, CROSS = ca("Issuing", ROOT), issue(Wish(name("Unknown"), ca=True, key=UNKNOWN.key), OTHER)
ITSELF = leaf(UNKNOWN, serial=77)
SIGNERS = (ROOT, OTHER, UNKNOWN, NAMESAKE, ISSUING, CROSS)
LEAVES = (*(leaf(each) for each in SIGNERS), ITSELF, leaf(UNKNOWN, "no EUI"))
STATES: tuple[Snapshot, ...] = (
    snapshot([authority(ROOT), authority(OTHER, "b")], [gateway()]),
    snapshot([authority(ISSUING)], [gateway()]),
    snapshot([authority(ROOT, intermediates=(ISSUING.der,)), release_ca(OTHER, "b")], []),
    snapshot([authority(ITSELF)], [gateway()]),
    snapshot([], [gateway()]),
)
CHAINS = st.tuples(st.sampled_from(LEAVES), st.lists(st.sampled_from(SIGNERS), max_size=3))


@settings(max_examples=examples(300), deadline=None)
@given(CHAINS, st.sampled_from(STATES))
def test_the_full_judgement_refuses_the_same_unknown_clients(
    chain: tuple[Signer, list[Signer]], state: Snapshot
) -> None:
    end_entity, sent = chain
    issuer = unknown_issuer([each.der for each in (end_entity, *sent)], state.trust)

    if issuer is not None:
        judgement = judged(presented(end_entity, *sent), state, NOW)
        assert not judgement.vouched
        assert judgement.handshake_refusal is not None
        assert judgement.handshake_refusal[0] is Reason.UNKNOWN_CA
        assert issuer == judgement.certificate.leaf.issuer


def test_certificates_of_unknown_names_are_those_of_unknown_clients() -> None:
    trust = STATES[0].trust

    assert unknown_issuer([leaf(UNKNOWN).der], trust) == "CN=Unknown"
    assert unknown_issuer([leaf(UNKNOWN).der, UNKNOWN.der], trust) == "CN=Unknown"
    # The name of a known CA needs a judgement, for any signer; so does a certificate that leads to a known CA.
    assert unknown_issuer([leaf(NAMESAKE).der], trust) is None
    assert unknown_issuer([leaf(UNKNOWN).der, CROSS.der], trust) is None
    # A certificate that is itself an anchor needs no issuer.
    assert unknown_issuer([ITSELF.der], STATES[3].trust) is None


def test_slow_or_unreadable_certificates_are_left_to_the_judgement() -> None:
    trust = STATES[0].trust

    long = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 60)] * 4)
    assert unknown_issuer([leaf(issue(Wish(long, ca=True))).der], trust) is None
    assert unknown_issuer([leaf(UNKNOWN).der] * (MOST_PRESENTED + 1), trust) is None
    assert unknown_issuer([], trust) is None
    whole = leaf(UNKNOWN).der
    for size in range(len(whole)):
        assert unknown_issuer([whole[:size]], trust) is None
