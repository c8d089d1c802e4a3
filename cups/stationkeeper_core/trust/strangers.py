"""Whether presented certificates have to do with any TrustedCA at all, found out at a glance.

Anybody can make certificates and present them, and most of those that knock without reason have the names of no CA that
is known here. Every path to an anchor needs one: the last certificate before the anchor has the anchor's name as its
issuer. So where no issuer is known, and the end-entity certificate is not itself in a TrustedCA, the full judgement
could say nothing else than that the CA is unknown.
"""

from collections.abc import Sequence

from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.x509.der_reader import MalformedDERError
from stationkeeper_core.x509.fields import read_issuer

MOST_PRESENTED = 2
"""More are judged in full, on the budget of their address."""
MOST_NAME_BYTES = 200
"""Of an issuer; what is longer takes long to be read."""


def stranger(presented: Sequence[bytes], trust: TrustGeneration) -> str | None:
    """Return the issuer's name, as RFC 4514 writes it, where no TrustedCA can vouch; None where that takes a judgement.

    Args:
        presented: DER, the end-entity certificate first.
        trust: the TrustedCAs in force.
    """
    if not 0 < len(presented) <= MOST_PRESENTED or trust.certificates.find(presented[0]) is not None:
        return None
    try:
        issuers = [read_issuer(der, MOST_NAME_BYTES) for der in presented]
    except MalformedDERError:
        return None
    for each in issuers:
        if trust.has_subject(each.folded):
            return None
    return issuers[0].text
