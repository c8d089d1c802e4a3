"""Recognise cheaply that no TrustedCA can vouch for presented certificates.

Anybody can present self-made certificates, and most of these do not have the name of a known CA. Every path to an
anchor needs a known name: the last certificate before the anchor has the anchor's name as its issuer. So if no issuer
is known, and the end-entity certificate is not itself in a TrustedCA, the full judgement can only say that the CA is
unknown.
"""

from collections.abc import Sequence

from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.x509.der_reader import MalformedDERError
from stationkeeper_core.x509.fields import read_issuer

MOST_PRESENTED = 2
"""With more certificates, the full judgement runs, on the budget of the address."""
MOST_NAME_BYTES = 200
"""The maximum bytes of an issuer's name; a longer one takes long to parse."""


def unknown_issuer(presented: Sequence[bytes], trust: TrustGeneration) -> str | None:
    """Return the issuer's name (RFC 4514) if no TrustedCA can vouch; None if that needs the full judgement.

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
