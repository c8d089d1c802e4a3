"""The work of a compile."""

from dataclasses import dataclass


@dataclass
class Work:
    """The work of a compile.

    Attributes:
        gateways: the number of compiled Gateways.
        documents: the number of encoded documents.
    """

    gateways: int = 0
    documents: int = 0
