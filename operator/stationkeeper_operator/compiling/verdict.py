"""What became of a resource, before it is written as conditions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate

ACCEPTED = "Accepted"
MAX_MESSAGE = 1024

_MAX_SUBJECT = 256
_MAX_NAMED_SUBJECT = 100


class Role(StrEnum):
    """What a certificate of a TrustedCA is for."""

    ANCHOR = "Anchor"
    INTERMEDIATE = "Intermediate"


@dataclass(frozen=True)
class CertificateStatus:
    """A certificate as the status of a TrustedCA shows it.

    Attributes:
        subject: as RFC 4514 writes it, cut at 256 characters.
        sha256: the fingerprint, 64 lower-case hex digits.
        not_after: RFC 3339, in UTC, to the second.
        role: what it is for.
        problem: why no gateway can come in by it at present; empty where one can.
        retained_until: up to when it is kept though its source no longer holds it, RFC 3339; empty for what it holds.
    """

    subject: str
    sha256: str
    not_after: str
    role: Role
    problem: str = ""
    retained_until: str = ""


@dataclass(frozen=True)
class RevocationListStatus:
    """What the CRLs of one issuer revoke, as the status of a TrustedCA shows it.

    Attributes:
        issuer: the subject of its certificate as RFC 4514 writes it, cut at 256 characters.
        entries: how many certificates they revoke.
        this_update: when the newest was made; RFC 3339, in UTC.
        next_update: when the next one is due; empty where they do not say.
        overdue: whether that has passed.
    """

    issuer: str
    entries: int
    this_update: str
    next_update: str
    overdue: bool


class Use(StrEnum):
    """What a certificate is for, as conditions and metrics call it."""

    TRUST_ANCHOR = "TrustAnchor"
    INTERMEDIATE = "Intermediate"
    LNS_TRUST = "LNSTrust"
    LNS_CLIENT = "LNSClient"
    CUPS_TRUST = "CUPSTrust"
    CUPS_CLIENT = "CUPSClient"
    GATEWAY = "Gateway"


@dataclass(frozen=True)
class Validity:
    """How long a certificate is valid.

    Attributes:
        use: what it is for.
        name: says which it is, for people: its subject, cut, and its serial number in hex.
        not_after: its end, aware.
        not_before: its begin, aware; None where that is not known.
        renewed_by: the Certificate of cert-manager that renews it; empty where none is known to.
    """

    use: Use
    name: str
    not_after: datetime
    not_before: datetime | None = None
    renewed_by: str = ""


@dataclass(frozen=True)
class Vouching:
    """Who could let a gateway in.

    Attributes:
        vouched: whether anybody could.
        reason: a CamelCase word.
        message: for people; names nothing of other tenants.
    """

    vouched: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a resource.

    Attributes:
        accepted: whether its spec is in force as it is.
        reason: `Accepted` or a `Reason` of the core.
        message: for people; at most `MAX_MESSAGE` characters, without token or key.
        document: the name of the document that carries it, None where nothing of it is published.
        certificates: those in force, for a TrustedCA.
        gateways: how many have no LNS of their own and look to it, for a GatewayDefaults.
        lns_uri: where a Gateway is sent by what is in force of it; empty where it is sent nowhere.
        revocation_lists: those in force, for a TrustedCA.
        validities: of the certificates that its spec brings, those that have expired among them.
        still_trusted_by: of a TrustedCA that is suspended or being deleted, `namespace/name` of the others in force
            that hold one of its certificates or keys, of other tenants the number alone; None where nobody asks.
        vouching: who could let it in, for a Gateway that is in force and not suspended.
        copies: the names of the documents of other counts that carry the same, while the count changes.
    """

    accepted: bool
    reason: str
    message: str
    document: str | None
    certificates: tuple[CertificateStatus, ...] = ()
    gateways: int = 0
    lns_uri: str = ""
    revocation_lists: tuple[RevocationListStatus, ...] = ()
    validities: tuple[Validity, ...] = ()
    still_trusted_by: tuple[str, ...] | None = None
    vouching: Vouching | None = None
    copies: tuple[str, ...] = ()


def certificate_status(certificate: Certificate, role: Role, problem: str, retained_until: str) -> CertificateStatus:
    """How the status shows `certificate`.

    Args:
        certificate: in force.
        role: what it is for.
        problem: why no gateway can come in by it; empty where one can.
        retained_until: up to when it is kept though its source no longer holds it, RFC 3339; empty for what it holds.
    """
    return CertificateStatus(
        subject=certificate.subject[:_MAX_SUBJECT],
        sha256=certificate.sha256,
        not_after=rfc3339(certificate.not_after),
        role=role,
        problem=problem[:_MAX_SUBJECT],
        retained_until=retained_until,
    )


@lru_cache(maxsize=2048)
def validity(use: Use, certificate: Certificate, renewed_by: str = "") -> Validity:
    """How long `certificate` is valid, which the Certificate `renewed_by` of cert-manager renews."""
    name = f"{certificate.subject[:_MAX_NAMED_SUBJECT]!a} (serial {certificate.serial})"
    return Validity(use, name, certificate.not_after, certificate.not_before, renewed_by)
