"""Register gateways that are not registered yet, and report what changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.registering.registration import Registration


class RegisterState(StrEnum):
    """The result for a gateway of the list."""

    CREATED = "Created"
    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    REFUSED = "Refused"


@dataclass(frozen=True)
class RegisterResult:
    """The result for a gateway of the list.

    Attributes:
        eui: of the gateway.
        name: of its Gateway resource.
        state: what changed.
        detail: why it is refused, or where it is registered already; else empty.
    """

    eui: EUI64
    name: str
    state: RegisterState
    detail: str = ""


class TargetRefusedError(Exception):
    """The target refuses one object; the message says why."""


class Target(Protocol):
    """The place for new Gateways."""

    def existing(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return the name and spec of each existing Gateway."""

    def put(self, registration: Registration, *, is_new: bool, is_same: bool) -> bool:
        """Create or change the objects of a gateway.

        Args:
            registration: the objects of the gateway.
            is_new: whether there is no Gateway of that name.
            is_same: whether there is one, and it already holds the same values.

        Returns:
            Whether anything changed.

        Raises:
            TargetRefusedError: they cannot be put there.
        """


def register(wanted: Iterable[Registration], target: Target) -> Iterator[RegisterResult]:
    """Register each gateway once; what a person has added to a Gateway stays.

    Args:
        wanted: of one list.
        target: the destination.

    Yields:
        The result for each, in the order of the list.
    """
    specs = dict(target.existing())
    names = {str(spec.get("eui")): name for name, spec in specs.items()}
    for registration in wanted:
        other = names.get(format_hex(registration.eui))
        if other is not None and other != registration.name:
            yield RegisterResult(registration.eui, other, RegisterState.UNCHANGED, "is registered under this name")
            continue
        yield _put(registration, specs.get(registration.name), target)


def _put(registration: Registration, existing: Mapping[str, Any] | None, target: Target) -> RegisterResult:
    if existing is not None and existing.get("eui") != format_hex(registration.eui):
        detail = (
            f"the name belongs to the gateway {str(existing.get('eui'))[:64]}; give this one another name in the list"
        )
        return RegisterResult(registration.eui, registration.name, RegisterState.REFUSED, detail)
    is_same = existing is not None and _holds(existing, registration.gateway["spec"])
    if is_same and registration.secret is None:
        return RegisterResult(registration.eui, registration.name, RegisterState.UNCHANGED)
    try:
        is_changed = target.put(registration, is_new=existing is None, is_same=is_same)
    except TargetRefusedError as error:
        return RegisterResult(registration.eui, registration.name, RegisterState.REFUSED, str(error))
    if not is_changed:
        return RegisterResult(registration.eui, registration.name, RegisterState.UNCHANGED)
    return RegisterResult(
        registration.eui, registration.name, RegisterState.CREATED if existing is None else RegisterState.CHANGED
    )


def _holds(present: Any, wanted: Any) -> bool:
    """Return whether `present` has every field and value of `wanted`."""
    if isinstance(present, Mapping) and isinstance(wanted, Mapping):
        return all(key in present and _holds(present[key], value) for key, value in wanted.items())
    return bool(present == wanted)
