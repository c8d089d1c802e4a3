"""The options that say where the fleet is: in a cluster or in a folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.commands.errors import CommandError
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.fleet.eui_spelling import read_eui
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.operating.fleet import Fleet, FleetError, FleetFault
from stationkeeper_tools.standalone.default_state import default_state

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_STATUS = {
    FleetFault.NOT_FOUND: ExitCode.USAGE,
    FleetFault.AMBIGUOUS: ExitCode.USAGE,
    FleetFault.NOT_EDITABLE: ExitCode.USAGE,
    FleetFault.REFUSED: ExitCode.UNREACHABLE,
    FleetFault.UNREACHABLE: ExitCode.UNREACHABLE,
}

_OPTIONS = (
    click.option(
        "--manifests",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The folder of `stationkeeper serve`, instead of a cluster.",
    ),
    click.option(
        "--state",
        type=click.Path(path_type=Path),
        help="Its state folder. [default: the same as for `stationkeeper serve`]",
    ),
    click.option("--namespace", "-n", help="Only this namespace. [default: all]"),
    click.option(
        "--kubeconfig",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The kubeconfig of the cluster. [default: $KUBECONFIG, then ~/.kube/config]",
    ),
    click.option("--context", help="The context in the kubeconfig. [default: its current context]"),
)


def fleet_options(function: _Decorated) -> _Decorated:
    """Add the options that `fleet_of` takes to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fleet_of(
    manifests: Path | None, state: Path | None, namespace: str | None, kubeconfig: Path | None, context: str | None
) -> Fleet:
    """Return the fleet that the options describe.

    Raises:
        FleetError: the kubeconfig cannot be used.
    """
    if manifests is not None:
        if kubeconfig is not None or context is not None:
            raise InputError(
                "--manifests is for a folder, --kubeconfig and --context are for a cluster: give only one of them"
            )
        from stationkeeper_tools.operating.folder_fleet import FolderFleet  # noqa: PLC0415 - one of the two is needed

        return FolderFleet(manifests, state or default_state(os.environ), "default", namespace)
    from stationkeeper_tools.operating.cluster_fleet import ClusterFleet  # noqa: PLC0415 - kubernetes is slow to load

    return ClusterFleet(kubeconfig, context, namespace)


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of a fleet into command errors, with a reason and an exit code."""
    try:
        yield
    except FleetError as error:
        raise CommandError(error.fault.value, str(error), _STATUS[error.fault]) from None


def wanted_eui(text: str) -> EUI64:
    """Return the EUI that a person wrote in any of the usual forms.

    Raises:
        InputError: it is not an EUI.
    """
    try:
        return read_eui(text)
    except ValueError as error:
        raise InputError(str(error)) from None
