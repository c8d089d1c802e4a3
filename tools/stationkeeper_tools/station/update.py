"""Judge whether a real Station would execute the update of an answer; this one never does."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512

_RAW_KEY_BYTES = 64
_UNCOMPRESSED = b"\x04"


@dataclass(frozen=True)
class UpdateVerdict:
    """The verdict on an update.

    Attributes:
        would_run: whether a real Station would execute it.
        why: the reason, in a few words.
    """

    would_run: bool
    why: str


def judge_update(update: bytes, signature: bytes, keys: list[bytes]) -> UpdateVerdict:
    """Return whether a real Station would execute the update, and why.

    Args:
        update: the update, not empty.
        signature: ASN.1 DER, over P-256 and SHA-512; empty if the answer has none.
        keys: the gateway's signature keys, 64 raw bytes each; others cannot verify anything.
    """
    if not signature:
        if keys:
            return UpdateVerdict(False, "it is not signed, and the gateway has a signature key")
        return UpdateVerdict(True, "it is not signed, and the gateway has no signature key")
    for number, key in enumerate(keys):
        if _verifies(key, signature, update):
            return UpdateVerdict(True, f"sig-{number}.key verifies it")
    return UpdateVerdict(False, f"none of {len(keys)} signature keys verifies it")


def _verifies(key: bytes, signature: bytes, update: bytes) -> bool:
    if len(key) != _RAW_KEY_BYTES:
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _UNCOMPRESSED + key)
        public.verify(signature, update, ec.ECDSA(SHA512()))
    except (ValueError, InvalidSignature):
        return False
    return True
