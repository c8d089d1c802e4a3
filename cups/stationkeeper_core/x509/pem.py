"""PEM text to X.509 certificates, strictly.

Total and bounded: any text gives certificates or a `StationkeeperError` that says what is wrong and at which line. Text
outside the blocks (`openssl x509 -text`, comments of CA bundles) is allowed; any block that is not a certificate is
not, and a private key is named as such.
Source: RFC 7468.
"""

import base64
import re
from typing import NamedTuple

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.misfiled import explain_bytes, explain_text
from stationkeeper_core.x509.usable import check_usable

MAX_PEM_BYTES = 256 * 1024
MAX_CERTIFICATES = 100

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 #.]*)-----")
# Two headers of a sequence and an object identifier, or one and an integer; it need not be complete to be a key.
_HEADER = rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)"
_KEY = re.compile(_HEADER + rb"(?:\x02|" + _HEADER + rb"\x06)", re.DOTALL)
_BYTE_ORDER_MARK = "\ufeff"
_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE"}


class Bundle(NamedTuple):
    """What a PEM text holds.

    Attributes:
        certificates: those that can be used, in their order, each once.
        refused: why each of the others cannot be; the detail begins with its line.
    """

    certificates: tuple[Certificate, ...]
    refused: tuple[StationkeeperError, ...]


def parse_certificates(
    text: str, reason_for_private_key: Reason = Reason.PRIVATE_KEY_IN_TRUSTED_CA
) -> tuple[Certificate, ...]:
    """The certificates of `text`, in their order, duplicates dropped; none where there is no block.

    Raises:
        StationkeeperError: what `parse_bundle` raises, or why a certificate cannot be used.
    """
    bundle = parse_bundle(text, reason_for_private_key)
    if bundle.refused:
        raise bundle.refused[0]
    return bundle.certificates


def parse_bundle(text: str, reason_for_private_key: Reason = Reason.PRIVATE_KEY_IN_TRUSTED_CA) -> Bundle:
    """The certificates of `text`, those that cannot be used told apart.

    A block that is cut short, or is something else than a certificate, is a slip in the text and refuses it as a whole.

    Raises:
        StationkeeperError: `MalformedPEM`, `TooLarge`, `TooManyCertificates` or `reason_for_private_key`.
    """
    if len(text) > MAX_PEM_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"the PEM text has {len(text)} characters, at most {MAX_PEM_BYTES} are allowed"
        )
    # A key is looked for first, and anywhere: it must be named even where the text around it is broken.
    if "PRIVATE KEY" in text:
        line = text[: text.index("PRIVATE KEY")].count("\n") + 1
        raise StationkeeperError(
            reason_for_private_key, f"there is a private key at line {line}; remove it and replace that key"
        )
    found: dict[bytes, Certificate] = {}
    refused: list[StationkeeperError] = []
    for line, body in _blocks(text):
        if len(found) + len(refused) == MAX_CERTIFICATES:
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
            found.setdefault(certificate.der, certificate)
    return Bundle(tuple(found.values()), tuple(refused))


def check_no_key(der: bytes, where: str, reason: Reason) -> None:
    """Refuse DER that begins as a key does: PKCS#1, PKCS#8, SEC1, an encrypted or a public one.

    Args:
        der: a block, or a file.
        where: it is, for the message.
        reason: under which it is refused.

    Raises:
        StationkeeperError: `reason`; the detail holds nothing of the key.
    """
    # PKCS#12 begins as a key as well, and is named for what it is.
    if _KEY.match(der) is not None:
        explanation = explain_bytes(der)
        if explanation is not None:
            raise StationkeeperError(Reason.MALFORMED_PEM, f"{where}: {explanation}")
        raise StationkeeperError(reason, f"{where} holds a key, not a certificate; remove it")


def parse_der_certificate(der: bytes) -> Certificate:
    """The certificate of `der` that a resource refers to; refused where one of `parse_certificates` would be.

    Raises:
        StationkeeperError: what `parse_certificate` or `check_usable` raises.
    """
    certificate = parse_certificate(der)
    check_usable(certificate)
    return certificate


def to_pem(der: bytes) -> str:
    """One certificate as a PEM block."""
    body = base64.encodebytes(der).decode("ascii").replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def pem_blocks(text: str) -> list[tuple[int, str, str]]:
    """The blocks of `text`: the line where each begins, its label and its base64 text.

    Raises:
        StationkeeperError: `MalformedPEM`, a block has no beginning or end.
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
    """The line and base64 text of each certificate; where that fails, the message says what the text is instead."""
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
    """Return what is wrong, and behind it what is there instead where that is known."""
    return f"{detail}: {explanation}" if explanation else detail


def _decoded(line: int, body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the block at line {line} is not base64: {error}") from None
