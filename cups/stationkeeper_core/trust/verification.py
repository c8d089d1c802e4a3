"""Verify exactly one path with OpenSSL.

OpenSSL gets the path's anchor as the only trust anchor, and the path's other certificates as untrusted help. It may
skip one of them, for example a presented certificate that only has the anchor's name. So the verified path is compared
with the proposed one, and a path that OpenSSL did not verify as a whole does not count.
"""

from collections.abc import Callable, Sequence
from enum import Enum

import msgspec
from OpenSSL import crypto

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.x509.signing import is_signed_by

Path = tuple[PathCertificate, ...]

# Flags of OpenSSL's <openssl/x509_vfy.h>, X509_V_FLAG_*.
_NO_CHECK_TIME, _IGNORE_CRITICAL = 0x200000, 0x10
# X509_V_ERR_*, the same in OpenSSL 1.1 to 4.0.
_SIGNATURE_FAILURE = 7
_NOT_YET_VALID, _EXPIRED = 9, 10
# OpenSSL checks name constraints after all signatures.
_NAME_CONSTRAINTS = frozenset(range(47, 55))


class Verdict(Enum):
    """The verdict of OpenSSL on a path."""

    VERIFIED = "verified"
    ANOTHER_PATH = "OpenSSL verified another path"
    NOT_YET_VALID = "a certificate is not valid yet"
    EXPIRED = "a certificate has expired"
    SIGNATURE = "a signature does not verify"
    OTHER = "something else"


class Verification(msgspec.Struct, frozen=True):
    """The result of a verification.

    Attributes:
        verdict: the verdict of OpenSSL.
        detail: OpenSSL's own message.
        depth: the position in the path where it failed, 0 for the end entity; -1 if it did not fail.
        signed: whether the signatures are valid nevertheless.
    """

    verdict: Verdict
    detail: str = ""
    depth: int = -1
    signed: bool = False


def verify(path: Path, seconds: int) -> Verification:
    """Verify exactly `path` with OpenSSL.

    Args:
        path: from the end entity to the anchor; only the anchor is trusted. One certificate that is both is a path too.
        seconds: the time, seconds since the epoch.
    """
    return _verify(lambda anchor: anchor.trusting(seconds), path)


def is_signed(certificate: PathCertificate, issuer: PathCertificate) -> bool:
    """Return whether the key of `issuer` signed `certificate`; ignore times, purposes and constraints."""
    if certificate is issuer:
        # OpenSSL does not check the signature of a trusted certificate, or only with a flag, if key identifiers match.
        return _is_signed_by_key(certificate, issuer)
    found = _verify(_store_trusting_any, (certificate, issuer))
    if found.verdict is Verdict.OTHER and not found.signed:
        # OpenSSL checks the rights of an issuer before the signature.
        return _is_signed_by_key(certificate, issuer)
    return found.signed


def _store_trusting_any(issuer: PathCertificate) -> crypto.X509Store:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | _NO_CHECK_TIME | _IGNORE_CRITICAL)
    store.add_cert(issuer.openssl)
    return store


def _verify(trusting: Callable[[PathCertificate], crypto.X509Store], path: Path) -> Verification:
    try:
        leaf, *helpers = [each.openssl for each in path[:-1]] or [path[0].openssl]
        context = crypto.X509StoreContext(trusting(path[-1]), leaf, helpers)
        if not helpers:
            # With one trusted and at most one other certificate, there is only one path: no need to compare.
            context.verify_certificate()
            return Verification(Verdict.VERIFIED, signed=True)
        verified = context.get_verified_chain()
    except crypto.X509StoreContextError as error:
        return _failure(error)
    except (crypto.Error, StationkeeperError) as error:
        return Verification(Verdict.OTHER, str(error)[:100])
    if not _is_same(verified, path):
        return Verification(Verdict.ANOTHER_PATH)
    return Verification(Verdict.VERIFIED, signed=True)


def _is_same(verified: Sequence[crypto.X509], path: Path) -> bool:
    # The first is the end entity and the last is trusted, so up to three certificates have only one order.
    settled = 3
    if len(verified) != len(path):
        return False
    return len(path) <= settled or all(
        crypto.dump_certificate(crypto.FILETYPE_ASN1, each) == proposed.certificate.der
        for each, proposed in zip(verified, path, strict=True)
    )


def _failure(error: crypto.X509StoreContextError) -> Verification:
    code, depth, text = error.errors[:3]
    verdict = {
        _SIGNATURE_FAILURE: Verdict.SIGNATURE,
        _NOT_YET_VALID: Verdict.NOT_YET_VALID,
        _EXPIRED: Verdict.EXPIRED,
    }.get(code, Verdict.OTHER)
    return Verification(verdict, f"{text} (X.509 error {code})", depth, signed=code in _NAME_CONSTRAINTS)


def _is_signed_by_key(certificate: PathCertificate, issuer: PathCertificate) -> bool:
    signed, key = certificate.certificate, issuer.certificate.key
    return (
        key is not None
        and certificate.issuer == issuer.subject
        and is_signed_by(key, signed.signature_algorithm, signed.signed_bytes, signed.signature)
    )
