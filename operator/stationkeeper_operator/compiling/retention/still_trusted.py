"""Find the other TrustedCAs that still trust a removed certificate, or another certificate with the same key."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from stationkeeper_core.published.documents import TrustDocument
from stationkeeper_operator.compiling.certificate_rules import certificate_of


def still_trusted_by(certificates: Iterable[bytes], uid: str, trust: TrustDocument, namespace: str) -> tuple[str, ...]:
    """Return `namespace/name` of the TrustedCAs in `trust` with one of the certificates or keys, sorted.

    An intermediate of another TrustedCA counts too: certificates that it signed are accepted by that TrustedCA's
    anchor. A tenant gets the names in its own namespace and in the release's; for other tenants, only their number.

    Args:
        certificates: DER.
        uid: of the TrustedCA that had them; it is not listed itself.
        trust: the trust document in force.
        namespace: of that TrustedCA; the result is for its status.
    """
    keys = {_key_of(der) for der in certificates}
    others = (each for each in trust.authorities if each.uid != uid)
    found = [each for each in others if any(_key_of(der) in keys for der in (*each.anchors, *each.intermediates))]
    sees_all = namespace == trust.release_namespace
    visible = [each for each in found if sees_all or each.namespace in {namespace, trust.release_namespace}]
    names = sorted(f"{each.namespace}/{each.name}" for each in visible)
    count = len(found) - len(visible)
    return (*names, f"{count} of other namespaces") if count else tuple(names)


@lru_cache(maxsize=4096)
def _key_of(der: bytes) -> str:
    """Return a digest of the public key; of the certificate if its key cannot be read."""
    certificate = certificate_of(der)
    return (certificate and certificate.key_sha256) or hashlib.sha256(der).hexdigest()
