"""Record which keys a compile looks up among those of the TrustedCAs: if one of them changes, it must run again."""

from dataclasses import dataclass, field
from functools import lru_cache

from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys


@dataclass(frozen=True)
class RecordingKeys(AuthorityKeys):
    """The keys of the TrustedCAs, with a record of the keys that were looked up.

    Attributes:
        looked_up: the digests of these keys.
    """

    looked_up: set[str] = field(default_factory=set)

    def has(self, certificate: Certificate, namespace: str) -> bool:
        """Return whether a TrustedCA has the key of a certificate, and record that key."""
        if certificate.key_sha256 is not None:
            self.looked_up.add(certificate.key_sha256)
        return super().has(certificate, namespace)


@lru_cache(maxsize=1024)
def shared_keys(keys: frozenset[str]) -> frozenset[str]:
    """Return the same object for equal keys, since very many Gateways have them."""
    return keys
