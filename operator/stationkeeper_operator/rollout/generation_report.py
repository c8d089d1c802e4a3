"""The report of a CUPS pod on its loaded documents: the contract of `GET /generation`."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from stationkeeper_core.published.documents import MAX_GENERATION
from stationkeeper_core.published.observation import clean
from stationkeeper_core.published.registry_layout import TRUST, place_of

SERVER_CERTIFICATE = "server-certificate"

_MAX_REASON = 64
_LAST_MOMENT = 2**53
_MAX_INSTANCE = 64
_MAX_DETAIL = 300


class LoadRefusal(msgspec.Struct, frozen=True):
    """The reason that a pod did not put a document in force."""

    reason: str
    detail: str = ""


class ServerCertificate(msgspec.Struct, frozen=True, rename="camel"):
    """The server certificate that the pod presents to gateways.

    Attributes:
        not_after: its end; without a time zone it is ignored.
        not_before: its begin; None if the pod does not report it.
    """

    not_after: datetime
    not_before: datetime | None = None


class HandoverState(msgspec.Struct, frozen=True, rename="camel"):
    """The progress of a pod with the handover.

    Attributes:
        instance: the name of its process.
        is_latest: whether the operator confirmed that all its documents are the latest.
        moment: the time of its answer, for `Latest`; 0 from an older version.
    """

    instance: str
    is_latest: bool = True
    moment: int = 0


class Loaded(msgspec.Struct, frozen=True, rename="camel"):
    """An answer to `GET /generation`.

    Attributes:
        generations: the generations in force, by document.
        refused: the last refusal of each document that is not in force, by document.
        server_certificate: None if there is none yet, or the pod does not report it.
        handover: None if the pod does not accept handovers.
        secrets_missing: the Secrets with missing content, as text; empty if nothing is missing.
        kept: the generation that each missing document had before a restart; the pod accepts no older one.
    """

    generations: dict[str, int] = {}
    refused: dict[str, LoadRefusal] = {}
    server_certificate: ServerCertificate | None = None
    handover: HandoverState | None = None
    secrets_missing: str = ""
    kept: dict[str, int] = {}


def bounded(loaded: Loaded) -> Loaded:
    """Return the report with only existing documents and limited texts: an attacker may control the pod."""
    return Loaded(
        _bounded_generations(loaded.generations),
        {
            name: LoadRefusal(clean(each.reason, _MAX_REASON), clean(each.detail, _MAX_DETAIL))
            for name, each in loaded.refused.items()
            if _is_one(name) or name == SERVER_CERTIFICATE
        },
        loaded.server_certificate,
        loaded.handover and _bounded_state(loaded.handover),
        clean(loaded.secrets_missing, _MAX_DETAIL),
        _bounded_generations(loaded.kept),
    )


def _bounded_generations(generations: Mapping[str, int]) -> dict[str, int]:
    return {name: each for name, each in generations.items() if _is_one(name) and 0 <= each <= MAX_GENERATION}


def _is_one(document: str) -> bool:
    return document == TRUST or place_of(document) is not None


def _bounded_state(state: HandoverState) -> HandoverState:
    moment = state.moment if 0 <= state.moment <= _LAST_MOMENT else 0
    return HandoverState(clean(state.instance, _MAX_INSTANCE), state.is_latest, moment)
