"""Which TrustedCAs vouch for a client certificate.

Every TrustedCA is judged by itself: its anchors are the only trust, its intermediates and those that the client
presented only help to build the chain. So what one TrustedCA holds never opens a door for another, and one that is
broken breaks no other. Each possible chain is verified by OpenSSL, which takes the X.509 v1 leaves that the field has.

The chains are found here, by names alone, and OpenSSL is given one at a time: by itself it takes the first issuer of
the right name and never tries a second, so that of two CAs with one subject (a CA whose key was replaced) it would
refuse the clients of one.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice, pairwise

from OpenSSL import crypto

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import parse_range
from stationkeeper_core.limits import limits_clients
from stationkeeper_core.pem import Certificate, parse_certificate
from stationkeeper_core.published import TrustDocument, TrustedAuthority
from stationkeeper_core.revocation import Revocations, issuer_lists
from stationkeeper_core.strength import Strength, key_strength, signature_strength
from stationkeeper_core.x509.names import folded_name

MAX_CHAINS = 128


@dataclass(frozen=True)
class Voucher:
    """A TrustedCA that vouches for a certificate, and the chain by which it does.

    Attributes:
        authority: the TrustedCA.
        chain: from the end-entity certificate to the anchor.
        revocation: why the TrustedCA revokes a certificate of the chain, None where it does not.
        too_weak: whether a key or signature of the chain is weaker than the TrustedCA takes.
    """

    authority: "Authority"
    chain: tuple[Certificate, ...]
    revocation: Reason | None = None
    too_weak: bool = False

    @property
    def revokes(self) -> bool:
        """Whether the TrustedCA revokes the certificate or another one of the chain."""
        return self.revocation is not None

    @property
    def is_sound(self) -> bool:
        """Whether the chain is neither revoked nor too weak."""
        return not self.revokes and not self.too_weak


class Authority:
    """One TrustedCA in force, ready to judge.

    Attributes:
        record: what was published of it.
        revocations: what it revokes.
    """

    def __init__(self, record: TrustedAuthority, links: "_Links") -> None:
        self.record = record
        self.revocations = Revocations(
            frozenset(record.revoked_serials), frozenset(record.revoked_sha256), issuer_lists(record.revocation_lists)
        )
        self._anchors = _by_subject(links.of(der) for der in record.anchors)
        self._intermediates = _by_subject(links.of(der) for der in record.intermediates)
        self._ranges = tuple(parse_range(text) for text in record.eui_ranges)

    @property
    def reference(self) -> str:
        """`namespace/name` of the TrustedCA."""
        return f"{self.record.namespace}/{self.record.name}"

    @property
    def subjects(self) -> frozenset[str]:
        """The names under which it may have issued, folded."""
        return frozenset((*self._anchors, *self._intermediates))

    def may_speak_for(self, eui: EUI64) -> bool:
        """Whether its ranges hold `eui`."""
        return not self._ranges or any(eui in each for each in self._ranges)

    def vouch(self, examination: "_Examination") -> Voucher | None:
        """By a chain from the examined certificate to one of the anchors that verifies; None without one.

        A chain with a certificate that the spec itself revokes decides, else the first that is neither revoked by CRL
        nor too weak, else the first.
        """
        found: Voucher | None = None
        for chain in islice(self._chains(examination), MAX_CHAINS):
            if not examination.verifies(chain):
                continue
            certificates = tuple(each.certificate for each in chain)
            if self.revocations.hold_any_of(certificates):
                return Voucher(self, certificates, Reason.CERTIFICATE_REVOKED)
            if found is None or not found.is_sound:
                voucher = self._voucher(chain, certificates, examination.seconds)
                found = voucher if found is None or voucher.is_sound else found
            if found.is_sound and not self.revocations.names_certificates:
                break
        return found

    def _voucher(self, chain: tuple["_Link", ...], certificates: tuple[Certificate, ...], seconds: float) -> Voucher:
        anchor = chain[-1]
        above = (*self._anchors.get(anchor.issuer, ()), *self._intermediates.get(anchor.issuer, ()))
        signed = (*pairwise(certificates), *((anchor.certificate, each.certificate) for each in above))
        least = Strength.WEAK if self.record.weak_signatures else Strength.STRONG
        return Voucher(self, certificates, self.revocations.refusal_of(signed, seconds), _strength(chain) < least)

    def _chains(self, examination: "_Examination") -> Iterator[tuple["_Link", ...]]:
        """What the names allow, the shortest first; bounded, whatever is configured and presented."""
        begun: deque[tuple[_Link, ...]] = deque([(examination.leaf,)])
        for _ in range(MAX_CHAINS):
            if not begun:
                return
            chain = begun.popleft()
            issuer = chain[-1].issuer
            yield from ((*chain, anchor) for anchor in self._anchors.get(issuer, ()))
            if all(issuer != each.subject for each in chain[1:]):
                helpers = (*self._intermediates.get(issuer, ()), *examination.presented.get(issuer, ()))
                begun.extend((*chain, helper) for helper in helpers[: MAX_CHAINS - len(begun)])


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
        links = _Links()
        self.authorities = tuple(Authority(record, links) for record in document.authorities)
        self._links = links.all
        self._by_subject: dict[str, list[Authority]] = {}
        for authority in self.authorities:
            for subject in authority.subjects:
                self._by_subject.setdefault(subject, []).append(authority)

    def handshake_certificates(self, now: datetime) -> tuple[bytes, ...]:
        """DER of all that the handshake is to take as trusted at `now`, which is aware; sorted, each once.

        The intermediates are among them because a TLS library has no other place for certificates that help to build a
        client's chain. That is no wrong yes: `vouchers` decides about every request, by the anchors alone.

        Of certificates with one subject and key, what limits more than another that is valid is left out: the library
        tries only one of them, so that whoever has another's certificate signed with a limit to it would lock the
        clients of that key out.
        """
        free = {each.identity for each in self._links if not each.is_limited and each.is_valid(now)}
        return tuple(
            sorted(each.certificate.der for each in self._links if not each.is_limited or each.identity not in free)
        )

    @cached_property
    def takes_weak_signatures(self) -> bool:
        """Whether a TrustedCA takes chains that a handshake refuses by itself as too weak."""
        return any(authority.record.weak_signatures for authority in self.authorities)

    def vouchers(self, certificate: ClientCertificate, now: datetime) -> tuple[Voucher, ...]:
        """Every TrustedCA that vouches for `certificate` at `now`, which is aware."""
        examination = _Examination(certificate, now)
        named = dict.fromkeys(each for issuer in examination.issuers for each in self._by_subject.get(issuer, ()))
        answers = (authority.vouch(examination) for authority in named)
        return tuple(answer for answer in answers if answer is not None)


class _Link:
    """A certificate as a part of chains; what is costly to derive of it is derived once."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate

    @cached_property
    def subject(self) -> str:
        return folded_name(self.certificate.subject)

    @cached_property
    def issuer(self) -> str:
        return folded_name(self.certificate.issuer)

    @property
    def identity(self) -> tuple[str, str]:
        return self.subject, self.certificate.key_sha256 or self.certificate.sha256

    @cached_property
    def is_limited(self) -> bool:
        return limits_clients(self.certificate)

    def is_valid(self, now: datetime) -> bool:
        x509 = self.certificate.x509
        return x509.not_valid_before_utc <= now <= x509.not_valid_after_utc

    @cached_property
    def key_strength(self) -> Strength:
        return key_strength(self.certificate)

    @cached_property
    def signature_strength(self) -> Strength:
        return signature_strength(self.certificate)

    @cached_property
    def openssl(self) -> crypto.X509:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, self.certificate.der)


class _Links:
    """The certificates of a generation, each once, however many TrustedCAs hold it."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Link] = {}

    @property
    def all(self) -> tuple[_Link, ...]:
        return tuple(self._known.values())

    def of(self, der: bytes) -> _Link:
        found = self._known.get(der)
        if found is None:
            found = self._known[der] = _Link(parse_certificate(der))
        return found


class _Examination:
    """One client certificate at one time. A chain is verified once, however many TrustedCAs allow it."""

    def __init__(self, certificate: ClientCertificate, now: datetime) -> None:
        self.leaf = _Link(certificate.leaf)
        self.presented = _by_subject(_Link(each) for each in certificate.presented)
        self._now = now.astimezone(UTC)
        self.seconds = now.timestamp()
        self._verified: dict[tuple[_Link, ...], bool] = {}

    @property
    def issuers(self) -> list[str]:
        """The names under which an anchor or a configured intermediate may have a part in the chain."""
        return [self.leaf.issuer, *(each.issuer for same in self.presented.values() for each in same)]

    def verifies(self, chain: tuple[_Link, ...]) -> bool:
        """Whether OpenSSL takes `chain`, its last certificate being trusted, and none issues for other purposes only.

        The handshake asks that too, but of the chain that it finds, perhaps with another TrustedCA's certificates.
        """
        found = self._verified.get(chain)
        if found is None:
            found = self._verified[chain] = self._verify(chain)
        return found

    def _verify(self, chain: tuple[_Link, ...]) -> bool:
        leaf, *helpers, anchor = chain
        if not all(each.certificate.may_issue_to_clients for each in chain[1:]):
            return False
        # A store takes only the first time that it is told, so it cannot outlive the examination.
        store = crypto.X509Store()
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(self._now)
        try:
            store.add_cert(anchor.openssl)
            crypto.X509StoreContext(store, leaf.openssl, [each.openssl for each in helpers]).verify_certificate()
        except (crypto.X509StoreContextError, crypto.Error):
            return False
        return True


def _strength(chain: tuple[_Link, ...]) -> Strength:
    """The least of its keys and signatures; who signed the anchor does not matter, it is trusted as it is."""
    return min(*(each.key_strength for each in chain), *(each.signature_strength for each in chain[:-1]))


def _by_subject(links: Iterable[_Link]) -> Mapping[str, tuple[_Link, ...]]:
    found: dict[str, tuple[_Link, ...]] = {}
    for link in links:
        found[link.subject] = (*found.get(link.subject, ()), link)
    return found
