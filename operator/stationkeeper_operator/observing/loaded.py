"""What a CUPS pod says it has loaded: the contract of `GET /generation`."""

import msgspec


class LoadRefusal(msgspec.Struct, frozen=True):
    """Why a pod did not put a document in force."""

    reason: str
    detail: str = ""


class Loaded(msgspec.Struct, frozen=True):
    """An answer to `GET /generation`.

    Attributes:
        generations: in force, by document.
        refused: what was given last but not put in force, by document.
    """

    generations: dict[str, int] = {}
    refused: dict[str, LoadRefusal] = {}
