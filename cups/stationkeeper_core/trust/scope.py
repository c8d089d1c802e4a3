"""The scope of a certificate: the TrustedCAs to ask."""

import msgspec

from stationkeeper_core.eui64 import EUI64


class Scope(msgspec.Struct, frozen=True):
    """The Gateways and reservations that a certificate may speak for, as far as trust needs them.

    Attributes:
        eui: of the certificate; None if its Common Name is not an EUI.
        namespaces: of the Gateways and reservations with that EUI, in their order; empty if there are none.
    """

    eui: EUI64 | None = None
    namespaces: tuple[str, ...] = ()
