"""The verdict on a resource, before it becomes conditions."""

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
    """The use of a certificate in a TrustedCA."""

    ANCHOR = "Anchor"
    INTERMEDIATE = "Intermediate"


@dataclass(frozen=True)
class CertificateStatus:
    """A certificate in the status of a TrustedCA.

    Attributes:
        subject: in the form of RFC 4514, cut at 256 characters.
        sha256: the fingerprint, 64 lower-case hex digits.
        not_after: RFC 3339, in UTC, to the second.
        role: its use.
        problem: why it can vouch for no gateway at present; empty if it can.
        retained_until: until when it is kept although its source no longer holds it, RFC 3339; empty if the source
            holds it.
    """

    subject: str
    sha256: str
    not_after: str
    role: Role
    problem: str = ""
    retained_until: str = ""


@dataclass(frozen=True)
class RevocationListStatus:
    """The revocations by CRLs of one issuer, in the status of a TrustedCA.

    Attributes:
        issuer: the subject of its certificate in the form of RFC 4514, cut at 256 characters.
        entries: the number of revoked certificates.
        this_update: when the newest was made; RFC 3339, in UTC.
        next_update: when the next one is due; empty if the CRLs do not say.
        overdue: whether that time has passed.
    """

    issuer: str
    entries: int
    this_update: str
    next_update: str
    overdue: bool


class Use(StrEnum):
    """The use of a certificate, by its name in conditions and metrics."""

    TRUST_ANCHOR = "TrustAnchor"
    INTERMEDIATE = "Intermediate"
    LNS_TRUST = "LNSTrust"
    LNS_CLIENT = "LNSClient"
    CUPS_TRUST = "CUPSTrust"
    CUPS_CLIENT = "CUPSClient"
    GATEWAY = "Gateway"


@dataclass(frozen=True)
class Validity:
    """The validity period of a certificate.

    Attributes:
        use: its use.
        name: its name for people: the subject, cut, and the serial number in hex.
        not_after: its end, aware.
        not_before: its start, aware; None if not known.
        renewed_by: the Certificate of cert-manager that renews it; empty if none is known.
    """

    use: Use
    name: str
    not_after: datetime
    not_before: datetime | None = None
    renewed_by: str = ""


@dataclass(frozen=True)
class Vouching:
    """The answer whether a TrustedCA or a token can vouch for a gateway.

    Attributes:
        vouched: whether one can.
        reason: a CamelCase word.
        message: for people; without names of other tenants.
    """

    vouched: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a resource.

    Attributes:
        accepted: whether its spec is in force as written.
        reason: `Accepted` or a `Reason` of the core.
        message: for people; at most `MAX_MESSAGE` characters, without token or key.
        document: the name of its document; None if nothing of it is published.
        certificates: for a TrustedCA, those in force.
        gateways: for a GatewayDefaults, the number of Gateways that use it.
        lns_uri: for a Gateway, the LNS URI in force; empty if there is none.
        revocation_lists: for a TrustedCA, those in force.
        validities: the validity periods of the certificates in its spec, with expired ones.
        still_trusted_by: for a TrustedCA that is suspended or being deleted, `namespace/name` of the others in force
            with one of its certificates or keys; only the number for other tenants. None for other resources.
        vouching: for a Gateway that is in force and not suspended.
        copies: during a change of the count, the names of its documents in other counts.
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
    """Return the status entry of `certificate`.

    Args:
        certificate: a certificate in force.
        role: its use.
        problem: why it can vouch for no gateway; empty if it can.
        retained_until: until when it is kept although its source no longer holds it, RFC 3339; empty if the source
            holds it.
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
    """Return the validity period of `certificate`; `renewed_by` is the Certificate of cert-manager that renews it."""
    name = f"{certificate.subject[:_MAX_NAMED_SUBJECT]!a} (serial {certificate.serial})"
    return Validity(use, name, certificate.not_after, certificate.not_before, renewed_by)


@lru_cache(maxsize=1024)
def shared_verdict(verdict: Verdict) -> Verdict:
    """Return the same object for equal verdicts, since very many Gateways have them."""
    return verdict
