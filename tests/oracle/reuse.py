"""Cache the core's questions to OpenSSL about a PKI, and its parsed certificates, for the time of that PKI.

The functions are the core's own and depend only on their arguments. The same few certificates of a PKI come back in
thousands of decisions. With the cache, a decision costs only its search, so that a million can be compared.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from unittest.mock import patch

from stationkeeper_core.trust import examination, path_certificate, verification
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.verification import Path, Verification
from stationkeeper_core.x509 import client_certificate
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.openssl import load


@contextmanager
def kept_answers() -> Iterator[None]:
    """Make the core cache its parsed certificates and its verifications."""
    with ExitStack() as stack:
        parse = cache(parse_certificate)
        for module in (client_certificate, path_certificate):
            stack.enter_context(patch.object(module, "parse_certificate", parse))
        stack.enter_context(patch.object(path_certificate, "load", cache(load)))
        stack.enter_context(patch.object(examination, "verify", _verify()))
        stack.enter_context(patch.object(examination, "is_signed", _is_signed()))
        yield


def _verify() -> Callable[[Path, int], Verification]:
    known: dict[tuple[int, tuple[bytes, ...]], Verification] = {}

    def verify(path: Path, seconds: int) -> Verification:
        asked = (seconds, tuple(each.certificate.der for each in path))
        if asked not in known:
            known[asked] = verification.verify(path, seconds)
        return known[asked]

    return verify


def _is_signed() -> Callable[[PathCertificate, PathCertificate], bool]:
    known: dict[tuple[bytes, bytes], bool] = {}

    def is_signed(certificate: PathCertificate, issuer: PathCertificate) -> bool:
        asked = (certificate.certificate.der, issuer.certificate.der)
        if asked not in known:
            known[asked] = verification.is_signed(certificate, issuer)
        return known[asked]

    return is_signed
