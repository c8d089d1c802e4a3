"""Which TrustedCAs are asked about a certificate."""

import msgspec

from stationkeeper_core.eui64 import EUI64


class Scope(msgspec.Struct, frozen=True):
    """The Gateways and reservations that a certificate may speak for, as far as trust has to know them.

    Attributes:
        eui: of the certificate; None where its Common Name is none.
        namespaces: of the Gateways and reservations with that EUI, in their order; none where nobody registered it.
    """

    eui: EUI64 | None = None
    namespaces: tuple[str, ...] = ()


NOBODY = Scope()
