import hashlib
import subprocess
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.trust.revocation import IssuerList, Revocations, twin_fingerprints
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.curves import CURVES_BY_NAME
from stationkeeper_core.x509.pem import parse_certificates, to_pem
from stationkeeper_tools.sample_pki import make_gateway, make_root
from tests.core import odd_certificates as odd
from tests.core.certificates import EUI, NOW, Wish, ca, issue, leaf, name
from tests.core.odd_certificates import oid, sequence, tlv
from tests.core.slow_keys import rsa_key
from tests.examples import examples

ECDSA_WITH_SHA256 = "2a8648ce3d040302"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ROOT = ca("Root")


def _twin(certificate: Certificate, order: int = ORDER) -> Certificate:
    """Return the other certificate with the same content, as its holder can make it."""
    known = x509.load_der_x509_certificate(certificate.der)
    r, s = decode_dss_signature(known.signature)
    algorithm = sequence(oid(ECDSA_WITH_SHA256))
    other = tlv(3, b"\0" + encode_dss_signature(r, order - s))
    return parse_certificate(sequence(known.tbs_certificate_bytes, algorithm, other))


@settings(max_examples=examples(30))
@given(st.integers(1, 2**150), st.integers(0, 4))
def test_a_fingerprint_revokes_the_other_certificate_that_its_holder_can_make_of_it(serial: int, names: int) -> None:
    certificate = issue(Wish(name(EUI, *["x" * 60] * names), serial=serial), ROOT).certificate
    twin = _twin(certificate)

    assert twin.sha256 != certificate.sha256
    assert twin_fingerprints(certificate, ROOT.certificate) == {twin.sha256}
    assert twin_fingerprints(twin, ROOT.certificate) == {certificate.sha256}
    assert Revocations(frozenset(), frozenset({certificate.sha256})).hold_any_of((twin, ROOT.certificate))


def test_openssl_verifies_that_other_certificate(tmp_path: Path) -> None:
    (tmp_path / "anchor").write_text(to_pem(ROOT.der))
    (tmp_path / "twin").write_text(to_pem(_twin(leaf(ROOT).certificate).der))

    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", "anchor", "twin"]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("curve", ["sect283r1", "brainpoolP384r1", "secp521r1"])
def test_a_fingerprint_revokes_that_other_certificate_on_every_curve(tmp_path: Path, curve: str) -> None:
    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)

    new_key = f"-newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes"
    openssl(f"req -x509 {new_key} -keyout root.key -subj /CN=Root -out root.crt")
    openssl(f"req {new_key} -keyout leaf.key -subj /CN={EUI} -out leaf.csr")
    openssl("x509 -req -in leaf.csr -CA root.crt -CAkey root.key -out leaf.crt")
    root, end_entity = (parse_certificates((tmp_path / name).read_text())[0] for name in ("root.crt", "leaf.crt"))
    twin = _twin(end_entity, CURVES_BY_NAME[curve].order)
    (tmp_path / "twin.crt").write_text(to_pem(twin.der))

    openssl("verify -CAfile root.crt twin.crt")
    assert twin_fingerprints(end_entity, root) == {twin.sha256}


def test_an_rsa_signature_of_pkcs_1_has_no_other() -> None:
    root = make_root("Root", NOW)
    anchor, end_entity = (
        parse_certificates(each.certificate_pem.decode())[0] for each in (root, make_gateway(EUI, root, NOW))
    )

    assert twin_fingerprints(end_entity, anchor) == frozenset()
    assert Revocations(frozenset(), frozenset({end_entity.sha256})).hold_any_of((end_entity, anchor))


@pytest.mark.parametrize(
    ("serials", "revoked"), [((), False), (("1F",), True), (("1f",), False), (("2B",), True), (("F",), False)]
)
def test_a_serial_number_revokes_a_certificate_of_the_chain(serials: tuple[str, ...], revoked: bool) -> None:
    issuing = ca("Issuing", ROOT, serial=0x2B)
    chain = (leaf(issuing, serial=0x1F).certificate, issuing.certificate, ROOT.certificate)

    assert Revocations(frozenset(serials), frozenset()).hold_any_of(chain) is revoked


def test_without_a_list_no_crl_refuses_anything() -> None:
    assert Revocations(frozenset(), frozenset()).refusal_of([(leaf(ROOT).certificate, ROOT.certificate)], 0) is None


def test_a_certificate_of_an_issuer_without_a_readable_key_has_no_twin() -> None:
    keyless = parse_certificate(odd.root(key=sequence(sequence(oid("2a03")), tlv(4, b""))).der)

    assert keyless.key is None
    assert twin_fingerprints(leaf(ROOT).certificate, keyless) == frozenset()


@cache
def _signed_with_pss() -> tuple[x509.Certificate, Certificate]:
    """Return a certificate and its issuer's certificate, whose key has 2,048 bits."""
    key = rsa_key(2048)
    found = (
        x509.CertificateBuilder(name("Root"), name(subject), key.public_key(), serial)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256(), rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), 32))
        for serial, subject in ((2, EUI), (1, "Root"))
    )
    end_entity, root = found
    return end_entity, parse_certificate(root.public_bytes(Encoding.DER))


def _with_signature(signature: bytes) -> bytes:
    end_entity, _ = _signed_with_pss()
    outer = end_entity.public_bytes(Encoding.DER)
    content = end_entity.tbs_certificate_bytes
    algorithm = outer[outer.index(content) + len(content) : -len(tlv(3, b"\0" + end_entity.signature))]
    return sequence(content, algorithm, tlv(3, b"\0" + signature))


@pytest.mark.parametrize(
    ("zeros", "rest", "twin_zeros"),
    [
        (0, 256, []),
        (1, 255, [0]),
        (0, 255, [1]),
        (3, 253, [0, 1, 2]),
        (1, 253, [0, 2, 3]),
        (16, 240, list(range(16))),
        (0, 239, list(range(1, 17))),
        (20, 236, list(range(17))),
    ],
)
def test_twins_of_a_pss_signature_have_each_number_of_zeros_that_openssl_may_accept(
    zeros: int, rest: int, twin_zeros: list[int]
) -> None:
    # The letter X first: only zeros may be left out.
    written = b"X" + b"\x01" * (rest - 1)
    certificate = parse_certificate(_with_signature(bytes(zeros) + written))

    twins = {hashlib.sha256(_with_signature(bytes(each) + written)).hexdigest() for each in twin_zeros}
    assert twin_fingerprints(certificate, _signed_with_pss()[1]) == twins


@pytest.mark.parametrize(
    ("listed", "may"),
    [
        (IssuerList(frozenset({1})), True),
        (IssuerList(frozenset({2})), False),
        (IssuerList(frozenset()), False),
        (IssuerList(frozenset({2}), refused_after=0), True),
    ],
)
def test_only_a_list_with_the_serial_number_or_an_end_could_refuse(listed: IssuerList, may: bool) -> None:
    signed = [(leaf(ROOT, serial=1).certificate, ROOT.certificate)]

    def could_refuse(issuer: Certificate) -> bool:
        return Revocations(frozenset(), frozenset(), {issuer.key_sha256 or "": listed}).could_refuse(signed)

    assert could_refuse(ROOT.certificate) is may
    assert not could_refuse(ca("Another").certificate)
