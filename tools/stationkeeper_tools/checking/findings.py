"""What is found in manifests."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    WARNING = "warning"


class CheckReason(StrEnum):
    """The stable words of findings that are no verdict of the operator."""

    MALFORMED_YAML = "MalformedYAML"
    DUPLICATE_KEY = "DuplicateKey"
    DUPLICATE_OBJECT = "DuplicateObject"
    UNKNOWN_VERSION = "UnknownVersion"
    UNKNOWN_FIELD = "UnknownField"
    INVALID_FIELD = "InvalidField"
    INVALID_METADATA = "InvalidMetadata"
    NOTE = "Note"


MEANINGS = {
    CheckReason.MALFORMED_YAML: "The text is not YAML, or larger than what is read.",
    CheckReason.DUPLICATE_KEY: "A key stands twice in one mapping; the first value would be lost.",
    CheckReason.DUPLICATE_OBJECT: "Two manifests are of one object; the second would replace the first.",
    CheckReason.UNKNOWN_VERSION: "The API version does not exist.",
    CheckReason.UNKNOWN_FIELD: "The resource has no such field; the API server refuses it or drops it.",
    CheckReason.INVALID_FIELD: "A value is not what the resource definition allows.",
    CheckReason.INVALID_METADATA: "The name or the namespace cannot be used.",
    CheckReason.NOTE: "The operator accepts it, and has something to say about it.",
}


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a manifest that a person should see.

    Attributes:
        file: as the person named it.
        line: where, from 1.
        severity: whether the manifest is refused.
        reason: a `CheckReason`, a `Reason` of the core, or a stage of expiry.
        message: what is wrong and what to do; never a secret.
        subject: the kind, namespace and name of the object; empty where it has none.
    """

    file: str
    line: int
    severity: Severity
    reason: str
    message: str
    subject: str = ""
