import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import TrustPath
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.trust.path_search import MAX_PATH_CERTIFICATES
from stationkeeper_core.trust.scope import Scope
from stationkeeper_core.x509.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_core.x509.openssl import load
from stationkeeper_core.x509.pem import parse_certificates, to_pem
from stationkeeper_tools.sample_pki import make_gateway, make_root
from tests.core.certificates import EUI, MAY_SIGN, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, judged, presented, snapshot, trust_document

NAMESPACES = ("radio", "n")
ROOT = ca("Root")
ISSUING = ca("Issuing", ROOT)
DEEP = ca("Deep", ISSUING)
OTHER = ca("Other")
SAME_NAME = ca("Root")
SAME_KEY = ca("Root under another name", key=ROOT.key)
CROSS = issue(Wish(name("Issuing"), ca=True, key=ISSUING.key), OTHER)
EXPIRED_ROOT = ca("Expired", begins=NOW - timedelta(days=20), ends=NOW - timedelta(days=1))
NOT_A_CA = issue(Wish(name("Not a CA"), ca=False), ROOT)


def _trust(*authorities: TrustedAuthority) -> TrustGeneration:
    return TrustGeneration(trust_document(*authorities), 1, "")


def _vouchers(trust: TrustGeneration, end_entity: Signer, *others: Signer, now: datetime = NOW) -> list[str]:
    return sorted(each.trusted_ca.record.name for each in _paths(trust, presented(end_entity, *others), now))


def _paths(trust: TrustGeneration, certificate: ClientCertificate, now: datetime = NOW) -> tuple[TrustPath, ...]:
    return judge(certificate, trust, Scope(certificate.eui_or_none, NAMESPACES), now).paths


def _typed(common_name: str, kind: _ASN1Type) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _type=kind)])


def _identifiers(key: ec.EllipticCurvePrivateKey) -> tuple[x509.ExtensionType, x509.ExtensionType]:
    """Return the identifiers in a certificate: of its own key, and of its issuer's."""
    public = key.public_key()
    return x509.SubjectKeyIdentifier.from_public_key(public), x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def _openssl_verifies(
    folder: Path, anchor: Signer, helpers: Sequence[Signer], end_entity: Signer, now: datetime
) -> bool:
    def write(file: str, *certificates: Signer) -> Path:
        path = folder / file
        path.write_text("".join(to_pem(each.der) for each in certificates))
        return path

    command: list[str | Path] = [
        *("openssl", "verify", "-partial_chain", "-no-CApath", "-no-CAstore"),
        *("-attime", str(int(now.timestamp()))),
        *("-CAfile", write("anchor", anchor)),
    ]
    if helpers:
        command += ["-untrusted", write("untrusted", *helpers)]
    return subprocess.run([*command, write("leaf", end_entity)], capture_output=True, check=False).returncode == 0


def _openssl_links(end_entity: Signer, root: Signer) -> bool:
    """Return whether OpenSSL finds the chain by itself and accepts it."""
    store = crypto.X509Store()
    store.set_time(NOW)
    try:
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, root.der))
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, end_entity.der)
        crypto.X509StoreContext(store, certificate).verify_certificate()
    except (crypto.Error, crypto.X509StoreContextError):
        return False
    return True


@pytest.mark.parametrize(
    ("anchor", "configured", "end_entity", "sent", "now", "vouches"),
    [
        (ROOT, (), leaf(ROOT), (), NOW, True),
        (ISSUING, (), leaf(ISSUING), (), NOW, True),
        (ISSUING, (), leaf(ROOT), (), NOW, False),
        (ROOT, (), leaf(ISSUING), (), NOW, False),
        (ROOT, (ISSUING,), leaf(ISSUING), (), NOW, True),
        (ROOT, (), leaf(ISSUING), (ISSUING,), NOW, True),
        (ROOT, (ISSUING,), leaf(DEEP), (DEEP,), NOW, True),
        (ROOT, (ISSUING, DEEP), leaf(DEEP), (), NOW, True),
        (ROOT, (DEEP,), leaf(DEEP), (), NOW, False),
        (OTHER, (), leaf(ROOT), (), NOW, False),
        (OTHER, (), leaf(ROOT), (ROOT,), NOW, False),
        (OTHER, (ROOT,), leaf(ROOT), (), NOW, False),
        (OTHER, (CROSS,), leaf(ISSUING), (), NOW, True),
        (SAME_NAME, (), leaf(ROOT), (), NOW, False),
        (SAME_KEY, (), leaf(ROOT), (), NOW, False),
        (NOT_A_CA, (), leaf(NOT_A_CA), (), NOW, False),
        (ROOT, (), leaf(NOT_A_CA), (NOT_A_CA,), NOW, False),
        (EXPIRED_ROOT, (), leaf(EXPIRED_ROOT), (), NOW, False),
        (ROOT, (), leaf(ROOT), (), NOW + timedelta(days=11), False),
        (ROOT, (), leaf(ROOT), (), NOW - timedelta(days=11), False),
        (ROOT, (), leaf(ROOT, ends=NOW - timedelta(days=1)), (), NOW, False),
        (ROOT, (), leaf(ROOT, begins=NOW + timedelta(days=1)), (), NOW, False),
    ],
)
def test_a_ca_vouches_for_what_chains_to_its_anchors_and_openssl_agrees(
    tmp_path: Path,
    anchor: Signer,
    configured: tuple[Signer, ...],
    end_entity: Signer,
    sent: tuple[Signer, ...],
    now: datetime,
    vouches: bool,
) -> None:
    trust = _trust(authority(anchor, intermediates=tuple(each.der for each in configured)))

    assert bool(_vouchers(trust, end_entity, *sent, now=now)) is vouches
    assert _openssl_verifies(tmp_path, anchor, (*configured, *sent), end_entity, now) is vouches


def test_a_certificate_is_valid_from_the_very_second_of_its_issue_to_that_of_its_end() -> None:
    begins, ends = NOW, NOW + timedelta(seconds=10)
    end_entity, trust = leaf(ROOT, begins=begins, ends=ends), _trust(authority(ROOT))

    offsets = (-1.0, 0.0, 0.9, 10.0, 11.0, 5.0)
    found = [bool(_vouchers(trust, end_entity, now=begins + timedelta(seconds=each))) for each in offsets]
    assert found == [False, True, True, True, False, True]


def test_a_version_1_certificate_is_vouched_for() -> None:
    now = datetime.now(UTC)
    root = make_root("Root", now)
    anchor, end_entity = (
        parse_certificates(each.certificate_pem.decode())[0] for each in (root, make_gateway(EUI, root, now))
    )
    record = TrustedAuthority(namespace="n", name="v1", uid="u", anchors=(anchor.der,))

    assert _paths(_trust(record), read_client_certificate((end_entity.der,)), now + timedelta(minutes=1))


def test_the_zone_of_the_time_does_not_matter() -> None:
    end_entity = leaf(ROOT, begins=NOW - timedelta(hours=1), ends=NOW + timedelta(hours=1))

    for hours in (-12, 0, 12):
        assert _vouchers(_trust(authority(ROOT)), end_entity, now=NOW.astimezone(timezone(timedelta(hours=hours))))


def test_a_ca_whose_key_was_replaced_under_the_same_name_vouches_for_the_certificates_of_both_keys() -> None:
    old, new = ca("Issuing", ROOT), ca("Issuing", ROOT)
    roots = ca("Root"), ca("Root"), ca("Root")
    same_roots = TrustedAuthority(namespace="n", name="roots", uid="u", anchors=tuple(each.der for each in roots))

    for issuing in (old, new):
        assert _vouchers(_trust(authority(ROOT, intermediates=(old.der, new.der))), leaf(issuing)) == ["ca"]
        assert _vouchers(_trust(authority(ROOT, intermediates=(old.der,))), leaf(issuing), new) == ["ca"]
        assert _vouchers(_trust(authority(ROOT)), leaf(issuing), old, new) == ["ca"]
        assert _vouchers(_trust(authority(old, intermediates=(new.der,)), authority(ROOT, "r")), leaf(issuing), new)
    for root in roots:
        assert _vouchers(_trust(same_roots), leaf(root)) == ["roots"]
    assert _vouchers(_trust(same_roots), leaf(ca("Root"))) == []


def test_a_new_key_that_the_old_one_signed_is_vouched_for_by_the_old_anchor() -> None:
    old_key, new_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (old_id, of_the_old), (new_id, of_the_new) = _identifiers(old_key), _identifiers(new_key)
    old = ca("Root", key=old_key, extensions=(old_id,))
    new = ca("Root", old, key=new_key, extensions=(new_id, of_the_old))
    end_entity = leaf(new, extensions=(of_the_new,))

    assert _vouchers(_trust(authority(old)), end_entity, new) == ["ca"]
    assert _vouchers(_trust(authority(old, intermediates=(new.der,))), end_entity) == ["ca"]


def test_a_certificate_that_may_sign_but_is_no_ca_issues_nothing() -> None:
    clever = issue(Wish(name("0000000000000001"), extensions=(MAY_SIGN,)), ROOT)

    assert _vouchers(_trust(authority(ROOT)), leaf(clever), clever) == []


def test_the_search_ends_with_as_many_chains_as_names_allow() -> None:
    layers = [[ca(f"Layer {depth}", ca(f"Layer {depth + 1}")) for _ in range(10)] for depth in range(9)]
    record = authority(ca("Layer 9"), intermediates=tuple(each.der for layer in layers for each in layer))

    assert _vouchers(_trust(record), leaf(layers[0][0]), *(layer[0] for layer in layers)) == []


def test_each_ca_is_judged_by_itself() -> None:
    trust = _trust(
        authority(ROOT, "root"),
        authority(ISSUING, "issuing"),
        authority(OTHER, "other"),
        authority(SAME_NAME, "same-name"),
        authority(SAME_KEY, "same-key"),
    )

    assert _vouchers(trust, leaf(ROOT)) == ["root"]
    assert _vouchers(trust, leaf(ISSUING)) == ["issuing"]
    assert _vouchers(trust, leaf(ISSUING), ISSUING) == ["issuing", "root"]
    assert _vouchers(trust, leaf(ISSUING), CROSS) == ["issuing", "other"]


def test_the_intermediates_of_one_ca_help_no_other() -> None:
    trust = _trust(authority(ROOT, "a"), authority(OTHER, "b", intermediates=(ISSUING.der,)))

    assert _vouchers(trust, leaf(ISSUING)) == []


def test_the_same_ca_under_two_resources_vouches_for_both() -> None:
    assert _vouchers(_trust(authority(ROOT, "a"), authority(ROOT, "b")), leaf(ROOT)) == ["a", "b"]


@pytest.mark.parametrize(
    ("subject", "issuer"),
    [
        (_typed("Root", _ASN1Type.UTF8String), _typed("Root", _ASN1Type.PrintableString)),
        (_typed("Root", _ASN1Type.PrintableString), _typed("Root", _ASN1Type.UTF8String)),
        (_typed("Root", _ASN1Type.BMPString), _typed("Root", _ASN1Type.T61String)),
        (name("Root"), name("ROOT")),
        (name("The Root"), name("The  Root")),
        (name("Root"), name(" Root")),
        (name("Root "), name("Root")),
        (name("Root, Inc."), name("  Root, Inc. ")),
        (name("#1"), name(" #1")),
    ],
)
def test_names_that_differ_only_in_encoding_case_or_white_space_are_equal_as_for_openssl(
    tmp_path: Path, subject: x509.Name, issuer: x509.Name
) -> None:
    root = issue(Wish(subject, ca=True))
    end_entity = leaf(Signer(issuer, root.key, root.certificate))

    assert issuer.public_bytes() != subject.public_bytes()
    assert _openssl_verifies(tmp_path, root, (), end_entity, NOW)
    assert _vouchers(_trust(authority(root)), end_entity) == ["ca"]


ATTRIBUTES = st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.EMAIL_ADDRESS])
LETTERS = st.text(st.sampled_from('aB1 \t,+\\#="\u00fc\0'), min_size=1, max_size=6)
PARTS = st.lists(st.dictionaries(ATTRIBUTES, LETTERS, min_size=1, max_size=3), min_size=1, max_size=3)
STRINGS = st.sampled_from([_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString])
SPACES = st.sampled_from(["", " ", "  ", "\t" * 9])


@pytest.mark.slow
@settings(max_examples=300)
@given(PARTS, st.data())
def test_names_that_are_equal_for_openssl_are_equal_here(
    parts: list[dict[x509.ObjectIdentifier, str]], data: st.DataObject
) -> None:
    def varied(value: str) -> str:
        recased = data.draw(st.sampled_from([value, value.upper(), value.lower()]))
        inner = data.draw(st.sampled_from([" ", "  "]))
        return data.draw(SPACES) + recased.replace(" ", inner) + data.draw(SPACES)

    def written(values: dict[x509.ObjectIdentifier, str]) -> x509.RelativeDistinguishedName:
        return x509.RelativeDistinguishedName(
            x509.NameAttribute(oid, value, _type=data.draw(STRINGS), _validate=False) for oid, value in values.items()
        )

    root = issue(Wish(x509.Name([written(part) for part in parts]), ca=True))
    issuer = x509.Name([written({oid: varied(value) for oid, value in part.items()}) for part in parts])
    end_entity = leaf(Signer(issuer, root.key, root.certificate))

    if _openssl_links(end_entity, root):
        assert end_entity.certificate.folded_issuer == root.certificate.folded_subject
        assert _vouchers(_trust(authority(root)), end_entity) == ["ca"]


def test_a_gateways_own_certificate_as_an_anchor_vouches_for_no_other() -> None:
    self_signed = issue(Wish(name(EUI)))

    assert _vouchers(_trust(authority(self_signed)), self_signed) == ["ca"]
    assert _vouchers(_trust(authority(self_signed)), leaf(self_signed)) == []
    assert _vouchers(_trust(authority(self_signed)), leaf(self_signed), self_signed) == []
    assert _vouchers(_trust(authority(leaf(ROOT))), leaf(ROOT)) == []


@pytest.mark.parametrize(
    ("serials", "fingerprints", "revoked"),
    [
        (("1F",), (), True),
        ((), ("leaf",), True),
        (("AB",), (), True),
        ((), ("issuing",), True),
        (("1E",), ("root-of-another",), False),
    ],
)
def test_a_certificate_is_revoked_by_its_own_or_its_chains_serial_or_fingerprint(
    serials: tuple[str, ...], fingerprints: tuple[str, ...], revoked: bool
) -> None:
    issuing = issue(Wish(name("Revocable"), ca=True, serial=0xAB), ROOT)
    end_entity = leaf(issuing, serial=0x1F)
    known = {"leaf": end_entity.certificate.sha256, "issuing": issuing.certificate.sha256}
    record = authority(
        ROOT,
        intermediates=(issuing.der,),
        revoked_serials=serials,
        revoked_sha256=tuple(known.get(each, "0" * 64) for each in fingerprints),
    )

    (path,) = _paths(_trust(record), presented(end_entity))

    assert (path.revocation is Reason.CERTIFICATE_REVOKED) is revoked
    assert [each.der for each in path.certificates] == [end_entity.der, issuing.der, ROOT.der]


@pytest.mark.parametrize(
    ("purpose", "vouching"),
    [(ExtendedKeyUsageOID.CLIENT_AUTH, ["vendor"]), (ExtendedKeyUsageOID.SERVER_AUTH, [])],
)
def test_a_ca_that_issues_for_servers_only_vouches_for_no_client(
    purpose: x509.ObjectIdentifier, vouching: list[str]
) -> None:
    limited = ca("Limited", ROOT, extensions=(x509.ExtendedKeyUsage([purpose]),))
    as_intermediate = _trust(authority(ROOT, intermediates=(limited.der,), name="vendor"))
    as_anchor = _trust(authority(limited, name="vendor"))

    assert _vouchers(as_intermediate, leaf(limited)) == vouching
    assert _vouchers(as_anchor, leaf(limited)) == vouching


def test_the_first_of_two_valid_paths_decides_unless_one_is_revoked() -> None:
    renewed = issue(Wish(name("Root"), ca=True, key=ROOT.key, ends=NOW + timedelta(days=20)))
    anchors = (ROOT.der, renewed.der)
    state = [
        snapshot([msgspec.structs.replace(authority(ROOT), anchors=anchors, revoked_sha256=(listed,))], [gateway()])
        for listed in ("0" * 64, ROOT.certificate.sha256, renewed.certificate.sha256)
    ]

    (neither,), (first,), (second,) = (judged(presented(leaf(ROOT)), each).paths for each in state)

    assert neither.revocation is None
    assert {each.revocation for each in (first, second)} == {Reason.CERTIFICATE_REVOKED}
    assert first.certificates[-1].der == ROOT.der
    assert second.certificates[-1].der == renewed.der


@pytest.mark.parametrize(
    ("certificates", "vouches"), [(MAX_PATH_CERTIFICATES, True), (MAX_PATH_CERTIFICATES + 1, False)]
)
def test_a_chain_is_followed_up_to_a_bound(certificates: int, vouches: bool) -> None:
    chain = [ROOT]
    while len(chain) < certificates - 1:
        chain.append(ca(f"Issuing {len(chain)}", chain[-1]))
    trust = _trust(authority(ROOT, intermediates=tuple(each.der for each in chain[1:])))

    assert bool(_vouchers(trust, leaf(chain[-1]))) is vouches


def test_a_certificate_that_openssl_cannot_read_is_malformed() -> None:
    octets = LEAF_OF_ROOT.der.replace(b"\x0c\x04Root", b"\x04\x04Root")
    certificate = read_client_certificate((octets,))

    with pytest.raises(StationkeeperError, match="OpenSSL cannot read") as refused:
        judged(certificate, snapshot([authority(ROOT)], [gateway()]))
    assert refused.value.reason is Reason.MALFORMED_CERTIFICATE


LEAF_OF_ROOT = leaf(ROOT)


def test_a_signature_that_one_path_proved_to_be_wrong_is_not_checked_in_another() -> None:
    fake, cross = ca("Issuing", ROOT), issue(Wish(name("Root"), ca=True, key=ROOT.key), OTHER)
    renewed_other = issue(Wish(name("Root"), ca=True, key=SAME_NAME.key))
    trust = _trust(authority(ROOT, intermediates=(fake.der, cross.der)))
    twins = _trust(msgspec.structs.replace(authority(SAME_NAME), anchors=(SAME_NAME.der, renewed_other.der)))

    assert _vouchers(trust, leaf(fake)) == ["ca"]
    assert _vouchers(trust, leaf(ISSUING)) == []
    assert _vouchers(twins, leaf(SAME_NAME)) == ["ca"]
    assert _vouchers(twins, leaf(ROOT)) == []


def test_a_certificate_that_openssl_has_loaded_already_is_judged_the_same() -> None:
    trust, end_entity = _trust(authority(ROOT)), leaf(ROOT)
    scope = Scope(EUI64(int(EUI, 16)), NAMESPACES)

    loaded = judge(presented(end_entity), trust, scope, NOW, load(end_entity.der))
    parsed = judge(presented(end_entity), trust, scope, NOW)

    assert loaded.paths
    assert [each.certificates for each in loaded.paths] == [each.certificates for each in parsed.paths]
