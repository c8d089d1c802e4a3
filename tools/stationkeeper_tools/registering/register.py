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
        target: where.

    Yields:
        The result for each, in the order of the list.
    """
    specs = dict(target.existing())
    names = {str(spec.get("eui")): name for name, spec in specs.items()}
    for each in wanted:
        other = names.get(format_hex(each.eui))
        if other is not None and other != each.name:
            yield RegisterResult(each.eui, other, RegisterState.UNCHANGED, "is registered under this name")
            continue
        yield _put(each, specs.get(each.name), target)


def _put(each: Registration, held: Mapping[str, Any] | None, target: Target) -> RegisterResult:
    if held is not None and held.get("eui") != format_hex(each.eui):
        detail = f"the name belongs to the gateway {str(held.get('eui'))[:64]}; give this one another name in the list"
        return RegisterResult(each.eui, each.name, RegisterState.REFUSED, detail)
    is_same = held is not None and _holds(held, each.gateway["spec"])
    if is_same and each.secret is None:
        return RegisterResult(each.eui, each.name, RegisterState.UNCHANGED)
    try:
        is_changed = target.put(each, is_new=held is None, is_same=is_same)
    except TargetRefusedError as error:
        return RegisterResult(each.eui, each.name, RegisterState.REFUSED, str(error))
    if not is_changed:
        return RegisterResult(each.eui, each.name, RegisterState.UNCHANGED)
    return RegisterResult(each.eui, each.name, RegisterState.CREATED if held is None else RegisterState.CHANGED)


def _holds(held: Any, wanted: Any) -> bool:
    """Return whether `held` has every field and value of `wanted`."""
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        return all(key in held and _holds(held[key], value) for key, value in wanted.items())
    return bool(held == wanted)
