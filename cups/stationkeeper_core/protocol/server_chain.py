"""Check whether a Basics Station accepts a CUPS server's chain, and whether two chains end in the same root.

A Station trusts its one root, and gets another one only over CUPS. After a chain with another root, CUPS can no longer
reach the Station to repair it.
Source: the CUPS protocol, how the client behaves; mbedTLS 2.28, `x509_crt.c` and `mbedtls_ssl_check_cert_usage`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.station_certificate import check_readable, check_strong
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.extensions import Absence

MAX_CHAIN = 20

Chain = Sequence[Certificate]
_FOR_SERVERS = {"1.3.6.1.5.5.7.3.1", "2.5.29.37.0"}  # serverAuth, anyExtendedKeyUsage


def check_server(chain: Chain) -> None:
    """Refuse a chain that a Basics Station never accepts, at any time.

    Args:
        chain: in the server's order, its own certificate first; at least one. Only the first `MAX_CHAIN` are checked.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    chain = chain[:MAX_CHAIN]
    for each in chain:
        # mbedTLS parses every certificate of the chain, and fails at one that it cannot parse, used or not.
        check_readable(each)
    _check_purpose(chain[0])
    for each in (chain[0], *_issuers_of(chain)):
        if not each.signs_itself or each is chain[0]:
            check_strong(each)


def check_times(chain: Chain, now: datetime) -> None:
    """Refuse a chain that is not valid at `now` (aware).

    An expired issuer is no problem if the chain has another certificate of that issuer.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    chain = chain[:MAX_CHAIN]
    problem = _time_problem(chain[0], now)
    if problem:
        raise _unusable(chain[0], problem)
    for child in (chain[0], *_issuers_of(chain)):
        issuers = [each for each in chain if each is not child and _is_issued_by(child, each)]
        problems = [_time_problem(each, now) for each in issuers]
        if issuers and not child.signs_itself and all(problems):
            raise _unusable(issuers[0], problems[0] or "")


def has_root_of(known: Chain, chain: Chain) -> bool:
    """Return whether a client that verifies `known` with its root also verifies `chain` with that root.

    Args:
        known: the chain that clients verify today; at least one certificate.
        chain: another chain; at least one certificate.

    A root that is in neither chain is identified by its name, and by its key identifier if both chains name it.
    """
    ends = _ends(known)
    return any(_reaches(each, end, chain) for end in ends for each in _certificates_upwards(chain))


def root_name(chain: Chain) -> str:
    """Return the name of a root of `chain`, cut at 100 characters."""
    return _ends(chain)[0].issuer[:100]


def _check_purpose(leaf: Certificate) -> None:
    usages = leaf.extended_key_usage
    if not isinstance(usages, Absence) and not _FOR_SERVERS & {*usages}:
        raise _unusable(leaf, "has an extended key usage without serverAuth; issue it for a server")
    usage = leaf.key_usage
    if not isinstance(usage, Absence) and not usage.digital_signature:
        raise _unusable(leaf, "has a key usage without digitalSignature, which a Station needs; issue it with that")


def _time_problem(certificate: Certificate, now: datetime) -> str:
    if now < certificate.not_before:
        return f"is not valid before {rfc3339(certificate.not_before)}"
    return f"has expired on {rfc3339(certificate.not_after)}" if now > certificate.not_after else ""


def _issuers_of(chain: Chain) -> list[Certificate]:
    return [each for each in _certificates_upwards(chain) if each is not chain[0]]


def _certificates_upwards(chain: Chain) -> Iterator[Certificate]:
    """Yield the first certificate and all that are above it on any path, each once."""
    chain = chain[:MAX_CHAIN]
    reached, waiting = {chain[0]}, [chain[0]]
    while waiting:
        child = waiting.pop()
        yield child
        for each in chain:
            if each not in reached and _is_issued_by(child, each):
                reached.add(each)
                waiting.append(each)


def _ends(chain: Chain) -> list[Certificate]:
    """Return the last certificate of each path upwards; all of them if they issue each other in a circle."""
    return [each for each in _certificates_upwards(chain) if _is_end(each, chain)] or list(_certificates_upwards(chain))


def _is_end(certificate: Certificate, chain: Chain) -> bool:
    others = (each for each in chain[:MAX_CHAIN] if each != certificate)
    return certificate.signs_itself or not any(_is_issued_by(certificate, each) for each in others)


def _reaches(certificate: Certificate, end: Certificate, chain: Chain) -> bool:
    """Return whether the root above `end` also verifies a path through `certificate` of `chain`."""
    if end.signs_itself:
        same = (certificate.folded_subject, certificate.key_sha256) == (end.folded_subject, end.key_sha256)
        return same or _is_issued_by(certificate, end)
    if _is_issued_by(end, certificate):
        return True
    if certificate.signs_itself or not _is_end(certificate, chain):
        return False
    key_ids = {each for each in (_issuers_key_id(certificate), _issuers_key_id(end)) if each is not None}
    return certificate.folded_issuer == end.folded_issuer and len(key_ids) < 2  # noqa: PLR2004 - they do not differ


def _issuers_key_id(certificate: Certificate) -> bytes | None:
    found = certificate.authority_key_identifier
    return None if isinstance(found, Absence) else found


def _is_issued_by(child: Certificate, issuer: Certificate) -> bool:
    if child.folded_issuer != issuer.folded_subject:
        return False
    try:
        read = child.x509, issuer.x509
    except ValueError:
        return True  # if cryptography cannot read it, only the names decide
    try:
        read[0].verify_directly_issued_by(read[1])
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _unusable(certificate: Certificate, problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.CERTIFICATE_UNUSABLE, f"the certificate {certificate.subject[:100]!a} {problem}")
