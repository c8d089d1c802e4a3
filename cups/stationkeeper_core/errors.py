"""Refusals, and the stable names of their reasons.

A reason is a stable CamelCase word. The same word is in the log line, in the metric's label, in the condition of the
resource and in `docs/reasons.md`. Words are added, never renamed; `reason_table` explains each.
"""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """The party at fault; it decides where the reason is reported."""

    REQUEST = "request"
    """The gateway. The answer has the status `ReasonInfo.http_status`; if that is None, the connection is closed."""
    HANDSHAKE = "handshake"
    """The gateway, in the TLS handshake. The answer is a TLS alert, without HTTP."""
    RESOURCE = "resource"
    """The author of a TrustedCA or Gateway: reported in the condition `Accepted`."""
    LOAD = "load"
    """The document that CUPS should load: the last good state stays in force."""


@dataclass(frozen=True)
class ReasonInfo:
    """The explanation of a reason, for people.

    Attributes:
        fault: the party at fault.
        meaning: what is wrong.
        remedy: what to do.
        http_status: the status of the answer, for `Fault.REQUEST` only.
        discreet: whether the client gets only `meaning`, and the details are only in the log.
    """

    fault: Fault
    meaning: str
    remedy: str
    http_status: int | None = None
    discreet: bool = False


class Reason(StrEnum):
    """The stable words. `reason_table.REASONS` explains each."""

    MALFORMED_REQUEST = "MalformedRequest"
    ROUTER_MISSING = "RouterMissing"
    ROUTER_UNPARSABLE = "RouterUnparsable"
    REQUEST_TOO_LARGE = "RequestTooLarge"
    REQUEST_TIMEOUT = "RequestTimeout"
    PATH_NOT_FOUND = "PathNotFound"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    MALFORMED_CERTIFICATE = "MalformedCertificate"
    COMMON_NAME_NOT_EUI = "CommonNameNotEUI"
    COMMON_NAME_MISMATCH = "CommonNameMismatch"
    GATEWAY_NOT_REGISTERED = "GatewayNotRegistered"
    GATEWAY_SUSPENDED = "GatewaySuspended"
    NO_TRUSTED_CA = "NoTrustedCA"
    TRUSTED_CA_OF_ANOTHER_NAMESPACE = "TrustedCAOfAnotherNamespace"
    TRUSTED_CA_NOT_ALLOWED = "TrustedCANotAllowed"
    EUI_OUT_OF_RANGE = "EUIOutOfRange"
    CERTIFICATE_NOT_PINNED = "CertificateNotPinned"
    CERTIFICATE_REVOKED = "CertificateRevoked"
    TOKEN_MISSING = "TokenMissing"  # noqa: S105 - a reason, not a token
    TOKEN_REFUSED = "TokenRefused"  # noqa: S105 - a reason, not a token
    CRL_EXPIRED = "CRLExpired"
    CERTIFICATE_TOO_WEAK = "CertificateTooWeak"
    TRUST_BUDGET_SPENT = "TrustBudgetSpent"
    FORWARDED_CERTIFICATE_NOT_ALLOWED = "ForwardedCertificateNotAllowed"

    CLIENT_CERTIFICATE_MISSING = "ClientCertificateMissing"
    UNKNOWN_CA = "UnknownCA"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NOT_YET_VALID = "CertificateNotYetValid"
    CERTIFICATE_WRONG_PURPOSE = "CertificateWrongPurpose"
    CERTIFICATE_INVALID = "CertificateInvalid"
    HANDSHAKE_FAILED = "HandshakeFailed"
    HANDSHAKE_TIMEOUT = "HandshakeTimeout"
    CONNECTION_UNUSED = "ConnectionUnused"
    PROXY_HEADER_MISSING = "ProxyHeaderMissing"
    PROXY_HEADER_INVALID = "ProxyHeaderInvalid"
    PROXY_HEADER_NOT_ALLOWED = "ProxyHeaderNotAllowed"
    PROXY_NOT_TRUSTED = "ProxyNotTrusted"
    FORWARDED_CERTIFICATE_INVALID = "ForwardedCertificateInvalid"

    INVALID_SPEC = "InvalidSpec"
    MALFORMED_PEM = "MalformedPEM"
    NO_CERTIFICATE = "NoCertificate"
    TOO_MANY_CERTIFICATES = "TooManyCertificates"
    TOO_LARGE = "TooLarge"
    PRIVATE_KEY_IN_TRUSTED_CA = "PrivateKeyInTrustedCA"
    NOT_A_CERTIFICATE_AUTHORITY = "NotACertificateAuthority"
    KEY_KIND_UNSUPPORTED = "KeyKindUnsupported"
    CURVE_UNSUPPORTED = "CurveUnsupported"
    ANCHOR_EXPIRED = "AnchorExpired"
    MALFORMED_CRL = "MalformedCRL"
    CRL_UNSUPPORTED = "CRLUnsupported"
    CRL_ISSUER_UNKNOWN = "CRLIssuerUnknown"
    CRL_SIGNATURE_INVALID = "CRLSignatureInvalid"
    CRL_SIGNER_NOT_ALLOWED = "CRLSignerNotAllowed"
    CRL_NOT_YET_VALID = "CRLNotYetValid"
    SUSPENDED = "Suspended"
    BEING_DELETED = "BeingDeleted"
    EUI_CONFLICT = "EUIConflict"
    EUI_RANGE_INVALID = "EUIRangeInvalid"
    LNS_MISSING = "LNSMissing"
    TOKEN_MISSING_FOR_EUI = "TokenMissingForEUI"  # noqa: S105 - a reason, not a token
    URI_INVALID = "URIInvalid"
    TRUST_MISSING = "TrustMissing"
    TRUST_AMBIGUOUS = "TrustAmbiguous"
    TOKEN_INVALID = "TokenInvalid"  # noqa: S105 - a reason, not a token
    TOKEN_TOO_SHORT = "TokenTooShort"  # noqa: S105 - a reason, not a token
    CERTIFICATE_UNUSABLE = "CertificateUnusable"
    PRIVATE_KEY_UNUSABLE = "PrivateKeyUnusable"
    PRIVATE_KEY_MISMATCH = "PrivateKeyMismatch"
    CLIENT_CERTIFICATE_IS_CA = "ClientCertificateIsCA"
    PRIVATE_KEY_OF_CA = "PrivateKeyOfCA"
    WOULD_BE_REFUSED = "WouldBeRefused"
    CREDENTIALS_UNUSABLE = "CredentialsUnusable"
    REFERENCE_NOT_FOUND = "ReferenceNotFound"
    REFERENCE_NOT_LABELLED = "ReferenceNotLabelled"
    REFERENCE_KEY_MISSING = "ReferenceKeyMissing"
    CAPACITY_EXCEEDED = "CapacityExceeded"

    MALFORMED_DOCUMENT = "MalformedDocument"
    DIGEST_MISMATCH = "DigestMismatch"
    UNKNOWN_CONTRACT = "UnknownContract"
    WRONG_DOCUMENT = "WrongDocument"
    OLDER_GENERATION = "OlderGeneration"
    NOT_FROM_OPERATOR = "NotFromOperator"
    DOCUMENT_MISSING = "DocumentMissing"
    SERVER_CERTIFICATE_INVALID = "ServerCertificateInvalid"
    SERVER_ROOT_CHANGED = "ServerRootChanged"


class StationkeeperError(Exception):
    """A refusal with its stable reason.

    Attributes:
        reason: the stable word.
        detail: what is wrong and where; never key material or a token.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
