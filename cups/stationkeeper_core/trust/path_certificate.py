"""A certificate in trust paths; costly values are computed only once.

Two `PathCertificate` objects hold the same certificate exactly if they are one object: a generation and an examination
store each DER encoding once.
"""

from datetime import UTC, datetime, timedelta

from OpenSSL import crypto

from stationkeeper_core.cached import cached_property
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.extensions import NAME_CONSTRAINTS
from stationkeeper_core.x509.keys import KeyKind
from stationkeeper_core.x509.openssl import has_usable_key, load
from stationkeeper_core.x509.strength import Strength, key_strength, signature_strength

_EPOCH = datetime.fromtimestamp(0, UTC)

# Measured on a slow core, in microseconds; unlisted curves count as the slowest.
_CURVE_UNITS = {
    "secp256r1": 80,
    "secp224r1": 120,
    "secp256k1": 250,
    "brainpoolP256r1": 250,
    "secp384r1": 400,
    "secp521r1": 500,
}
_OTHER_CURVE_UNITS = 2_000
_EDWARDS_UNITS = 150
_RSA_UNITS, _RSA_BITS, _RSA_EXPONENT_BITS = 30, 2048, 17
_UNKNOWN_UNITS = 2_000


class PathCertificate:
    """A certificate of a path.

    Args:
        certificate: its facts.
        loaded: the same certificate as an object of OpenSSL, if there is one already.

    Attributes:
        certificate: as given.
        begins, ends: the first and the last second of its validity, since the epoch.
    """

    def __init__(self, certificate: Certificate, loaded: crypto.X509 | None = None) -> None:
        self.certificate = certificate
        self._loaded = loaded
        self._trusting: tuple[int, crypto.X509Store] | None = None
        self.begins = int(certificate.not_before.timestamp())
        self.ends = int(certificate.not_after.timestamp())

    @property
    def subject(self) -> str:
        """Its subject, folded."""
        return self.certificate.folded_subject

    @property
    def issuer(self) -> str:
        """Its issuer, folded."""
        return self.certificate.folded_issuer

    @cached_property
    def key(self) -> str:
        """An identifier of its key: the same for all certificates with this key."""
        return self.certificate.key_sha256 or self.certificate.sha256

    @cached_property
    def key_identifier(self) -> bytes | None:
        """Its subject key identifier; None if it has none."""
        found = self.certificate.subject_key_identifier
        return found if isinstance(found, bytes) and found else None

    @cached_property
    def authority_key_identifier(self) -> bytes | None:
        """Its authority key identifier; None if it has none."""
        found = self.certificate.authority_key_identifier
        return found if isinstance(found, bytes) and found else None

    @cached_property
    def constraint_bytes(self) -> int:
        """The number of bytes of its name constraints."""
        return self.certificate.extension_bytes(NAME_CONSTRAINTS)

    @cached_property
    def key_strength(self) -> Strength:
        """The strength of its key."""
        return key_strength(self.certificate)

    @cached_property
    def signature_strength(self) -> Strength:
        """The strength of the signature on it."""
        return signature_strength(self.certificate)

    @cached_property
    def openssl(self) -> crypto.X509:
        """The certificate as an object of OpenSSL.

        Raises:
            StationkeeperError: `MalformedCertificate`.
        """
        if self._loaded is not None:
            return self._loaded
        try:
            # Not stored with the facts, since a cached judgement of a client keeps these for long.
            return load(self.certificate.der)
        except ValueError as error:
            raise StationkeeperError(Reason.MALFORMED_CERTIFICATE, str(error)) from None

    def trusting(self, seconds: int) -> crypto.X509Store:
        """Return a store of OpenSSL that trusts only this certificate, at `seconds` since the epoch.

        It is cached for the same second, for all paths that end in this certificate; add nothing to it.

        Raises:
            StationkeeperError: `MalformedCertificate`.
            crypto.Error: OpenSSL does not accept it.
        """
        kept = self._trusting
        if kept is not None and kept[0] == seconds:
            return kept[1]
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(_EPOCH + timedelta(seconds=seconds))
        store.add_cert(self.openssl)
        self._trusting = (seconds, store)
        return store

    @cached_property
    def verification_units(self) -> int:
        """The cost of verifying a signature with its key, see `budget`."""
        key = self.certificate.key
        if key is None or key.der is None:
            return _UNKNOWN_UNITS if self._has_usable_key() else 0
        if key.kind is KeyKind.RSA:
            exponent = max(key.exponent.bit_length(), _RSA_EXPONENT_BITS)
            return _RSA_UNITS * max(key.bits, _RSA_BITS) ** 2 * exponent // (_RSA_BITS**2 * _RSA_EXPONENT_BITS)
        return _CURVE_UNITS.get(key.curve, _OTHER_CURVE_UNITS) if key.kind is KeyKind.EC else _EDWARDS_UNITS

    def _has_usable_key(self) -> bool:
        """Return whether OpenSSL can verify signatures with its key."""
        try:
            return has_usable_key(self.openssl)
        except StationkeeperError:
            return False

    def is_valid(self, seconds: int) -> bool:
        """Return whether it is valid at `seconds` since the epoch."""
        return self.begins <= seconds <= self.ends

    def may_have_issued(self, other: "PathCertificate") -> bool:
        """Return whether the key identifiers allow that it issued `other`; the names already match.

        OpenSSL does not accept an issuer with another key identifier than the one in the certificate (check_issued).
        """
        named = other.authority_key_identifier
        return named is None or self.key_identifier is None or named == self.key_identifier


class PathCertificates:
    """Certificates by their DER encoding, each once.

    Args:
        known: another collection; equal certificates are taken from it.
    """

    def __init__(self, known: "PathCertificates | None" = None) -> None:
        self._outer = known
        self._known: dict[bytes, PathCertificate] = {}

    def find(self, der: bytes) -> PathCertificate | None:
        """Return the certificate with `der`; None if it is unknown."""
        found = self._known.get(der)
        return self._outer.find(der) if found is None and self._outer is not None else found

    def of(self, der: bytes) -> PathCertificate:
        """Return the certificate with `der`; parse and store it if it is unknown.

        Raises:
            StationkeeperError: `MalformedPEM` or `TooLarge`.
        """
        found = self.find(der)
        return self.keep(PathCertificate(parse_certificate(der))) if found is None else found

    def of_certificate(self, certificate: Certificate, loaded: crypto.X509 | None = None) -> PathCertificate:
        """Return the certificate with these facts; `loaded` is the same certificate as an object of OpenSSL, if any."""
        found = self.find(certificate.der)
        return self.keep(PathCertificate(certificate, loaded)) if found is None else found

    def keep(self, certificate: PathCertificate) -> PathCertificate:
        """Store `certificate` and return it."""
        self._known[certificate.certificate.der] = certificate
        return certificate
