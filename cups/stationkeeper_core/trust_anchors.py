"""What the handshake of Python's `ssl` still asks of the trust in force; goes with that handshake."""

from datetime import datetime

from stationkeeper_core.limits import limits_clients
from stationkeeper_core.trust.generation import TrustGeneration


def handshake_certificates(trust: TrustGeneration, now: datetime) -> tuple[bytes, ...]:
    """DER of all that the handshake takes as trusted at `now`, which is aware; sorted, each once."""
    found = {each for trusted_ca in trust.trusted_cas for each in trusted_ca.certificates}
    limited = {each for each in found if limits_clients(each.certificate)}
    seconds = int(now.timestamp())
    free = {(each.subject, each.key) for each in found - limited if each.is_valid(seconds)}
    kept = (each for each in found if each not in limited or (each.subject, each.key) not in free)
    return tuple(sorted(each.certificate.der for each in kept))


def takes_weak_signatures(trust: TrustGeneration) -> bool:
    """Whether a TrustedCA takes chains that a handshake refuses by itself as too weak."""
    return any(each.record.weak_signatures for each in trust.trusted_cas)
