"""Signatures by which the operator proves to a CUPS pod that a message on the internal port is its own.

The token of the internal port does not prove that: every CUPS pod has it, and an attacker who controls one pod must not
be able to change the others. So the operator signs with an Ed25519 key that no CUPS pod has. The pods have its
certificate as a file of the release; only its public key counts.

A signature is valid for one document, or for one process of a pod. A replay does no harm: a document that is older than
the one in force is refused, and each process has a name of its own.
Source: RFC 8032 (Ed25519).
"""

import base64
import binascii
from collections.abc import Mapping

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stationkeeper_core.errors import Reason, StationkeeperError

HEADER = "Stationkeeper-Signature"
"""The HTTP header that holds a signature."""

_DOCUMENT = b"stationkeeper document, version 1"
_LATEST = b"stationkeeper latest generations, version 1"
_SIGNATURE_BYTES = 64


class OperatorKeyError(ValueError):
    """The operator's key cannot be used; the message says why."""


LATEST_HOLDS_MS = 4_000
"""How long a process of a pod accepts a message on the latest documents, in milliseconds of its own clock.

The time begins when the process gives the answer whose moment the message repeats. After that answer, the operator
checks that it leads; it stops 5 s before another operator may lead. So while a process accepts the message, no other
operator has published later documents, even if the message arrived late.
"""


class Latest(msgspec.Struct, frozen=True):
    """The message of the operator to a process of a pod: the latest generation of each document.

    Attributes:
        instance: the name of the process.
        generations: by document.
        moment: the time in the last answer of the process: milliseconds of its own monotonic clock.
    """

    instance: str
    generations: dict[str, int]
    moment: int = 0


class OperatorKey:
    """The key that the operator signs with.

    Args:
        pem: an Ed25519 key, PKCS#8, not encrypted.

    Raises:
        OperatorKeyError: it is something else; the message says what, without any part of the key.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise OperatorKeyError("it is not PEM of a private key without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise OperatorKeyError(f"it is {type(key).__name__}; make an Ed25519 key")
        self._key = key

    def sign_document(self, document: str, value: bytes) -> str:
        """Return the signature of `value` as the content of `document`, for `HEADER`."""
        return self._sign(_of_document(document, value))

    def sign_latest(self, body: bytes) -> str:
        """Return the signature of the JSON text of a `Latest`, for `HEADER`."""
        return self._sign(_of_latest(body))

    def _sign(self, message: bytes) -> str:
        return base64.b64encode(self._key.sign(message)).decode("ascii")


class OperatorCertificate:
    """The certificate that verifies the operator's signatures.

    Args:
        pem: a certificate of the operator's key.

    Raises:
        StationkeeperError: `NotFromOperator`: it is something else; both methods raise it too.
    """

    def __init__(self, pem: bytes) -> None:
        try:
            key = x509.load_pem_x509_certificate(pem).public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise StationkeeperError(Reason.NOT_FROM_OPERATOR, "the operator's certificate cannot be read") from None
        if not isinstance(key, Ed25519PublicKey):
            raise StationkeeperError(Reason.NOT_FROM_OPERATOR, "the operator's certificate has no Ed25519 key")
        self._key = key

    def check_document(self, document: str, value: bytes, signature: str) -> None:
        """Check that the operator signed `value` as the content of `document`."""
        self._check(_of_document(document, value), signature, document)

    def check_latest(self, body: bytes, signature: str, instance: str, now_ms: int) -> Mapping[str, int]:
        """Check the operator's message to a process; return its latest generations, by document.

        Args:
            body: the JSON text of a `Latest`.
            signature: as in the header.
            instance: names the process.
            now_ms: milliseconds by the clock that its moments are of.
        """
        self._check(_of_latest(body), signature, "the latest generations")
        try:
            latest = msgspec.json.decode(body, type=Latest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StationkeeperError(Reason.NOT_FROM_OPERATOR, "the latest generations cannot be read") from None
        if latest.instance != instance:
            raise StationkeeperError(
                Reason.NOT_FROM_OPERATOR, "the message with the latest generations is for another process"
            )
        if not 0 <= now_ms - latest.moment <= LATEST_HOLDS_MS:
            raise StationkeeperError(Reason.NOT_FROM_OPERATOR, "the message with the latest generations is too old")
        return latest.generations

    def _check(self, message: bytes, signature: str, what: str) -> None:
        try:
            given = base64.b64decode(signature, validate=True)
            if len(given) == _SIGNATURE_BYTES:
                self._key.verify(given, message)
                return
        except (binascii.Error, ValueError, InvalidSignature):
            pass
        raise StationkeeperError(Reason.NOT_FROM_OPERATOR, f"{what}: not signed with the key of the operator")


def _of_document(document: str, value: bytes) -> bytes:
    return b"\0".join((_DOCUMENT, document.encode(), value))


def _of_latest(body: bytes) -> bytes:
    return b"\0".join((_LATEST, body))
