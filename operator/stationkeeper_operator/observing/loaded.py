"""What a CUPS pod says it has loaded: the contract of `GET /generation`."""

from datetime import datetime

import msgspec


class LoadRefusal(msgspec.Struct, frozen=True):
    """Why a pod did not put a document in force."""

    reason: str
    detail: str = ""


class ServerCertificate(msgspec.Struct, frozen=True, rename="camel"):
    """What the pod proves itself with to gateways.

    Attributes:
        not_after: its end; without a time zone it is not told.
    """

    not_after: datetime


class Loaded(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to `GET /generation`.

    Attributes:
        generations: in force, by document.
        refused: what was given last but not put in force, by document.
        server_certificate: None where there is none yet, or the pod does not tell.
    """

    generations: dict[str, int] = {}
    refused: dict[str, LoadRefusal] = {}
    server_certificate: ServerCertificate | None = None
