"""The certificate that a gateway presents, reduced to the facts for authorization.

It uses no TLS library: the CUPS server's adapter passes the DER bytes of the connection.
"""

import msgspec

from stationkeeper_core.cached import cached_property
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex
from stationkeeper_core.x509.certificate import Certificate, parse_certificate

MAX_PRESENTED = 10


class ClientCertificate(msgspec.Struct, frozen=True, dict=True):
    """An end-entity certificate and the certificates that were presented with it.

    Attributes:
        leaf: the end-entity certificate.
        others: DER of the other certificates that the client sent, the first `MAX_PRESENTED`; not parsed.
        common_names: every Common Name of the subject, as text.
    """

    leaf: Certificate
    others: tuple[bytes, ...]
    common_names: tuple[str, ...]

    @property
    def presented(self) -> tuple[Certificate, ...]:
        """The readable CA certificates (CA:TRUE) among the others; not verified."""
        return tuple(each for each in self._readable if each.is_authority)

    @cached_property
    def presented_without_ca(self) -> tuple[Certificate, ...]:
        """The readable certificates among the others that are not CAs; they can only give a reason for a refusal."""
        return tuple(each for each in self._readable if not each.is_authority)

    @cached_property
    def _readable(self) -> tuple[Certificate, ...]:
        return _readable(self.others)

    @cached_property
    def eui(self) -> EUI64:
        """The EUI in the only Common Name.

        Raises:
            StationkeeperError: `CommonNameNotEUI`.
        """
        eui = parse_hex(self.common_names[0]) if len(self.common_names) == 1 else None
        if eui is None:
            shown = ", ".join(f"{name[:64]!a}" for name in self.common_names[:3]) or "none"
            raise StationkeeperError(Reason.COMMON_NAME_NOT_EUI, f"the certificate's Common Name is {shown}")
        return eui

    @cached_property
    def eui_or_none(self) -> EUI64 | None:
        """The EUI; None if the Common Name is not an EUI."""
        try:
            return self.eui
        except StationkeeperError:
            return None


def read_client_certificate(chain: tuple[bytes, ...]) -> ClientCertificate:
    """Parse a presented chain.

    Args:
        chain: DER, the end-entity certificate first. Unreadable others are ignored, since they could only help.

    Raises:
        StationkeeperError: `MalformedCertificate`.
    """
    try:
        leaf = parse_certificate(chain[0])
    except (StationkeeperError, IndexError) as error:
        raise StationkeeperError(Reason.MALFORMED_CERTIFICATE, f"the client certificate: {error}") from None
    return ClientCertificate(leaf, chain[1 : MAX_PRESENTED + 1], leaf.common_names)


def _readable(chain: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for der in chain:
        try:
            found.append(parse_certificate(der))
        except StationkeeperError:
            continue
    return tuple(found)
