"""Additional certificates of a client never get it a better answer."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.x509.client_certificate import MAX_PRESENTED
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import revocation_list
from tests.core.states import authority, gateway, judged, presented, snapshot
from tests.examples import examples

ROOT, OTHER = ca("Root"), ca("Other")
ISSUING = ca("Issuing", ROOT, serial=0x11)
DIRECT, INDIRECT = leaf(ROOT, serial=1), leaf(ISSUING, serial=2)
EXPIRED = leaf(ROOT, ends=NOW - timedelta(days=1))
STRANGER = leaf(ca("Root"))
OWN_KEY = ec.generate_private_key(ec.SECP256R1())

REVOKING = {
    "leaf by the root's CRL": (DIRECT, authority(ROOT, revocation_lists=(revocation_list(ROOT.certificate, 1),))),
    "intermediate by the root's CRL": (
        INDIRECT,
        authority(ROOT, intermediates=(ISSUING.der,), revocation_lists=(revocation_list(ROOT.certificate, 0x11),)),
    ),
    "leaf by the intermediate's CRL": (
        INDIRECT,
        authority(ROOT, intermediates=(ISSUING.der,), revocation_lists=(revocation_list(ISSUING.certificate, 2),)),
    ),
    "leaf by an overdue CRL": (
        DIRECT,
        authority(ROOT, revocation_lists=(revocation_list(ROOT.certificate, next_update=1, refuse_overdue=True),)),
    ),
    "leaf by its serial number": (DIRECT, authority(ROOT, revoked_serials=("1",))),
    "anchor by another anchor's CRL": (
        INDIRECT,
        TrustedAuthority(
            namespace="radio",
            name="ca",
            uid="ca",
            anchors=(ROOT.der, ISSUING.der),
            revocation_lists=(revocation_list(ROOT.certificate, 0x11),),
        ),
    ),
}
REFUSED = {
    **REVOKING,
    "expired": (EXPIRED, authority(ROOT)),
    "of another CA with the root's name": (STRANGER, authority(ROOT)),
}


def _answer(end_entity: Signer, record: TrustedAuthority, *sent: Signer) -> tuple[str, Judgement]:
    state = snapshot([record], [gateway()])
    judgement = judged(presented(end_entity, *sent), state)
    try:
        authorize(Claim(judgement, EUI64(int(EUI, 16))), state)
    except StationkeeperError as error:
        return error.reason, judgement
    return "accepted", judgement


@pytest.mark.parametrize("way", REVOKING)
@pytest.mark.parametrize("named", ["Root", "Issuing"])
def test_a_self_made_certificate_with_a_cas_name_hides_no_revocation(way: str, named: str) -> None:
    end_entity, record = REVOKING[way]
    expected, _ = _answer(end_entity, record)

    assert expected in {Reason.CERTIFICATE_REVOKED, Reason.CRL_EXPIRED}
    for fake in (ca(named), ca(named, ca("Root")), ca(named, ca("Issuing"))):
        assert _answer(end_entity, record, fake)[0] is expected
        assert _answer(end_entity, record, ISSUING, fake)[0] is expected
        assert _answer(end_entity, record, fake, ISSUING, ROOT)[0] is expected


IDENTIFIERS = st.sampled_from(
    [
        (),
        (x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key()),),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.key.public_key()),),
        (
            x509.SubjectKeyIdentifier.from_public_key(ISSUING.key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.key.public_key()),
        ),
    ]
)
NAMES = st.sampled_from(["Root", "Issuing", "Other", EUI])


@st.composite
def self_made(draw: st.DrawFn) -> list[Signer]:
    """Return certificates that the holder of one end-entity certificate can make, and real ones that it may have."""
    made: list[Signer] = []
    for _ in range(draw(st.integers(1, MAX_PRESENTED))):
        key = draw(st.sampled_from([OWN_KEY, DIRECT.key, INDIRECT.key, EXPIRED.key, STRANGER.key]))
        # A signer may have any name; its key is the client's own, or the key of a certificate that the client made
        # before.
        issuer = Signer(name(draw(NAMES)), key, DIRECT.certificate)
        signer = draw(st.sampled_from([None, issuer, *made]))
        # The public key of a CA is public: a certificate of it can be made by anybody, under the client's signature.
        holder = draw(st.sampled_from([OWN_KEY, ROOT.key, ISSUING.key])) if signer is not None else OWN_KEY
        wish = Wish(
            name(draw(NAMES)),
            ca=draw(st.sampled_from([True, True, False, None])),
            key=holder,
            serial=draw(st.integers(1, 20)),
            extensions=draw(IDENTIFIERS),
        )
        signed = issue(wish, signer)
        made.append(Signer(signed.subject, OWN_KEY if holder is not OWN_KEY else holder, signed.certificate))
    real = draw(st.lists(st.sampled_from([ROOT, ISSUING, OTHER, DIRECT]), max_size=2))
    return draw(st.permutations([*made, *real]))


@settings(max_examples=examples(120), deadline=None)
@given(st.sampled_from(sorted(REFUSED)), self_made())
def test_added_certificates_never_lead_to_acceptance_or_a_milder_reason(way: str, sent: list[Signer]) -> None:
    end_entity, record = REFUSED[way]
    expected, alone = _answer(end_entity, record)
    reason, beside = _answer(end_entity, record, *sent)

    assert expected != "accepted"
    assert reason == expected
    assert beside.handshake_refusal == alone.handshake_refusal or beside.near_misses == alone.near_misses
    assert not beside.is_final or beside.paths


@settings(max_examples=examples(60), deadline=None)
@given(self_made())
def test_no_set_of_added_certificates_keeps_a_good_one_out(sent: list[Signer]) -> None:
    record = authority(ROOT, intermediates=(ISSUING.der,), revoked_serials=("FF",))

    assert _answer(DIRECT, record, *sent)[0] == "accepted"
    assert _answer(INDIRECT, record, *sent)[0] == "accepted"


def test_a_self_issued_anchor_is_revoked_by_its_own_list_only_if_it_signed_itself() -> None:
    old, own = ca("Issuing"), ec.generate_private_key(ec.SECP256R1())
    identifiers = (
        x509.SubjectKeyIdentifier.from_public_key(own.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(old.key.public_key()),
    )
    rolled = ca("Issuing", old, key=own, serial=0x10, extensions=identifiers)
    itself = ca("Issuing", serial=0x10)

    for anchor, answer in ((rolled, "accepted"), (itself, Reason.CERTIFICATE_REVOKED)):
        record = authority(anchor, revocation_lists=(revocation_list(anchor.certificate, 0x10),))
        assert _answer(leaf(anchor, serial=5), record)[0] == answer
