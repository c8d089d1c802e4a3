"""Which TrustedCAs vouch for a client certificate.

Every TrustedCA is judged by itself: its anchors are the only trust, its intermediates and those that the client
presented only help to build the chain. So what one TrustedCA holds never opens a door for another, and one that is
broken breaks no other. The chain is built and verified by OpenSSL, which takes the X.509 v1 leaves that the field has.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from OpenSSL import crypto

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import parse_range
from stationkeeper_core.pem import Certificate, parse_certificate
from stationkeeper_core.published import TrustDocument, TrustedAuthority


@dataclass(frozen=True)
class Voucher:
    """A TrustedCA that vouches for a certificate, and the chain by which it does.

    Attributes:
        authority: the TrustedCA.
        verified: from the end-entity certificate to the anchor, as OpenSSL has it.
    """

    authority: "Authority"
    verified: tuple[crypto.X509, ...]

    @cached_property
    def chain(self) -> tuple[Certificate, ...]:
        """From the end-entity certificate to the anchor."""
        return tuple(_certificate(each) for each in self.verified)

    @property
    def revokes(self) -> bool:
        """Whether the TrustedCA revokes the certificate or another one of the chain."""
        record = self.authority.record
        if not (record.revoked_sha256 or record.revoked_serials):
            return False
        return any(
            each.sha256 in record.revoked_sha256 or f"{each.x509.serial_number:X}" in record.revoked_serials
            for each in self.chain
        )


class Authority:
    """One TrustedCA in force, ready to judge.

    Attributes:
        record: what was published of it.
    """

    def __init__(self, record: TrustedAuthority) -> None:
        self.record = record
        self._anchors = tuple(parse_certificate(der) for der in record.anchors)
        self._intermediates = tuple(parse_certificate(der) for der in record.intermediates)
        self._ranges = tuple(parse_range(text) for text in record.eui_ranges)
        self._trusted = [_openssl(anchor) for anchor in self._anchors]
        self._helpers = [_openssl(intermediate) for intermediate in self._intermediates]

    @property
    def reference(self) -> str:
        """`namespace/name` of the TrustedCA."""
        return f"{self.record.namespace}/{self.record.name}"

    @cached_property
    def subjects(self) -> frozenset[bytes]:
        """DER of the subjects under which it may have issued."""
        return frozenset(each.x509.subject.public_bytes() for each in (*self._anchors, *self._intermediates))

    def may_speak_for(self, eui: EUI64) -> bool:
        """Whether its ranges hold `eui`."""
        return not self._ranges or any(eui in each for each in self._ranges)

    def vouch(self, certificate: ClientCertificate, now: datetime) -> Voucher | None:
        """The chain from `certificate` to one of the anchors, valid at `now`; None where there is none."""
        helpers = [*self._helpers, *(_openssl(each) for each in certificate.presented)]
        context = crypto.X509StoreContext(self._store_at(now), _openssl(certificate.leaf), helpers)
        try:
            chain = context.get_verified_chain()
        except crypto.X509StoreContextError:
            return None
        return Voucher(self, tuple(chain))

    def _store_at(self, now: datetime) -> crypto.X509Store:
        """A store for one verification: OpenSSL keeps the first time that a store is given, whatever comes later."""
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(now)
        for anchor in self._trusted:
            store.add_cert(anchor)
        return store


class TrustGeneration:
    """All TrustedCAs in force at one time. Immutable.

    Attributes:
        generation: of the document that it was made of.
        sha256: the digest of that document.
        release_namespace: the namespace whose TrustedCAs speak for every Gateway.
        authorities: the TrustedCAs in force.

    Raises:
        StationkeeperError: a certificate or range of the document cannot be read.
    """

    def __init__(self, document: TrustDocument, generation: int, sha256: str) -> None:
        self.generation = generation
        self.sha256 = sha256
        self.release_namespace = document.release_namespace
        self.authorities = tuple(Authority(record) for record in document.authorities)
        self._by_subject: dict[bytes, list[Authority]] = {}
        for authority in self.authorities:
            for subject in authority.subjects:
                self._by_subject.setdefault(subject, []).append(authority)

    @cached_property
    def handshake_certificates(self) -> tuple[bytes, ...]:
        """DER of all that the handshake is to take as trusted, sorted, each once.

        The intermediates are among them because a TLS library has no other place for certificates that help to build a
        client's chain. That is no wrong yes: `vouchers` decides about every request, by the anchors alone.
        """
        records = (authority.record for authority in self.authorities)
        return tuple(sorted({der for record in records for der in (*record.anchors, *record.intermediates)}))

    def vouchers(self, certificate: ClientCertificate, now: datetime) -> tuple[Voucher, ...]:
        """Every TrustedCA that vouches for `certificate` at `now`.

        Those that hold the name of an issuer are asked first, and only if none of them vouches all the others: names
        that differ in their encoding alone are equal to OpenSSL.
        """
        issuers = [each.x509.issuer.public_bytes() for each in (certificate.leaf, *certificate.presented)]
        likely = dict.fromkeys(each for issuer in issuers for each in self._by_subject.get(issuer, ()))
        return _ask(likely, certificate, now) or _ask(
            (each for each in self.authorities if each not in likely), certificate, now
        )


def _ask(authorities: Iterable[Authority], certificate: ClientCertificate, now: datetime) -> tuple[Voucher, ...]:
    answers = (authority.vouch(certificate, now) for authority in authorities)
    return tuple(answer for answer in answers if answer is not None)


def _openssl(certificate: Certificate) -> crypto.X509:
    return crypto.X509.from_cryptography(certificate.x509)


def _certificate(found: crypto.X509) -> Certificate:
    parsed: x509.Certificate = found.to_cryptography()
    return Certificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, found), parsed)
