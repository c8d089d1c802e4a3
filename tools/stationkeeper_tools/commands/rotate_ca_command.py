"""`stationkeeper rotate-ca`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.fleet_options import explained, fleet_of, fleet_options
from stationkeeper_tools.commands.output import Colour, Output, coloured, counted, output_option, print_json, print_text
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.operating.fleet import Fleet, ResourceName, trusted_ca_of
from stationkeeper_tools.operating.rotation import Rotation, rotation

_POLL_SECONDS = 5.0
_SHOWN = 20


@click.command("rotate-ca")
@click.argument("old")
@click.argument("new")
@click.option("--delete", "-d", is_flag=True, help="Delete OLD, but only if every step is done.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 30 * 86400),
    default=0.0,
    show_default=True,
    help="Seconds to wait until every step is done.",
)
@fleet_options
@output_option()
def command(
    old: str,
    new: str,
    delete: bool,
    wait: float,
    manifests: Path | None,
    state: Path | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
    output: Output,
) -> int:
    """Show the progress of a change from one CA to another.

    OLD and NEW are names of TrustedCAs, or NAMESPACE/NAME. First apply NEW beside OLD: then both are trusted. Then give
    each gateway a certificate of NEW. Delete OLD when no gateway uses it any more. A gateway counts as a user of OLD
    until CUPS accepts it by another CA, even if it is silent for long. Before that, --delete refuses.

    The exit code is 0 if every step is done, 1 if not.
    Example: `stationkeeper rotate-ca vendor-2025 vendor-2026 -n radio --delete`
    """
    with explained():
        fleet = fleet_of(manifests, state, namespace, kubeconfig, context)
        progress, key = _look(fleet, old, new)
        for _ in counted(_polls(wait), max(1, int(wait / _POLL_SECONDS)), f"Waiting until no gateway uses {key.name}"):
            if progress.may_delete:
                break
            progress, key = _look(fleet, old, new)
        if delete and progress.may_delete:
            fleet.delete(key)
    is_deleted = delete and progress.may_delete
    if output is Output.JSON:
        print_json(_fields(progress, is_deleted=is_deleted))
    else:
        for line in _lines(progress, key, delete=delete):
            print_text(line)
    return ExitCode.YES if progress.may_delete else ExitCode.NO


def _look(fleet: Fleet, old: str, new: str) -> tuple[Rotation, ResourceName]:
    resources = fleet.resources()
    before, after = trusted_ca_of(resources, old), trusted_ca_of(resources, new)
    if before.key == after.key:
        raise InputError("OLD and NEW are the same TrustedCA")
    return rotation(resources, before, after), before.key


def _polls(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))


def _fields(progress: Rotation, *, is_deleted: bool) -> dict[str, Any]:
    return {
        "steps": [
            {"step": each.name, "done": each.is_done, "next": "" if each.is_done else each.todo}
            for each in progress.steps
        ],
        "byOld": [
            {
                "namespace": each.key.namespace,
                "name": each.key.name,
                "eui": each.spec.get("eui"),
                "lastSeen": each.status.get("lastSeen"),
            }
            for each in progress.gateways_of_old
        ],
        "byNew": progress.count_of_new,
        "unregistered": list(progress.unregistered),
        "mayDelete": progress.may_delete,
        "deleted": is_deleted,
    }


def _lines(progress: Rotation, key: ResourceName, *, delete: bool) -> Iterator[str]:
    for each in progress.steps:
        mark = coloured("done", Colour.GOOD) if each.is_done else coloured("TODO", Colour.BAD, bold=True)
        yield f"  {mark}  {each.name}" + ("" if each.is_done else f": {each.todo}")
    total = progress.count_of_new + len(progress.gateways_of_old)
    share = f" ({100 * progress.count_of_new // total} %)" if total else ""
    yield f"{progress.count_of_new} of {total} gateways use the new CA{share}."
    for gateway in progress.gateways_of_old[:_SHOWN]:
        seen = gateway.status.get("lastSeen", "never")
        yield f"  still by {key.name}: {gateway.spec.get('eui')}  {gateway.key.namespace}/{gateway.key.name}, {seen}"
    if len(progress.gateways_of_old) > _SHOWN:
        yield f"  … and {len(progress.gateways_of_old) - _SHOWN} more: --output json has all"
    if not progress.may_delete:
        yield f"{key} {'is not deleted' if delete else 'must not be deleted'}: CUPS would refuse gateways."
    elif delete:
        yield f"{key} is deleted."
    else:
        yield f"{key} may be deleted: run this again with --delete."
