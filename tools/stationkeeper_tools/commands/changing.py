"""Shared parts of the commands that change a resource: the wait, and the report of its result."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, coloured, counted, print_json, print_text
from stationkeeper_tools.operating.enforcing import POLL_SECONDS, Enforced, change_and_wait
from stationkeeper_tools.operating.fleet import Edit, Fleet, FleetResource

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds to wait until CUPS enforces the change; 0 does not wait.",
)


def change(fleet: Fleet, resource: FleetResource, edit: Edit, timeout: float) -> Enforced:
    """Edit a resource and wait; show a progress bar if that takes longer than a second."""
    length = max(1, int(timeout / POLL_SECONDS))

    def waiting(polls: Iterator[None]) -> Iterator[None]:
        return counted(polls, length, f"Waiting for {resource.key}")

    return change_and_wait(fleet, resource, edit, timeout, waiting)


def tell(outcomes: Sequence[Enforced], done: str, output: Output, **more: Any) -> int:
    """Print the result of changes and return the exit code.

    Args:
        outcomes: of one or more resources.
        done: what was done to them, such as `revoked`.
        output: text or JSON.
        more: more fields of the JSON object.
    """
    if output is Output.JSON:
        print_json({**more, "resources": [_fields(each) for each in outcomes]})
    else:
        for each in outcomes:
            print_text(_line(each, done))
    return ExitCode.YES if all(each.is_enforced for each in outcomes) else ExitCode.INCOMPLETE


def _fields(each: Enforced) -> dict[str, Any]:
    return {
        **each.resource.key._asdict(),
        "file": each.resource.location,
        "changed": each.changed,
        "enforced": each.is_enforced,
        "seconds": round(each.seconds, 2),
        "message": each.message,
    }


def _line(each: Enforced, done: str) -> str:
    location = f" ({each.resource.location})" if each.resource.location else ""
    what = done if each.changed else f"was {done} already"
    if not each.is_enforced:
        mark = coloured("not enforced yet", Colour.BAD, bold=True)
        return f"{each.resource.key}: {what}, and {mark}: {each.message}{location}"
    told = f": {each.message}" if each.message else ""
    after = f" after {each.seconds:.1f} s" if each.changed else ""
    return f"{each.resource.key}: {what}, {coloured('enforced', Colour.GOOD)}{after}{told}{location}"
