"""What a CUPS pod says it has loaded: the contract of `GET /generation`."""

from datetime import datetime

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION
from stationkeeper_core.published.observation import clean
from stationkeeper_core.published.registry_layout import TRUST, place_of

SERVER_CERTIFICATE = "server-certificate"

_MAX_REASON = 64
_MAX_INSTANCE = 64
_MAX_DETAIL = 300


class LoadRefusal(msgspec.Struct, frozen=True):
    """Why a pod did not put a document in force."""

    reason: str
    detail: str = ""


class ServerCertificate(msgspec.Struct, frozen=True, rename="camel"):
    """What the pod proves itself with to gateways.

    Attributes:
        not_after: its end; without a time zone it is not told.
        not_before: its begin; None where the pod does not tell.
    """

    not_after: datetime
    not_before: datetime | None = None


class HandoverState(msgspec.Struct, frozen=True, rename="camel"):
    """How far a pod is with what the operator hands over.

    Attributes:
        instance: names its process.
        is_latest: whether it was told that it has the latest of all documents.
    """

    instance: str
    is_latest: bool = True


class Loaded(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to `GET /generation`.

    Attributes:
        generations: in force, by document.
        refused: what was given last but not put in force, by document.
        server_certificate: None where there is none yet, or the pod does not tell.
        handover: None where the pod takes nothing that the operator hands over.
        secrets_missing: in which Secrets what it lacks should be, for people; empty where it lacks nothing.
    """

    generations: dict[str, int] = {}
    refused: dict[str, LoadRefusal] = {}
    server_certificate: ServerCertificate | None = None
    handover: HandoverState | None = None
    secrets_missing: str = ""


def bounded(loaded: Loaded) -> Loaded:
    """Only what concerns documents that exist, texts cut: the pod that tells it may have been taken over."""
    return Loaded(
        {
            name: number
            for name, number in loaded.generations.items()
            if _is_one(name) and 0 <= number <= MAX_GENERATION
        },
        {
            name: LoadRefusal(clean(each.reason, _MAX_REASON), clean(each.detail, _MAX_DETAIL))
            for name, each in loaded.refused.items()
            if _is_one(name) or name == SERVER_CERTIFICATE
        },
        loaded.server_certificate,
        loaded.handover and HandoverState(clean(loaded.handover.instance, _MAX_INSTANCE), loaded.handover.is_latest),
        clean(loaded.secrets_missing, _MAX_DETAIL),
    )


def _is_one(document: str) -> bool:
    return document == TRUST or place_of(document) is not None
