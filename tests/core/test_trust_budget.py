"""The bounded cost of one decision, for any configuration and any presented certificates."""

import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from tests.core import odd_certificates as odd
from tests.core.asked_paths import Asked
from tests.core.certificates import EUI, ca, leaf
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot, trust_document

ROOT = ca("Root")
SLOW = [ec.generate_private_key(ec.SECP521R1()) for _ in range(100)]
SAME_NAME = [ca("Root", key=key) for key in SLOW]
SLOW_ONES = [
    TrustedAuthority(
        namespace="radio", name=f"slow-{number:02}", uid=f"{number}", anchors=tuple(each.der for each in SAME_NAME)
    )
    for number in range(9)
]


def reason_of(judgement: Judgement, state: Snapshot) -> str:
    try:
        authorize(Claim(judgement, EUI64(int(EUI, 16))), state)
    except StationkeeperError as error:
        return error.reason
    return "accepted"


def test_many_slow_anchors_of_one_name_cost_few_signatures_and_give_a_reason(asked: Asked) -> None:
    state = snapshot(SLOW_ONES, [gateway()])
    judgement = judged(presented(leaf(ca("Root", key=ec.generate_private_key(ec.SECP521R1())))), state)

    assert len(asked) <= 10
    assert judgement.budget_spent
    assert judgement.handshake_refusal is not None
    assert judgement.handshake_refusal[0] is Reason.TRUST_BUDGET_SPENT
    assert reason_of(judgement, state) is Reason.TRUST_BUDGET_SPENT


def test_expensive_anchors_take_no_units_from_other_tenants_cas(asked: Asked) -> None:
    state = snapshot(
        [*SLOW_ONES, authority(ROOT, "theirs", "tenant"), release_ca(ROOT, "release")],
        [gateway(), gateway(namespace="tenant", rank=1)],
    )
    judgement = judged(presented(leaf(ROOT)), state)

    assert [each.trusted_ca.reference for each in judgement.paths] == ["stationkeeper/release", "tenant/theirs"]
    assert len(asked) <= 12


def test_key_identifiers_find_the_right_one_among_many(asked: Asked) -> None:
    named = [
        ca("Root", key=key, extensions=(x509.SubjectKeyIdentifier.from_public_key(key.public_key()),)) for key in SLOW
    ]
    record = TrustedAuthority(namespace="radio", name="ca", uid="u", anchors=tuple(each.der for each in named))
    right = x509.AuthorityKeyIdentifier.from_issuer_public_key(SLOW[77].public_key())
    judgement = judged(presented(leaf(named[77], extensions=(right,))), snapshot([record], [gateway()]))

    assert len(judgement.paths) == len(asked) == 1


@pytest.mark.parametrize("named", ["Root", "Issuing"])
def test_forged_issuers_cost_a_few_signatures_by_configured_keys(asked: Asked, named: str) -> None:
    state = snapshot([authority(ROOT)], [gateway()])
    forged = [ca(named, ca("Root")) for _ in range(10)]
    judgement = judged(presented(leaf(ca(named)), *forged), state)

    assert len(asked) <= 1 + 4
    assert reason_of(judgement, state) is Reason.NO_TRUSTED_CA


def test_more_name_constraints_than_can_be_compared_are_refused_by_name(asked: Asked) -> None:
    subtrees = [x509.DNSName(f"{number}.x") for number in range(1200)]
    limited = ca("Limited", extensions=(x509.NameConstraints(None, subtrees),))
    names = x509.SubjectAlternativeName([x509.DNSName(f"{number}.y") for number in range(1200)])
    state = snapshot([authority(limited)], [gateway()])

    few = judged(presented(leaf(limited)), state)
    many = judged(presented(leaf(limited, extensions=(names,))), state)

    assert few.paths
    assert len(asked) == 1
    assert many.handshake_refusal is not None
    assert many.handshake_refusal[0] is Reason.CERTIFICATE_INVALID


def test_revoking_cas_are_asked_first() -> None:
    others = [authority(ROOT, f"ca-{number:04}") for number in range(800)]
    revoking = authority(ROOT, "zz-revoking", revoked_serials=("5",))
    state = snapshot([*others, revoking], [gateway()])

    assert reason_of(judged(presented(leaf(ROOT, serial=5)), state), state) is Reason.CERTIFICATE_REVOKED
    assert reason_of(judged(presented(leaf(ROOT, serial=6)), state), state) == "accepted"


def test_without_the_answer_of_a_revoking_ca_no_other_ca_counts() -> None:
    revoking = [authority(ROOT, f"ca-{number:04}", revoked_serials=("5",)) for number in range(800)]
    state = snapshot(revoking, [gateway()])

    assert reason_of(judged(presented(leaf(ROOT, serial=5)), state), state) is Reason.TRUST_BUDGET_SPENT
    assert reason_of(judged(presented(leaf(ROOT, serial=6)), state), state) is Reason.TRUST_BUDGET_SPENT


def test_a_new_generation_takes_over_the_certificates_that_it_has_in_common() -> None:
    before = TrustGeneration(trust_document(authority(ROOT)), 1, "")
    after = TrustGeneration(trust_document(authority(ROOT), authority(ca("Other"), "other")), 2, "", before)
    alone = TrustGeneration(trust_document(authority(ROOT)), 2, "")

    assert after.certificates.find(ROOT.der) is before.certificates.find(ROOT.der)
    assert alone.certificates.find(ROOT.der) is not before.certificates.find(ROOT.der)


def test_a_near_miss_that_costs_too_much_to_prove_is_not_named() -> None:
    true = SAME_NAME[0]
    end_entity = presented(leaf(true, extensions=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),)))
    alone = authority(true, "z")
    others = [authority(each, f"slow-{number}") for number, each in enumerate(SAME_NAME[1:9])]

    def refusal(*authorities: TrustedAuthority) -> Reason | None:
        found = judged(end_entity, snapshot(authorities, [gateway()])).handshake_refusal
        return found[0] if found else None

    assert refusal(alone) is Reason.CERTIFICATE_WRONG_PURPOSE
    assert refusal(*others, alone) is Reason.UNKNOWN_CA


def test_a_signature_costs_what_openssl_may_need_for_it(tmp_path: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    explicit = ("-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
    openssl(
        "req", "-x509", "-newkey", "ec", *explicit, *("-nodes", "-subj", "/CN=Root", "-keyout", "key", "-out", "crt")
    )
    by_numbers = parse_certificate(ssl.PEM_cert_to_DER_cert((tmp_path / "crt").read_text()))
    # No point of P-256 has this x coordinate.
    compressed = odd.tlv(3, b"\0\x02" + bytes(31) + b"\x07")
    curve = odd.sequence(odd.oid("2a8648ce3d0201"), odd.oid("2a8648ce3d030107"))
    unusable = odd.root(key=odd.sequence(curve, compressed))
    # OpenSSL reads no name whose text is an octet string.
    unreadable = odd.root(key=odd.sequence(curve, compressed), subject=odd.common_name("Root", 4))

    def units(certificate: Certificate) -> int:
        return PathCertificate(certificate).verification_units

    assert units(by_numbers) > units(SAME_NAME[0].certificate) > units(ROOT.certificate) > 0
    assert units(parse_certificate(unusable.der)) == 0
    assert units(parse_certificate(unreadable.der)) == 0
