"""The stored status of a resource."""

from typing import Any

import msgspec

from stationkeeper_operator.resources.packed_text import packed, unpacked
from stationkeeper_operator.resources.raw_json import UNDECODABLE, convert, object_of


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition of a status."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class StatusCertificate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The compared fields of the certificate of a gateway's last visit.

    Attributes:
        serial: upper-case hex without leading zeros.
        sha256: 64 lower-case hex digits.
        trusted_ca: `namespace/name` of the TrustedCA that vouched for it.
    """

    serial: str = ""
    sha256: str = ""
    trusted_ca: str = msgspec.field(default="", name="trustedCA")


class _Seen(msgspec.Struct):
    certificate: StatusCertificate | None = None


class Status:
    """The present status of a resource, compressed, because it is only used for comparisons.

    Args:
        raw: its JSON text.
        writers: the namespaces of the releases whose operators wrote it last; several if they wrote in the same second.
            Empty if no known operator wrote it.

    Attributes:
        names_a_certificate: whether it has the certificate of a gateway's last visit, readable or not.
    """

    __slots__ = ("_packed", "names_a_certificate", "writers")

    def __init__(self, raw: bytes = b"{}", writers: tuple[str, ...] = ()) -> None:
        self._packed = packed(raw)
        self.names_a_certificate = b'"trustedCA"' in raw
        self.writers = writers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Status) and (other._packed, other.writers) == (self._packed, self.writers)

    def __hash__(self) -> int:
        return hash((self._packed, self.writers))

    def __repr__(self) -> str:
        return f"Status({self.raw!r}, {self.writers!r})"

    @property
    def raw(self) -> bytes:
        """The JSON text."""
        return unpacked(self._packed)

    @property
    def value(self) -> dict[str, Any]:
        """The decoded status; empty if it is not an object."""
        return object_of(self.raw)

    @property
    def certificate(self) -> StatusCertificate | None:
        """The certificate of the gateway's last visit; None if there is none."""
        if not self.names_a_certificate:
            return None
        try:
            return msgspec.json.decode(self.raw, type=_Seen).certificate
        except UNDECODABLE:
            return None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The readable conditions."""
        listed = self.value.get("conditions")
        found = (convert(each, Condition) for each in (listed if isinstance(listed, list) else ()))
        return tuple(each for each in found if each is not None)
