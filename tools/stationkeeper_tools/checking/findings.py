"""Findings about manifests."""

from dataclasses import dataclass
from enum import StrEnum

from stationkeeper_core.published.observation import clean


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    WARNING = "warning"


class CheckReason(StrEnum):
    """The stable names of findings that are not verdicts of the operator."""

    MALFORMED_YAML = "MalformedYAML"
    DUPLICATE_KEY = "DuplicateKey"
    DUPLICATE_OBJECT = "DuplicateObject"
    UNKNOWN_VERSION = "UnknownVersion"
    UNKNOWN_FIELD = "UnknownField"
    INVALID_FIELD = "InvalidField"
    INVALID_METADATA = "InvalidMetadata"
    NOTE = "Note"


MEANINGS = {
    CheckReason.MALFORMED_YAML: "The text is not YAML, or is too large.",
    CheckReason.DUPLICATE_KEY: "One mapping has the same key twice; the first value would be lost.",
    CheckReason.DUPLICATE_OBJECT: "Two manifests define the same object; the second would replace the first.",
    CheckReason.UNKNOWN_VERSION: "The API version does not exist.",
    CheckReason.UNKNOWN_FIELD: "The resource has no such field; the API server refuses it or drops it.",
    CheckReason.INVALID_FIELD: "A value is not what the resource definition allows.",
    CheckReason.INVALID_METADATA: "The name or the namespace cannot be used.",
    CheckReason.NOTE: "The operator accepts it, with a note.",
}


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a manifest that a person should see. Each of its texts is one line that can be printed.

    Attributes:
        file: as the person named it.
        line: the line number, from 1.
        severity: `ERROR` if the manifest is refused.
        reason: a `CheckReason`, a `Reason` of the core, or a stage of expiry.
        message: what is wrong and what to do; never a secret.
        subject: the kind, namespace and name of the object; empty if it has none.
    """

    file: str
    line: int
    severity: Severity
    reason: str
    message: str
    subject: str = ""

    def __post_init__(self) -> None:
        # The texts quote the manifest: a line of its own there could be a command to the CI that reads the output.
        for name in ("file", "message", "subject"):
            text = getattr(self, name)
            if not text.isprintable():
                object.__setattr__(self, name, clean(text, len(text)))
