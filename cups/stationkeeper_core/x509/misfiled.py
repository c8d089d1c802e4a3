"""What a text or file is that should hold PEM certificates and does not, and the command that mends it.

Only for the message of a refusal: nothing is decoded, and nothing of a private key is repeated.
"""

import base64
import binascii
import re

_PKCS7_OID = bytes.fromhex("06092a864886f70d0107")
_JKS, _JCEKS = b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SEQUENCE = 0x30
_SHORTEST_PKCS12 = 32
_LOOKED_AT = 64 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]+")
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----")
_SHORTEST_CERTIFICATE = 76

_LABELS = {
    "TRUSTED CERTIFICATE": "an OpenSSL TRUSTED CERTIFICATE; convert it: openssl x509 -in FILE -out cert.pem",
    "PKCS7": "PKCS#7; convert it: openssl pkcs7 -print_certs -in FILE -out cert.pem",
    "CMS": "PKCS#7; convert it: openssl pkcs7 -print_certs -in FILE -out cert.pem",
    "CERTIFICATE REQUEST": "a certificate request; give the certificate that the CA issued for it",
    "NEW CERTIFICATE REQUEST": "a certificate request; give the certificate that the CA issued for it",
    "X509 CRL": "a CRL; give it in spec.revocation.crlFrom, and the CA's certificate here",
    "PUBLIC KEY": "a public key alone; give the certificate",
}


def explain_text(text: str) -> str | None:
    """Return what `text` is instead of PEM certificates and what to do; None where that cannot be told."""
    head = text[:_LOOKED_AT]
    label = next((found for found in _LABEL.findall(head) if found in _LABELS), None)
    if label is not None:
        return f"it is {_LABELS[label]}"
    if "-----BEGIN" in head:
        return _broken_lines(head)
    return _encoded_twice(head.encode("utf-8", "replace"))


def explain_bytes(content: bytes) -> str | None:
    """Return what `content` is instead of PEM text or a DER certificate; None where that cannot be told."""
    if content.startswith(_UTF16) or b"B\0E\0G\0I\0N\0" in content[:_LOOKED_AT]:
        return "it is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > cert.pem"
    if content.startswith((_JKS, _JCEKS)):
        return (
            "it is a Java key store; export the certificate:"
            " keytool -exportcert -rfc -keystore FILE -alias ALIAS -file cert.pem"
        )
    if content[:1] == bytes([_SEQUENCE]):
        return _explain_der(content)
    return None


def _explain_der(content: bytes) -> str | None:
    if _PKCS7_OID in content[:_SHORTEST_PKCS12] and b"\x02\x01\x03" not in content[:8]:
        return "it is PKCS#7 in DER; convert it: openssl pkcs7 -inform DER -print_certs -in FILE -out cert.pem"
    # PFX ::= SEQUENCE { version INTEGER (3), authSafe ContentInfo … }, RFC 7292, section 4.
    if b"\x02\x01\x03\x30" in content[:8]:
        return "it is PKCS#12; take the certificate out: openssl pkcs12 -in FILE -nokeys -out cert.pem"
    return None


def _broken_lines(text: str) -> str | None:
    if "\\n" in text:
        return "its line breaks are written as \\n; in YAML write the text as a block (certificates: |)"
    for line in text.splitlines():
        if "-----END" in line and "-----BEGIN" in line and line.index("-----END") < line.index("-----BEGIN"):
            return "the END of one certificate and the BEGIN of the next stand on one line; put a line break between"
        begin = _LABEL.search(line)
        if begin is not None and line[begin.end() :].strip():
            return "its line breaks are lost; in YAML write the text as a block (certificates: |), not folded (>)"
    return None


def _encoded_twice(content: bytes) -> str | None:
    if not content.strip() or not _BASE64.fullmatch(content):
        return None
    try:
        inner = base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return None
    if b"-----BEGIN" in inner:
        return "it is base64 of PEM text (encoded twice); in `data` encode once, or write it in `stringData` as it is"
    if inner[:1] == bytes([_SEQUENCE]) and len(inner) > _SHORTEST_CERTIFICATE:
        return "it is base64 without the lines BEGIN CERTIFICATE and END CERTIFICATE; add them"
    return None
