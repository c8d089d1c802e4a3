"""Recognise a text or file that is not the expected PEM certificates, CRL or key, and name the command that helps.

Only for the message of a refusal: nothing is decoded, and no part of a private key is repeated.
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
_CERTIFICATE = re.compile(rb"(?:\x30(?:\x81.|\x82..)){2}\xa0\x03\x02\x01", re.DOTALL)
# Other numbers of hyphens, and the dashes that word processors put in their place.
_ALMOST_BEGIN = re.compile(r"^[-\u2010-\u2015\u2212 ]*BEGIN [A-Z0-9 ]{3,40}[-\u2010-\u2015\u2212 ]*$", re.MULTILINE)
_PATH = re.compile(r"(?:file:|~|\.{1,2}/|/)?[\w./ -]{1,250}\.(?:pem|crt|cer|der|key|crl|p7b|p12|pfx|jks)")
_AS_A_BLOCK = "in YAML write the text as a block (`|`)"

_LABELS = {
    "TRUSTED CERTIFICATE": "an OpenSSL TRUSTED CERTIFICATE; convert it: openssl x509 -in FILE -out cert.pem",
    "PKCS7": "PKCS#7; convert it: openssl pkcs7 -print_certs -in FILE -out cert.pem",
    "CMS": "PKCS#7; convert it: openssl pkcs7 -print_certs -in FILE -out cert.pem",
    "CERTIFICATE REQUEST": "a certificate request; give the certificate that the CA issued for it",
    "NEW CERTIFICATE REQUEST": "a certificate request; give the certificate that the CA issued for it",
    "X509 CRL": "a CRL; give it in spec.revocation.crlFrom, and the CA's certificate here",
    "PUBLIC KEY": "a public key alone; give the certificate",
}

_KINDS = {
    "UTF-16": "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > cert.pem",
    "JKS": (
        "a Java key store; export the certificate: keytool -exportcert -rfc -keystore FILE -alias ALIAS -file cert.pem"
    ),
    "PKCS#7": "PKCS#7 in DER; convert it: openssl pkcs7 -inform DER -print_certs -in FILE -out cert.pem",
    "PKCS#12": "PKCS#12; take the certificate out: openssl pkcs12 -in FILE -nokeys -out cert.pem",
}
_KINDS_AS_KEY = {
    "UTF-16": "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > key.pem",
    "PKCS#12": "PKCS#12; take the key out: openssl pkcs12 -in FILE -nocerts -noenc -out key.pem",
    "JKS": (
        "a Java key store; convert it: keytool -importkeystore -srckeystore FILE -destkeystore store.p12"
        " -deststoretype PKCS12, then: openssl pkcs12 -in store.p12 -nocerts -noenc -out key.pem"
    ),
}


def explain_text(text: str) -> str | None:
    """Return what `text` is instead of PEM certificates and what to do; None if that is not known."""
    head = text[:_LOOKED_AT]
    label = next((found for found in _LABEL.findall(head) if found in _LABELS), None)
    return f"it is {_LABELS[label]}" if label is not None else _explain_form(head, "CERTIFICATE")


def explain_bytes(content: bytes) -> str | None:
    """Return what `content` is instead of PEM text or a DER certificate; None if that is not known."""
    kind = _kind_of(content)
    return f"it is {_KINDS[kind]}" if kind is not None else None


def explain_crl(content: bytes) -> str | None:
    """Return what `content` is instead of a CRL and what to do; None if that is not known."""
    kind = _kind_of(content)
    if kind is not None:
        return f"it is {_KINDS[kind]}"
    head = content[:_LOOKED_AT].decode("utf-8", "replace")
    if _begins_as_certificate(content) or any("CERTIFICATE" in label for label in _LABEL.findall(head)):
        return "it is a certificate; give the CRL that the CA publishes"
    return _explain_form(head, "X509 CRL")


def explain_key(content: bytes) -> str | None:
    """Return what `content` is instead of a private key and what to do; None if that is not known."""
    kind = _kind_of(content)
    if kind is not None:
        return f"it is {_KINDS_AS_KEY.get(kind) or _KINDS[kind]}"
    head = content[:_LOOKED_AT].decode("utf-8", "replace")
    labels = _LABEL.findall(head)
    is_certificate = all("CERTIFICATE" in label for label in labels) if labels else _begins_as_certificate(content)
    if is_certificate and "PRIVATE KEY" not in head:
        return "it is a certificate; give the private key that belongs to it"
    if "PUBLIC KEY" in labels:
        return "it is a public key alone; give the private key"
    return _explain_form(head, "PRIVATE KEY") if "ENCRYPTED" not in head else None


def _kind_of(content: bytes) -> str | None:
    if content.startswith(_UTF16) or b"B\0E\0G\0I\0N\0" in content[:_LOOKED_AT]:
        return "UTF-16"
    if content.startswith((_JKS, _JCEKS)):
        return "JKS"
    return _kind_of_der(content) if content[:1] == bytes([_SEQUENCE]) else None


def _kind_of_der(content: bytes) -> str | None:
    if _PKCS7_OID in content[:_SHORTEST_PKCS12] and b"\x02\x01\x03" not in content[:8]:
        return "PKCS#7"
    # PFX ::= SEQUENCE { version INTEGER (3), authSafe ContentInfo … }, RFC 7292, section 4.
    return "PKCS#12" if b"\x02\x01\x03\x30" in content[:8] else None


def _begins_as_certificate(content: bytes) -> bool:
    """Return whether `content` begins with two DER sequences of at least 128 bytes and then a version; no key does."""
    return _CERTIFICATE.match(content) is not None


def _explain_form(text: str, label: str) -> str | None:
    """Return the fault of a text that should be PEM blocks with this label."""
    if "-----BEGIN" in text:
        return _broken_lines(text)
    if _ALMOST_BEGIN.search(text):
        return (
            f"its lines BEGIN and END need five hyphens on each side, -----BEGIN {label}-----; paste the file as it is"
        )
    if text.lstrip()[:15].lower().startswith(("<!doctype", "<html")):
        return "it is a web page; download the file itself"
    if _PATH.fullmatch(text.strip()):
        return "it is the name of a file; give the content of the file"
    return _encoded_twice(text.encode("utf-8", "replace"), label)


def _broken_lines(text: str) -> str | None:
    if "\\n" in text:
        return f"its line breaks are written as \\n; {_AS_A_BLOCK}"
    for line in text.splitlines():
        if "-----END" in line and "-----BEGIN" in line and line.index("-----END") < line.index("-----BEGIN"):
            return "the END of one block and the BEGIN of the next stand on one line; put a line break between"
        begin = _LABEL.search(line)
        if begin is not None and line[begin.end() :].strip():
            return f"its line breaks are lost; {_AS_A_BLOCK}, not folded (>)"
    return None


def _encoded_twice(content: bytes, label: str) -> str | None:
    if not content.strip() or not _BASE64.fullmatch(content):
        return None
    text = b"".join(content.split())
    try:
        inner = base64.b64decode(text[: len(text) // 4 * 4], validate=True)
    except binascii.Error:
        return None
    if b"-----BEGIN" in inner:
        return "it is base64 of PEM text (encoded twice); in `data` encode once, or write it in `stringData` as it is"
    if _kind_of(inner) is not None:
        return f"it is base64 of {_kind_of(inner)}, which is not accepted; decode it, and give certificates in PEM"
    if inner[:1] == bytes([_SEQUENCE]) and len(inner) > _SHORTEST_CERTIFICATE:
        return f"it is base64 without the lines BEGIN {label} and END {label}; add them"
    return None
