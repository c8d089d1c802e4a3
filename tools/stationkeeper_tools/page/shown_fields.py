"""The fields of a resource that the page stores and shows, with types and limits. Pure.

A tenant or a gateway may have written any of these fields. Only the fields that are named here are stored, so nothing
else can be shown; a field of another type than expected is left out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from stationkeeper_core.published.observation import clean
from stationkeeper_operator.resources.records import GATEWAY, MAX_NAME, TRUSTED_CA
from stationkeeper_tools.operating.fleet import FleetResource, ResourceName
from stationkeeper_tools.operating.fleet_status import moment

MAX_MESSAGE = 1000
MAX_CERTIFICATES = 200
MAX_UNREGISTERED = 50

NOT_SHOWN = "(not shown)"
"""The text in place of a URI that a Station would not accept: such a URI may hold a password."""

_MAX_TEXT = 256
_MAX_CONDITIONS = 16
_MAX_OUTSTANDING = 4
_MAX_COUNT = 2**53
_YEARS = (1900, 9000)
_URI = re.compile(r"(?:wss?|https)://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")

_Shape = Callable[[object], object]


def shown_resource(kind: str, item: object) -> FleetResource | None:
    """Return the shown fields of a resource; None if it has no name.

    Args:
        kind: `Gateway` or `TrustedCA`.
        item: the decoded object of the API server.
    """
    if not isinstance(item, Mapping):
        return None
    metadata = item.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    namespace, name = known.get("namespace"), known.get("name")
    if not (isinstance(namespace, str) and isinstance(name, str) and namespace and name):
        return None
    key = ResourceName(kind, clean(namespace, MAX_NAME), clean(name, MAX_NAME))
    spec, status = (_object(shape)(item.get(part)) for part, shape in _SHAPES[kind].items())
    generation = _count(known.get("generation"))
    return FleetResource(key, spec or {}, status or {}, generation if isinstance(generation, int) else 0)


def _text(most: int = _MAX_TEXT) -> _Shape:
    # A message may have several lines; on the page it has one.
    return lambda value: clean(" ".join(value[: 2 * most].split()), most) if isinstance(value, str) else None


def _moment(value: object) -> object:
    # Near the smallest and the largest `datetime`, arithmetic fails.
    found = moment(value) if isinstance(value, str) and value.isascii() and value.isprintable() else None
    return value if found is not None and _YEARS[0] <= found.year <= _YEARS[1] else None


def _uri(value: object) -> object:
    if not isinstance(value, str):
        return None
    return value if _URI.fullmatch(value) else NOT_SHOWN


def _flag(value: object) -> object:
    return value if isinstance(value, bool) else None


def _count(value: object) -> object:
    is_count = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_COUNT
    return value if is_count else None


def _object(fields: Mapping[str, _Shape]) -> Callable[[object], dict[str, Any] | None]:
    def read(value: object) -> dict[str, Any] | None:
        if not isinstance(value, Mapping):
            return None
        found = {name: shape(value.get(name)) for name, shape in fields.items() if name in value}
        return {name: each for name, each in found.items() if each is not None}

    return read


def _items(most: int, shape: _Shape) -> _Shape:
    def read(value: object) -> object:
        if not isinstance(value, list):
            return None
        found = (shape(each) for each in value[:most])
        return [each for each in found if each is not None]

    return read


_CONDITIONS = _items(
    _MAX_CONDITIONS,
    _object(
        {
            "type": _text(),
            "status": _text(),
            "reason": _text(),
            "message": _text(MAX_MESSAGE),
            "lastTransitionTime": _moment,
            "observedGeneration": _count,
        }
    ),
)
_ENDPOINT = _object({"uri": _uri})
_UNREGISTERED = _object({"eui": _text(), "lastSeen": _moment, "model": _text(), "station": _text()})
_CA_CERTIFICATE = _object(
    {
        "subject": _text(),
        "sha256": _text(),
        "notAfter": _moment,
        "role": _text(),
        "problem": _text(),
        "retainedUntil": _moment,
    }
)
_REVOCATION_LIST = _object(
    {"issuer": _text(), "entries": _count, "thisUpdate": _moment, "nextUpdate": _moment, "overdue": _flag}
)
_SHAPES: Mapping[str, Mapping[str, Mapping[str, _Shape]]] = {
    GATEWAY: {
        "spec": {"eui": _text(), "suspended": _flag, "lns": _ENDPOINT, "cups": _ENDPOINT},
        "status": {
            "conditions": _CONDITIONS,
            "lnsURI": _uri,
            "lastSeen": _moment,
            "station": _text(),
            "model": _text(),
            "package": _text(),
            "certificate": _object(
                {
                    "serial": _text(),
                    "sha256": _text(),
                    "notAfter": _moment,
                    "notBefore": _moment,
                    "trustedCA": _text(2 * MAX_NAME),
                    "isCA": _flag,
                }
            ),
            "lastRefusal": _object({"reason": _text(), "time": _moment, "claimed": _flag}),
            "delivery": _object(
                {"state": _text(), "deliveries": _count, "outstanding": _items(_MAX_OUTSTANDING, _text())}
            ),
        },
    },
    TRUSTED_CA: {
        "spec": {"suspended": _flag},
        "status": {
            "conditions": _CONDITIONS,
            "certificateCount": _count,
            "certificates": _items(MAX_CERTIFICATES, _CA_CERTIFICATE),
            "gatewaysSeen": _count,
            "caCertificatesSeen": _count,
            "unregistered": _items(MAX_UNREGISTERED, _UNREGISTERED),
            "revocationLists": _items(MAX_CERTIFICATES, _REVOCATION_LIST),
        },
    },
}
