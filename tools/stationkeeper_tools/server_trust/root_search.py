"""Find the root of a server's certificate, in the presented chain and a bundle of known roots. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

_MAX_DEPTH = 10
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


@dataclass(frozen=True)
class RootSearch:
    """The path from a server's certificate upwards.

    Attributes:
        path: the server's certificate, and each issuer that was found, without the root.
        root: the self-signed certificate at the end; None if it was not found.
        is_presented: whether the server presents the root itself.
        missing: the name of the issuer that was not found; empty if there is a root.
    """

    path: tuple[x509.Certificate, ...]
    root: x509.Certificate | None
    is_presented: bool = False
    missing: str = ""


def find_root(presented: Sequence[x509.Certificate], known: Iterable[x509.Certificate]) -> RootSearch:
    """Return the path to the root, by signatures; of several roots, the one that is reached first.

    Args:
        presented: the server's chain, its own certificate first, the others in any order; at least one.
        known: roots that the server does not need to present.
    """
    others = list(known)
    path = [presented[0]]
    if _is_self_signed(presented[0]):
        return RootSearch(tuple(path), presented[0], is_presented=True)
    while len(path) < _MAX_DEPTH:
        issuers = [each for each in (*presented, *others) if each not in path and _issued(each, path[-1])]
        root = next((each for each in issuers if _is_self_signed(each)), None)
        if root is not None:
            return RootSearch(tuple(path), root, is_presented=root in presented)
        if not issuers:
            break
        path.append(issuers[0])
    return RootSearch(tuple(path), None, missing=path[-1].issuer.rfc4514_string())


def read_bundle(content: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM bundle, or one DER certificate, without those that cannot be read."""
    blocks = _BLOCK.findall(content)
    certificates = []
    for block in blocks or [content]:
        try:
            load = x509.load_pem_x509_certificate if blocks else x509.load_der_x509_certificate
            certificates.append(load(block))
        except ValueError:
            continue
    return certificates


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer and _issued(certificate, certificate)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
