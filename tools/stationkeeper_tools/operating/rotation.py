"""Show the progress of a fleet from one CA to another, and whether the old CA may be deleted. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.operating.fleet import FleetResource
from stationkeeper_tools.operating.fleet_status import ca_of_last_visit

_MAX_NAMED = 10


@dataclass(frozen=True)
class RotationStep:
    """One step of the plan.

    Attributes:
        name: what the step requires.
        is_done: whether that holds.
        todo: what to do if it does not.
    """

    name: str
    is_done: bool
    todo: str


@dataclass(frozen=True)
class Rotation:
    """The plan and its progress.

    Attributes:
        steps: in their order.
        gateways_of_old: Gateways with a last certificate of the old CA, sorted.
        count_of_new: how many Gateways have a last certificate of the new CA.
        unregistered: EUIs without a Gateway that asked with a certificate of the old CA recently.
    """

    steps: tuple[RotationStep, ...]
    gateways_of_old: tuple[FleetResource, ...]
    count_of_new: int
    unregistered: tuple[str, ...]

    @property
    def may_delete(self) -> bool:
        """Whether no gateway needs the old CA any more."""
        return all(each.is_done for each in self.steps)


def rotation(resources: Iterable[FleetResource], old: FleetResource, new: FleetResource) -> Rotation:
    """Return the plan and its progress.

    A gateway counts as a user of the old CA until CUPS accepts it by another CA: a silent gateway may have no other
    certificate. Suspended gateways do not count, since CUPS refuses them.

    Args:
        resources: all in view.
        old: the TrustedCA to replace.
        new: the TrustedCA that replaces it.
    """
    gateways = [each for each in resources if each.key.kind == GATEWAY and each.spec.get("suspended") is not True]
    of_old, of_new = (f"{each.key.namespace}/{each.key.name}" for each in (old, new))
    gateways_of_old = tuple(
        sorted((each for each in gateways if ca_of_last_visit(each) == of_old), key=lambda each: each.key)
    )
    count_of_new = sum(ca_of_last_visit(each) == of_new for each in gateways)
    tied = sorted((each for each in gateways if _is_tied(each, old, new)), key=lambda each: each.key)
    unregistered = tuple(str(each.get("eui", "")) for each in old.status.get("unregistered") or ())
    steps = (
        RotationStep(f"{new.key} is in force", new.condition("Ready").get("status") == "True", _unready(new)),
        RotationStep(
            "it speaks for every gateway that the old one speaks for",
            not list(_narrower(old.spec, new.spec)) and (old.key.namespace == new.key.namespace or not gateways_of_old),
            f"{', '.join(_narrower(old.spec, new.spec)) or 'its namespace'} of {new.key} leaves gateways out; widen it",
        ),
        RotationStep(
            "no Gateway names only the old one in client.trustedCAs",
            not tied,
            f"add {new.key.name} to spec.client.trustedCAs of {_named(tied)}",
        ),
        RotationStep(
            "no gateway uses the old one any more",
            not gateways_of_old,
            f"give them certificates of {new.key.name}: {_named(gateways_of_old)}; "
            "suspend or delete those that no longer exist",
        ),
        RotationStep(
            "no unregistered gateway uses the old one",
            not unregistered,
            f"register them, or wait 25 h after their last request: {', '.join(unregistered[:_MAX_NAMED])}",
        ),
    )
    return Rotation(steps, gateways_of_old, count_of_new, unregistered)


def _is_tied(each: FleetResource, old: FleetResource, new: FleetResource) -> bool:
    listed = (each.spec.get("client") or {}).get("trustedCAs")
    if not isinstance(listed, list):
        return False
    names = {name.rpartition("/")[2] for name in listed if isinstance(name, str)}
    return old.key.name in names and new.key.name not in names


def _narrower(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields by which the new TrustedCA may accept fewer gateways than the old one."""
    for name in ("euiRanges", "serves"):
        before, after = old.get(name), new.get(name)
        if name == "euiRanges" and after and not set(before or ("all",)) <= set(after):
            yield name
        if name == "serves" and any(each not in (after or ()) for each in before or ()):
            yield name


def _unready(new: FleetResource) -> str:
    ready = new.condition("Ready")
    return f"{ready.get('reason', 'NotJudged')}: {ready.get('message', 'does the operator run?')}"


def _named(resources: Iterable[FleetResource]) -> str:
    listed = [f"{each.key.namespace}/{each.key.name}" for each in resources]
    more = f" and {len(listed) - _MAX_NAMED} more" if len(listed) > _MAX_NAMED else ""
    return ", ".join(listed[:_MAX_NAMED]) + more
