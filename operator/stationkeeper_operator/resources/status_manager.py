"""Find which release's operator wrote a status, by the field manager that the API server stores with the object."""

from functools import lru_cache

import msgspec

_PREFIX = "stationkeeper-operator/"


class _ManagedFields(msgspec.Struct, rename="camel"):
    manager: str = ""
    subresource: str = ""
    time: str = ""


class _Managed(msgspec.Struct, rename="camel"):
    managed_fields: tuple[_ManagedFields, ...] | None = None


def status_manager(release: str) -> str:
    """Return the field manager for status writes of the operator of `release` (a namespace)."""
    return f"{_PREFIX}{release}"


def status_writers(metadata: bytes) -> tuple[str, ...]:
    """Return the releases whose operators wrote the status last; several if they wrote in the same second.

    Args:
        metadata: the metadata of the object, as any JSON text.
    """
    if _PREFIX.encode() not in metadata:
        return ()
    try:
        managed = msgspec.json.decode(metadata, type=_Managed).managed_fields or ()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()
    of_status = [each for each in managed if each.subresource == "status" and each.manager.startswith(_PREFIX)]
    latest = max((each.time for each in of_status), default="")
    return _shared(tuple(sorted({each.manager[len(_PREFIX) :] for each in of_status if each.time == latest})))


@lru_cache(maxsize=256)
def _shared(writers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same object for equal writers, because there are very many resources."""
    return writers
