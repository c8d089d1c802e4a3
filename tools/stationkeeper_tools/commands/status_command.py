"""`stationkeeper status`."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.fleet_options import explained, fleet_of, fleet_options
from stationkeeper_tools.commands.output import Colour, Output, coloured, output_option, print_json, print_text
from stationkeeper_tools.operating.fleet_status import (
    NEEDS_A_PERSON,
    CALine,
    FleetStatus,
    GatewayLine,
    GatewayState,
    fleet_status,
    state_words,
)

_SHOWN = 20
_COLOURS = {
    **dict.fromkeys(NEEDS_A_PERSON, Colour.BAD),
    GatewayState.SILENT: Colour.CAUTION,
    GatewayState.NEVER_SEEN: Colour.CAUTION,
    GatewayState.FINE: Colour.GOOD,
}


@click.command("status")
@click.option("--silent", is_flag=True, help="List the gateways that have not asked for too long, or have never asked.")
@click.option("--refused", is_flag=True, help="List the gateways whose last request was refused.")
@click.option("--all", "every", is_flag=True, help="List every gateway.")
@click.option(
    "--check-ins",
    type=click.IntRange(1, 365),
    default=2,
    show_default=True,
    help="The number of missed check-ins after which a gateway is silent; a Station asks once a day.",
)
@fleet_options
@output_option()
def command(
    silent: bool,
    refused: bool,
    every: bool,
    check_ins: int,
    manifests: Path | None,
    state: Path | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
    output: Output,
) -> int:
    """Show the fleet on one screen: how many gateways are fine, and what needs a person.

    Each gateway is counted once: as not accepted, suspended, refused, fallen back, not converging, never seen, silent,
    or fine. Then come the gateways that you can register, and each CA with its number of gateways in the last 25 h and
    its end.

    The exit code is 1 if a gateway is refused, not accepted, fell back or does not converge, or if a CA is not in force
    or has expired; with --silent or --refused, if the list has an entry.
    Example: `stationkeeper status --silent --check-ins 3`
    """
    with explained():
        resources = fleet_of(manifests, state, namespace, kubeconfig, context).resources()
    status = fleet_status(resources, datetime.now(UTC), check_ins)
    wanted: set[GatewayState] = set()
    if silent:
        wanted |= {GatewayState.SILENT, GatewayState.NEVER_SEEN}
    if refused:
        wanted.add(GatewayState.REFUSED)
    listed = [each for each in status.gateways if every or each.state in wanted]
    if output is Output.JSON:
        print_json(_fields(status, listed if wanted or every else status.gateways))
    else:
        for line in _list_lines(listed) if wanted or every else _screen(status):
            print_text(line)
    is_no = bool(listed) if wanted else status.needs_a_person
    return ExitCode.NO if is_no else ExitCode.YES


def _fields(status: FleetStatus, listed: Iterable[GatewayLine]) -> dict[str, Any]:
    return {
        "counts": {state.value: status.counts[state] for state in GatewayState},
        "gateways": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "eui": each.eui,
                "state": each.state.value,
                "detail": each.detail,
                "lastSeen": rfc3339(each.last_seen) if each.last_seen else None,
            }
            for each in listed
        ],
        "trustedCAs": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "ready": each.is_ready,
                "reason": each.reason,
                "suspended": each.suspended,
                "users": each.users,
                "notAfter": rfc3339(each.ends) if each.ends else None,
                "expiry": each.stage.value if each.stage else None,
            }
            for each in status.cas
        ],
        "unregistered": [
            {"eui": each.eui, "trustedCA": each.trusted_ca, "lastSeen": each.last_seen} for each in status.unregistered
        ],
    }


def _screen(status: FleetStatus) -> Iterator[str]:
    total = len(status.gateways)
    counts = ", ".join(
        coloured(f"{status.counts[state]} {state_words(state)}", _COLOURS.get(state, Colour.NAME))
        for state in reversed(GatewayState)
        if status.counts[state]
    )
    yield f"{total} gateways" + (f": {counts}" if counts else "")
    urgent = [each for each in status.gateways if each.state in NEEDS_A_PERSON]
    yield from _list_lines(urgent[:_SHOWN])
    if len(urgent) > _SHOWN:
        yield f"  … and {len(urgent) - _SHOWN} more: --output json has all"
    if status.unregistered:
        first = status.unregistered[0]
        yield (
            f"{len(status.unregistered)} gateways with a good certificate are not registered, such as {first.eui} "
            f"by {first.trusted_ca}"
        )
    yield f"{len(status.cas)} CAs:"
    yield from map(_ca_line, status.cas)


def _list_lines(listed: Iterable[GatewayLine]) -> Iterator[str]:
    for each in listed:
        state = coloured(f"{state_words(each.state):<14}", _COLOURS.get(each.state, Colour.NAME))
        seen = rfc3339(each.last_seen) if each.last_seen else "never"
        yield f"  {state} {each.eui:<16}  {each.namespace}/{each.name}  last seen {seen}  {each.detail}".rstrip()


def _ca_line(each: CALine) -> str:
    if each.suspended:
        mark = coloured("suspended", Colour.NAME)
    else:
        mark = coloured("in force", Colour.GOOD) if each.is_ready else coloured(f"NOT READY {each.reason}", Colour.BAD)
    end = f"ends {rfc3339(each.ends)}" if each.ends else "its end is not known"
    stage = f" ({coloured(each.stage.value, Colour.CAUTION)})" if each.stage else ""
    return f"  {each.namespace}/{each.name}: {mark}, {each.users} users, {end}{stage}"
