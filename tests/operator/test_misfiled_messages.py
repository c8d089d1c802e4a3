"""The message of `Accepted` on a wrong text or file says the cause, and what to do."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs7, pkcs12

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST
from tests.core.private_keys import fixed, written
from tests.operator.resource_building import EUI, PRIVATE_KEY, der, make_ca, make_gateway, make_pem, plan_of, verdict_on
from tests.operator.resource_building import make_secret as secret_of
from tests.operator.test_endpoint_compiler import (
    CLIENT,
    LNS,
    client_certificate,
    compiled,
    pem,
    tls_secret,
)

ROOT = make_pem("root")
CERTIFICATE = x509.load_pem_x509_certificate(ROOT.encode())
PKCS7 = pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER)
PKCS7_TEXT = pkcs7.serialize_certificates([CERTIFICATE], Encoding.PEM).decode()
PKCS12 = pkcs12.serialize_key_and_certificates(b"x", None, None, [CERTIFICATE], NoEncryption())
PKCS12_WITH_KEY = pkcs12.serialize_key_and_certificates(
    b"x", fixed("P-256"), client_certificate(fixed("P-256")), None, NoEncryption()
)
JKS = b"\xfe\xed\xfe\xed\0\0\0\2" + bytes(200)
FROM = {"secretKeyRef": {"name": "lns-token", "key": "ca"}}
SECRET_TEXT = "".join(PRIVATE_KEY.splitlines()[1:-1])[:40]

TEXTS = [
    ((ROOT + make_pem("other")).replace("-----\n-----BEGIN", "----------BEGIN"), "put a line break between"),
    (ROOT.replace("\n", "\\n"), "line breaks are written as \\n"),
    (ROOT.replace("\n", " "), "not folded (>)"),
    (ROOT.replace("\n", ""), "not folded (>)"),
    (PKCS7_TEXT, "openssl pkcs7 -print_certs"),
    (ROOT.replace("CERTIFICATE", "PKCS7"), "openssl pkcs7 -print_certs"),
    (PKCS7_TEXT.replace("PKCS7", "CERTIFICATE"), "openssl pkcs7 -inform DER"),
    (ROOT.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "openssl x509 -in FILE -out cert.pem"),
    (ROOT.replace("CERTIFICATE", "CERTIFICATE REQUEST"), "a certificate request"),
    (base64.b64encode(ROOT.encode()).decode(), "encoded twice"),
    (base64.encodebytes(der(ROOT)).decode(), "add them"),
    (ROOT.replace("-----", "----"), "five hyphens"),
    (ROOT.replace("-----", "\u2014\u2014"), "five hyphens"),
    ("/etc/ssl/certs/root.pem", "the name of a file"),
    ("<!DOCTYPE html><html>", "web page"),
]
FILES = [
    (PKCS7, "openssl pkcs7 -inform DER"),
    (PKCS12, "openssl pkcs12 -in FILE -nokeys"),
    (PKCS12_WITH_KEY, "openssl pkcs12 -in FILE -nokeys"),
    (JKS, "keytool -exportcert"),
    (ROOT.encode("utf-16"), "iconv -f UTF-16"),
    (ROOT.encode("utf-16-le"), "iconv -f UTF-16"),
    *((text.encode(), message) for text, message in TEXTS),
]


def said(spec: dict[str, Any], content: bytes | None = None) -> tuple[str, str]:
    """Return the reason and the message for a TrustedCA; check that nothing of it is published."""
    resource = make_ca(spec)
    referenced = None if content is None else secret_of({"ca": base64.b64encode(content).decode()}, label="trust")
    plan = plan_of(resource, referenced=referenced)
    verdict = verdict_on(resource, plan)
    assert not verdict.accepted
    assert plan.documents[TRUST].authorities == ()  # type: ignore[union-attr]
    return verdict.reason, verdict.message


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_a_certificate_in_a_wrong_form_is_named_with_its_cure(text: str, message: str) -> None:
    assert message in said({"certificates": text})[1]
    assert message in said({"certificates": ROOT, "intermediates": text})[1]
    verdict = compiled({"lns": {**LNS, "trust": text}}, {})[1]
    assert not verdict.accepted
    assert message in verdict.message


@pytest.mark.parametrize(("content", "message"), FILES)
def test_a_referenced_file_in_a_wrong_form_is_named_too(content: bytes, message: str) -> None:
    assert message in said({"certificatesFrom": FROM}, content)[1]
    referenced = secret_of({"ca": base64.b64encode(content).decode()}, label="trust")
    lns = {"uri": LNS["uri"], "trustFrom": FROM}
    verdict = compiled({"lns": lns}, referenced)[1]
    assert not verdict.accepted
    assert message in verdict.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROOT.encode(), "give the CRL that the CA publishes"),
        (der(ROOT), "give the CRL that the CA publishes"),
        (ROOT.replace("CERTIFICATE", "X509 CRL").replace("\n", "\\n").encode(), "line breaks are written as \\n"),
        (ROOT.replace("CERTIFICATE", "X509 CRL").encode("utf-16"), "iconv"),
        (base64.b64encode(ROOT.replace("CERTIFICATE", "X509 CRL").encode()), "encoded twice"),
    ],
)
def test_a_text_that_is_not_a_crl_is_named_too(content: bytes, message: str) -> None:
    resource = make_ca({"certificates": ROOT, "revocation": {"crlFrom": FROM}})
    referenced = secret_of({"ca": base64.b64encode(content).decode()}, label="trust")
    verdict = verdict_on(resource, plan_of(resource, referenced=referenced))
    assert verdict.reason == Reason.MALFORMED_CRL
    assert message in verdict.message


def test_certificates_from_takes_der_as_the_others_do() -> None:
    resource = make_ca({"certificatesFrom": FROM})
    referenced = secret_of({"ca": base64.b64encode(der(ROOT)).decode()}, label="trust")
    plan = plan_of(resource, referenced=referenced)
    assert verdict_on(resource, plan).accepted
    assert plan.documents[TRUST].authorities[0].anchors == (der(ROOT),)  # type: ignore[union-attr]


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_private_key_is_refused_in_every_form_and_never_repeated(encoding: Encoding) -> None:
    key = written(fixed("P-256")) if encoding is Encoding.PEM else base64.b64decode(_body(PRIVATE_KEY))
    reason, message = said({"certificatesFrom": FROM}, key)
    assert reason == Reason.PRIVATE_KEY_IN_TRUSTED_CA
    assert SECRET_TEXT not in message
    twice = base64.b64encode((ROOT + PRIVATE_KEY).encode())
    assert SECRET_TEXT not in said({"certificatesFrom": FROM}, twice)[1]
    for text in (ROOT + PRIVATE_KEY, (ROOT + PRIVATE_KEY).replace("\n", " "), PKCS7_TEXT + PRIVATE_KEY):
        reason, message = said({"certificates": text})
        assert reason == Reason.PRIVATE_KEY_IN_TRUSTED_CA
        assert SECRET_TEXT not in message


KEY = written(fixed("P-256"))
CRT = pem(client_certificate(fixed("P-256")))


@pytest.mark.parametrize(
    ("crt", "key", "message"),
    [
        (KEY, CRT, "swap tls.crt and tls.key"),
        (KEY, KEY, "keep it only in tls.key"),
        (CRT + KEY, KEY, "keep it only in tls.key"),
        (CRT, CRT, "it is a certificate; give the private key"),
        (CRT, CRT + CRT, "it is a certificate; give the private key"),
        (CRT, client_certificate(fixed("P-256")).public_bytes(Encoding.DER), "it is a certificate"),
        (CRT, CRT + KEY, "a certificate beside it"),
        (CRT, PKCS12_WITH_KEY, "openssl pkcs12 -in FILE -nocerts -noenc"),
        (CRT, JKS, "keytool"),
        (CRT, KEY.decode().encode("utf-16"), "iconv -f UTF-16 -t UTF-8 FILE > key.pem"),
        (CRT, base64.b64encode(KEY), "encoded twice"),
        (CRT, KEY.replace(b"\n", b"\\n"), "line breaks are written as \\n"),
    ],
)
def test_a_key_and_a_certificate_in_each_others_place_are_reported(crt: bytes, key: bytes, message: str) -> None:
    verdict = compiled({"lns": {**LNS, "auth": CLIENT}}, tls_secret(tls_crt=crt, tls_key=key))[1]
    assert not verdict.accepted
    assert message in verdict.message
    assert all(part.decode() not in verdict.message for part in KEY.split(b"\n")[1:-2])


def test_an_underscore_in_a_host_name_is_reported() -> None:
    gateway = make_gateway({"eui": EUI, "lns": {**LNS, "uri": "wss://lns_eu.example.com:8887"}})
    verdict = verdict_on(gateway, plan_of(gateway))
    assert verdict.reason == Reason.URI_INVALID
    assert "underscore" in verdict.message


def _body(text: str) -> str:
    return "".join(line for line in text.splitlines() if "-----" not in line)
