"""Who else still trusts what a TrustedCA no longer does: the same certificate, or the same key under another one."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from stationkeeper_core.published.documents import TrustDocument
from stationkeeper_operator.compiling.certificate_rules import certificate_of


def still_trusted_by(certificates: Iterable[bytes], uid: str, trust: TrustDocument, namespace: str) -> tuple[str, ...]:
    """`namespace/name` of the authorities in `trust` that hold one of the certificates or their keys, sorted.

    An intermediate of another authority counts: what it signed is let in by that authority's anchor. A tenant is named
    those of its own namespace and of the release's; of other tenants it learns no more than how many there are.

    Args:
        certificates: DER.
        uid: of the TrustedCA that held them, which is not named itself.
        trust: what is in force.
        namespace: of that TrustedCA, whose status this is for.
    """
    keys = {_key_of(der) for der in certificates}
    others = (each for each in trust.authorities if each.uid != uid)
    found = [each for each in others if any(_key_of(der) in keys for der in (*each.anchors, *each.intermediates))]
    is_told_all = namespace == trust.release_namespace
    told = [each for each in found if is_told_all or each.namespace in {namespace, trust.release_namespace}]
    names = sorted(f"{each.namespace}/{each.name}" for each in told)
    count = len(found) - len(told)
    return (*names, f"{count} of other namespaces") if count else tuple(names)


@lru_cache(maxsize=4096)
def _key_of(der: bytes) -> str:
    """A digest of the public key; of the certificate itself where its key cannot be read."""
    certificate = certificate_of(der)
    return (certificate and certificate.key_sha256) or hashlib.sha256(der).hexdigest()
