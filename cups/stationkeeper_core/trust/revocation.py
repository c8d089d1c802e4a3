"""Check whether a TrustedCA revokes a certificate of a chain: by serial number, SHA-256 fingerprint or CRL.

Entries of the spec apply to every certificate of a chain. A CRL applies to the certificates that its issuer's key
signed, with any issuer name: two CAs may use the same serial number.

The holder of a certificate can sometimes make another one that verifies too. For an ECDSA signature (r, s), (r, n - s)
is also valid. OpenSSL accepts an RSASSA-PSS signature without its leading zero bytes. Such a twin has the same serial
number but another fingerprint, so a fingerprint revokes all of them.
Source: SEC 1, section 4.1.4; RFC 5280, section 4.1.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from stationkeeper_core.cached import cached_property
from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import RevocationList
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_core.x509.signatures import PSS

_BIT_STRING, _SEQUENCE = 0x03, 0x30
_MOST_ZEROS = 16
"""The maximum of leading zero bytes; only the holder of the CA's key can make a signature with more."""


@dataclass(frozen=True)
class IssuerList:
    """The revocations of one issuer, from its CRLs.

    Attributes:
        serials: of the revoked certificates.
        refused_after: after this time all certificates of the issuer are refused, seconds since the epoch; None for
            never.
    """

    serials: frozenset[int]
    refused_after: int | None = None


@dataclass(frozen=True)
class Revocations:
    """The revocations of a TrustedCA.

    Attributes:
        serials: serial numbers, upper-case hex without leading zeros.
        sha256: fingerprints, lower-case hex.
        lists: CRLs, by the SHA-256 of their issuers' keys.
    """

    serials: frozenset[str]
    sha256: frozenset[str]
    lists: Mapping[str, IssuerList] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_any(self) -> bool:
        """Whether anything is revoked, or may be refused because a CRL is overdue."""
        return self.names_certificates or bool(self.lists)

    @cached_property
    def deadlines(self) -> tuple[int, ...]:
        """The last second, since the epoch, before a CRL is overdue; for each CRL that then refuses certificates."""
        return tuple(each.refused_after for each in self.lists.values() if each.refused_after is not None)

    def could_refuse(self, signed: Iterable[tuple[Certificate, Certificate]]) -> bool:
        """Return whether a CRL may refuse one of `signed`: pairs of a certificate and its issuer's certificate."""
        lists = ((each, self.lists.get(issuer.key_sha256 or "")) for each, issuer in signed)
        return any(
            known is not None and (known.refused_after is not None or each.serial_number in known.serials)
            for each, known in lists
        )

    @property
    def names_certificates(self) -> bool:
        """Whether serial numbers or fingerprints are listed; these apply to any chain."""
        return bool(self.serials or self.sha256)

    def refusal_of(self, signed: Iterable[tuple[Certificate, Certificate]], seconds: int) -> Reason | None:
        """Return why a CRL refuses one of `signed`: it is revoked, or else its issuer's CRL is overdue; None if not.

        Args:
            signed: pairs of a certificate and its issuer's certificate.
            seconds: the time in whole seconds since the epoch, like the times of certificates and CRLs.
        """
        if not self.lists:
            return None
        found = [(each, known) for each, issuer in signed if (known := self.lists.get(issuer.key_sha256 or ""))]
        if any(each.serial_number in known.serials for each, known in found):
            return Reason.CERTIFICATE_REVOKED
        if any(known.refused_after is not None and known.refused_after < seconds for _, known in found):
            return Reason.CRL_EXPIRED
        return None

    def hold_any_of(self, chain: tuple[Certificate, ...]) -> bool:
        """Return whether the spec revokes a certificate of `chain`, from the end entity to the anchor."""
        if self.serials and any(each.serial in self.serials for each in chain):
            return True
        return bool(self.sha256) and not self.sha256.isdisjoint(_fingerprints(chain))


def issuer_lists(lists: Iterable[RevocationList]) -> Mapping[str, IssuerList]:
    """Unpack the published lists, by the SHA-256 of their issuers' keys.

    Raises:
        ValueError: serial numbers are cut short.
    """
    return MappingProxyType(
        {
            each.issuer_key: IssuerList(unpack_serials(each.serials), each.next_update if each.refuse_overdue else None)
            for each in lists
        }
    )


def _fingerprints(chain: tuple[Certificate, ...]) -> set[str]:
    twins = (twin_fingerprints(certificate, issuer) for certificate, issuer in pairwise(chain))
    return {each.sha256 for each in chain}.union(*twins)


def twin_fingerprints(certificate: Certificate, issuer: Certificate) -> frozenset[str]:
    """Return the fingerprints of the twins of `certificate`: its holder can make them, and they verify too.

    Args:
        certificate: a certificate with a verified signature of `issuer`.
        issuer: its key shows whether the signature is ECDSA, and on which curve, or how long an RSA signature is.
    """
    key = issuer.key
    if key is None:
        return frozenset()
    if key.group_order is not None:
        r, s = decode_dss_signature(certificate.signature)
        return frozenset((_fingerprint(certificate, encode_dss_signature(r, key.group_order - s)),))
    if certificate.signature_algorithm.identifier == PSS:
        # OpenSSL accepts an RSASSA-PSS signature without its leading zero bytes (rsa_ossl_public_decrypt), although
        # RFC 8017, section 8.1.2, step 1, forbids it. For RSASSA-PKCS1-v1_5 it checks the length.
        shortest = certificate.signature.lstrip(b"\0")
        longest = min((key.bits + 7) // 8, len(shortest) + _MOST_ZEROS)
        signatures = (shortest.rjust(size, b"\0") for size in range(len(shortest), longest + 1))
        return frozenset(_fingerprint(certificate, each) for each in signatures if each != certificate.signature)
    return frozenset()


def _fingerprint(certificate: Certificate, signature: bytes) -> str:
    """Return the fingerprint of `certificate` with another signature."""
    written = element(_BIT_STRING, b"\0" + signature)
    content = certificate.signed_bytes + certificate.signature_algorithm_der + written
    return hashlib.sha256(element(_SEQUENCE, content)).hexdigest()
