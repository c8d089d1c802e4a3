"""Parse PEM text into X.509 certificates, strictly.

Bounded: any text gives certificates or a `StationkeeperError` that says what is wrong and at which line. Text outside
the blocks (`openssl x509 -text`, comments of CA bundles) is allowed. A block that is not a certificate is refused; the
message names a private key as such.
Source: RFC 7468.
"""

import base64
import re
from typing import NamedTuple

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.usable_certificate import check_usable
from stationkeeper_core.x509.wrong_format import explain_bytes, explain_text

MAX_PEM_BYTES = 256 * 1024
MAX_CERTIFICATES = 100

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 #.]*)-----")
# Two headers of a sequence and an object identifier, or one and an integer; even an incomplete key is recognised.
_HEADER = rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)"
_KEY = re.compile(_HEADER + rb"(?:\x02|" + _HEADER + rb"\x06)", re.DOTALL)
_BYTE_ORDER_MARK = "\ufeff"
_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE"}


class Bundle(NamedTuple):
    """The content of a PEM text.

    Attributes:
        certificates: the usable certificates, in their order, each once.
        refused: the error of each other one; its detail begins with the line.
    """

    certificates: tuple[Certificate, ...]
    refused: tuple[StationkeeperError, ...]


def parse_certificates(
    text: str, reason_for_private_key: Reason = Reason.PRIVATE_KEY_IN_TRUSTED_CA
) -> tuple[Certificate, ...]:
    """Return the certificates of `text` in their order, without duplicates; an empty result if there is no block.

    Raises:
        StationkeeperError: as `parse_bundle`, or the error of a certificate that cannot be used.
    """
    bundle = parse_bundle(text, reason_for_private_key)
    if bundle.refused:
        raise bundle.refused[0]
    return bundle.certificates


def parse_bundle(text: str, reason_for_private_key: Reason = Reason.PRIVATE_KEY_IN_TRUSTED_CA) -> Bundle:
    """Return the certificates of `text`, and the errors of those that cannot be used.

    A block that is cut short, or is not a certificate, is an error in the text: the whole text is refused.

    Raises:
        StationkeeperError: `MalformedPEM`, `TooLarge`, `TooManyCertificates` or `reason_for_private_key`.
    """
    if len(text) > MAX_PEM_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"the PEM text has {len(text)} characters, at most {MAX_PEM_BYTES} are allowed"
        )
    # A key is searched first, and everywhere: it must be reported even if the text around it is broken.
    if "PRIVATE KEY" in text:
        line = text[: text.index("PRIVATE KEY")].count("\n") + 1
        raise StationkeeperError(
            reason_for_private_key, f"there is a private key at line {line}; remove it and replace that key"
        )
    usable: dict[bytes, Certificate] = {}
    refused: list[StationkeeperError] = []
    for line, body in _blocks(text):
        if len(usable) + len(refused) == MAX_CERTIFICATES:
            raise StationkeeperError(
                Reason.TOO_MANY_CERTIFICATES, f"there are more than {MAX_CERTIFICATES} certificates"
            )
        der = _decoded(line, body)
        check_no_key(der, f"the block at line {line}", reason_for_private_key)
        try:
            certificate = parse_der_certificate(der)
        except StationkeeperError as error:
            refused.append(
                StationkeeperError(
                    error.reason, f"the block at line {line}: {explained(error.detail, explain_bytes(der))}"
                )
            )
        else:
            usable.setdefault(certificate.der, certificate)
    return Bundle(tuple(usable.values()), tuple(refused))


def check_no_key(der: bytes, where: str, reason: Reason) -> None:
    """Refuse DER that begins as a key does: PKCS#1, PKCS#8, SEC1, an encrypted or a public one.

    Args:
        der: a block, or a file.
        where: its place, for the message.
        reason: the reason of the refusal.

    Raises:
        StationkeeperError: `reason`; the detail holds no part of the key.
    """
    # PKCS#12 begins like a key too; the message names it.
    if _KEY.match(der) is not None:
        explanation = explain_bytes(der)
        if explanation is not None:
            raise StationkeeperError(Reason.MALFORMED_PEM, f"{where}: {explanation}")
        raise StationkeeperError(reason, f"{where} holds a key, not a certificate; remove it")


def parse_der_certificate(der: bytes) -> Certificate:
    """Parse a DER certificate of a resource, with the same checks as `parse_certificates`.

    Raises:
        StationkeeperError: as `parse_certificate` and `check_usable`.
    """
    certificate = parse_certificate(der)
    check_usable(certificate)
    return certificate


def to_pem(der: bytes) -> str:
    """Return a certificate as a PEM block."""
    body = base64.encodebytes(der).decode("ascii").replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def pem_blocks(text: str) -> list[tuple[int, str, str]]:
    """Return the blocks of `text`: for each its first line number, its label and its base64 text.

    Raises:
        StationkeeperError: `MalformedPEM`: a block has no beginning or end.
    """
    blocks: list[tuple[int, str, str]] = []
    begun: tuple[int, str] | None = None
    body: list[str] = []
    for number, raw in enumerate(text.removeprefix(_BYTE_ORDER_MARK).splitlines(), start=1):
        line = raw.strip()
        begin = _BEGIN.fullmatch(line)
        if begun is None:
            if begin:
                begun, body = (number, begin[1]), []
            elif line.startswith("-----") or "-----BEGIN " in line:
                raise StationkeeperError(Reason.MALFORMED_PEM, f"line {number} is not the beginning of a block")
        elif line == f"-----END {begun[1]}-----":
            blocks.append((*begun, "".join(body)))
            begun = None
        elif line.startswith("-----"):
            raise StationkeeperError(
                Reason.MALFORMED_PEM, f"the block at line {begun[0]} has no end before line {number}"
            )
        else:
            body.append(line)
    if begun is not None:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the block at line {begun[0]} has no end")
    return blocks


def _blocks(text: str) -> list[tuple[int, str]]:
    """Return the line and base64 text of each certificate; an error says what the text is instead."""
    try:
        blocks = pem_blocks(text)
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, explained(error.detail, explain_text(text))) from None
    for line, label, _ in blocks:
        if label not in _CERTIFICATE_LABELS:
            detail = f"the block at line {line} is {label[:40]!a}, not a certificate"
            raise StationkeeperError(Reason.MALFORMED_PEM, explained(detail, explain_text(text)))
    return [(line, body) for line, _, body in blocks]


def explained(detail: str, explanation: str | None) -> str:
    """Return `detail`, followed by `explanation` if there is one."""
    return f"{detail}: {explanation}" if explanation else detail


def _decoded(line: int, body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the block at line {line} is not base64: {error}") from None
