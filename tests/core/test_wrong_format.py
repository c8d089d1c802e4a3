import base64
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs7, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.x509.wrong_format import explain_bytes, explain_key, explain_text
from tests.core.certificates import Signer, ca


@pytest.fixture(scope="module")
def signer() -> Signer:
    return ca("root")


@pytest.fixture(scope="module")
def certificate(signer: Signer) -> x509.Certificate:
    return x509.load_der_x509_certificate(signer.der)


@pytest.fixture(scope="module")
def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def test_good_pem_and_der_are_nothing_to_explain(certificate: x509.Certificate, pem: str) -> None:
    assert explain_text(pem + pem) is None
    assert explain_bytes(pem.encode()) is None
    assert explain_bytes(certificate.public_bytes(Encoding.DER)) is None
    assert explain_text("") is None


def test_lost_line_breaks_are_named(pem: str) -> None:
    assert "as a block (`|`)" in (explain_text(pem.replace("\n", "\\n")) or "")
    assert "not folded" in (explain_text(pem.replace("\n", " ")) or "")
    assert "stand on one line" in (explain_text((pem + pem).replace("-----\n-----BEGIN", "----------BEGIN")) or "")


def test_double_encoding_is_named(certificate: x509.Certificate, pem: str) -> None:
    assert "encoded twice" in (explain_text(base64.b64encode(pem.encode()).decode()) or "")
    der = certificate.public_bytes(Encoding.DER)
    assert "without the lines BEGIN" in (explain_text(base64.encodebytes(der).decode()) or "")


def test_bundles_of_other_kinds_are_named_with_the_command(
    signer: Signer, certificate: x509.Certificate, pem: str
) -> None:
    bundle = pkcs7.serialize_certificates([certificate], Encoding.DER)
    assert "openssl pkcs7 -inform DER" in (explain_bytes(bundle) or "")
    text = pkcs7.serialize_certificates([certificate], Encoding.PEM).decode()
    assert "openssl pkcs7 -print_certs" in (explain_text(text) or "")
    store = pkcs12.serialize_key_and_certificates(b"x", signer.key, certificate, None, NoEncryption())
    assert "openssl pkcs12" in (explain_bytes(store) or "")
    assert "keytool" in (explain_bytes(b"\xfe\xed\xfe\xed\0\0\0\2") or "")
    assert "iconv" in (explain_bytes(pem.encode("utf-16")) or "")
    assert "iconv" in (explain_bytes(pem.encode("utf-16-le")) or "")


def test_other_pem_labels_are_named() -> None:
    for label in ("TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", "X509 CRL", "PUBLIC KEY", "CMS"):
        assert (explain_text(f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n") or "").startswith("it is ")


def test_the_commands_work(tmp_path: Path, signer: Signer, certificate: x509.Certificate, pem: str) -> None:
    def output(content: bytes, message: str | None) -> str:
        (tmp_path / "FILE").write_bytes(content)
        assert message is not None
        command = message.partition(": ")[2] + (" -passin pass:" if "pkcs12" in message else "")
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602 - our own text
        return (tmp_path / "cert.pem").read_text()

    bundle = pkcs7.serialize_certificates([certificate], Encoding.DER)
    assert pem in output(bundle, explain_bytes(bundle))
    store = pkcs12.serialize_key_and_certificates(b"x", signer.key, certificate, None, NoEncryption())
    assert pem in output(store, explain_bytes(store))
    wide = pem.encode("utf-16")
    assert pem in output(wide, explain_bytes(wide))


@given(st.binary(max_size=300))
def test_any_bytes_are_explained_or_not(content: bytes) -> None:
    explain_bytes(content)
    explain_text(content.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xfe\xed\xfe\xed\0\0\0\2", "it is a Java key store"),
        ("-----BEGIN PRIVATE KEY-----".encode("utf-16"), "-t UTF-8 FILE > key.pem"),
        (b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "it is a public key alone"),
        (
            b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            "it is a certificate; give the private key",
        ),
        (b"-----BEGIN PRIVATE KEY----- MAA= -----END PRIVATE KEY-----", "its line breaks are lost"),
        (b"BEGIN PRIVATE KEY\nMAA=\nEND PRIVATE KEY\n", "need five hyphens on each side, -----BEGIN PRIVATE KEY-----"),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        (b"/etc/ssl/private/gateway.key", "it is the name of a file"),
        (base64.b64encode(b"-----BEGIN PRIVATE KEY-----\n"), "encoded twice"),
    ],
)
def test_a_wrong_file_in_the_place_of_a_key_is_named(content: bytes, said: str) -> None:
    assert said in (explain_key(content) or "")


def test_a_certificate_in_der_is_not_a_key(signer: Signer) -> None:
    assert "it is a certificate" in (explain_key(signer.der) or "")


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense!", b"ab=cabcd", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", base64.b64encode(b"short")],
)
def test_an_unknown_format_is_not_reported(content: bytes) -> None:
    assert explain_key(content) is None


def test_a_bundle_that_was_encoded_in_base64_is_named(signer: Signer, certificate: x509.Certificate) -> None:
    store = pkcs12.serialize_key_and_certificates(b"x", signer.key, certificate, None, NoEncryption())

    assert "it is base64 of PKCS#12" in (explain_text(base64.b64encode(store).decode()) or "")
