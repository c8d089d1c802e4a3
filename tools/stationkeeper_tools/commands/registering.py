"""Shared parts of `register` and `import`: where they register, and how they report it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from stationkeeper_core.eui64 import format_hex
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import (
    Colour,
    Output,
    coloured,
    counted,
    print_json,
    print_note,
    print_text,
)
from stationkeeper_tools.input_errors import MAX_SHOWN, InputError
from stationkeeper_tools.registering.folder_target import FolderTarget
from stationkeeper_tools.registering.register import RegisterResult, RegisterState, Target, register
from stationkeeper_tools.registering.registration import FoundGateway, Registration, registrations

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class Destination:
    """The place where gateways are registered.

    Attributes:
        namespace: of the Gateways.
        folder: of manifests; None for a cluster.
        kubeconfig, context: of the cluster; None for the usual ones.
        dry_run: change nothing.
    """

    namespace: str
    folder: Path | None
    kubeconfig: Path | None
    context: str | None
    dry_run: bool

    @property
    def shown(self) -> str:
        """The place, in words for people."""
        return str(self.folder) if self.folder is not None else f"the namespace {self.namespace} of the cluster"


def destination_options(decorated: _Decorated) -> _Decorated:
    """Add the options that say where gateways are registered."""
    for option in reversed(
        (
            click.option("--namespace", "-n", required=True, help="The namespace of the Gateways."),
            click.option(
                "--to",
                type=click.Path(file_okay=False, path_type=Path),
                help="Write manifests into this folder, one file for each gateway.",
            ),
            click.option("--apply", "is_applied", is_flag=True, help="Apply to the cluster, by server-side apply."),
            click.option(
                "--kubeconfig",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="The kubeconfig of the cluster. [default: $KUBECONFIG, then ~/.kube/config]",
            ),
            click.option("--context", help="The context in the kubeconfig. [default: its current context]"),
            click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."),
        )
    ):
        decorated = option(decorated)
    return decorated


def chosen_destination(options: Mapping[str, Any]) -> Destination:
    """Return the place that the command line names.

    Args:
        options: the values of `destination_options`, by their names.

    Raises:
        click.UsageError: it names neither a folder nor a cluster, or both.
    """
    if (options["to"] is not None) == options["is_applied"]:
        raise click.UsageError("give one of --to DIR (manifests) and --apply (the cluster)")
    return Destination(
        options["namespace"], options["to"], options["kubeconfig"], options["context"], options["dry_run"]
    )


def register_all(
    gateways: Sequence[FoundGateway], destination: Destination, notes: Iterable[str], output: Output
) -> int:
    """Register gateways, print what changed, and return the exit code.

    Args:
        gateways: of a list.
        destination: the place to register them.
        notes: remarks on the list.
        output: the form of the result.
    """
    wanted = registrations(gateways, destination.namespace)
    told = list(notes)
    results = list(counted(_results(wanted, destination), len(wanted), "Registering"))
    _show(results, destination, told, output)
    return ExitCode.INCOMPLETE if any(each.state is RegisterState.REFUSED for each in results) else ExitCode.YES


def _results(wanted: Sequence[Registration], destination: Destination) -> Iterable[RegisterResult]:
    if destination.folder is not None:
        return register(wanted, FolderTarget(destination.folder, destination.namespace, dry_run=destination.dry_run))
    return _in_cluster(wanted, destination)


def _in_cluster(wanted: Sequence[Registration], destination: Destination) -> Iterable[RegisterResult]:
    from stationkeeper_tools.cluster_access import ClusterError  # noqa: PLC0415 - kubernetes is slow to load
    from stationkeeper_tools.registering.cluster_target import ClusterTarget  # noqa: PLC0415 - the same

    try:
        target: Target = ClusterTarget(
            destination.kubeconfig, destination.context, destination.namespace, dry_run=destination.dry_run
        )
        yield from register(wanted, target)
    except ClusterError as error:
        fault = CommandFault.CLUSTER_REFUSED if error.is_refusal else CommandFault.CLUSTER_UNREACHABLE
        raise CommandError(fault, str(error), ExitCode.UNREACHABLE) from None


def _show(results: Sequence[RegisterResult], destination: Destination, notes: Sequence[str], output: Output) -> None:
    count = {state: sum(each.state is state for each in results) for state in RegisterState}
    for note in notes:
        print_note(f"{coloured('note', Colour.CAUTION)} {note}")
    if output is Output.JSON:
        print_json(
            {
                "where": destination.shown,
                "dryRun": destination.dry_run,
                **{state.value.lower(): number for state, number in count.items()},
                "notes": list(notes),
                "gateways": [
                    {"eui": format_hex(each.eui), "name": each.name, "state": each.state.value, "detail": each.detail}
                    for each in results
                ],
            }
        )
        return
    colours = {
        RegisterState.REFUSED: Colour.BAD,
        RegisterState.CREATED: Colour.GOOD,
        RegisterState.CHANGED: Colour.CAUTION,
    }
    shown = [each for each in results if each.state is not RegisterState.UNCHANGED]
    for each in shown[:MAX_SHOWN]:
        state = coloured(each.state.value, colours[each.state])
        print_text(f"{state} {format_hex(each.eui)} {each.name}{': ' if each.detail else ''}{each.detail}")
    if len(shown) > MAX_SHOWN:
        print_text(f"… and {len(shown) - MAX_SHOWN} more: --output json lists all.")
    numbers = ", ".join(f"{number} {state.value.lower()}" for state, number in count.items())
    print_text(f"{'Would be' if destination.dry_run else 'In'} {destination.shown}: {numbers}")
    if destination.folder is not None and list(destination.folder.glob("*-lns.yaml")):
        print_text("The folder holds Secrets with tokens (*-lns.yaml): keep them out of a repository.")
    if destination.folder is not None and not destination.dry_run:
        print_text(
            f"Next: stationkeeper check {destination.folder}, then kubectl apply --filename {destination.folder}"
        )


def read_pem(path: Path) -> str:
    """Return the PEM text of a file.

    Raises:
        InputError: it is not PEM.
    """
    text = path.read_bytes()[: 64 * 1024].decode("utf-8", "replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InputError(f"{path}: is not a certificate in PEM; convert it: openssl x509 -inform DER -in {path}")
    return text
