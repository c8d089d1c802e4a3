"""`stationkeeper suspend` and `stationkeeper resume`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stationkeeper_tools.commands.changing import change, tell, timeout_option
from stationkeeper_tools.commands.fleet_options import explained, fleet_of, fleet_options, wanted_eui
from stationkeeper_tools.commands.output import Output, output_option
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.operating.fleet import Change, Edit, gateway_of, trusted_ca_of


def suspending_command(name: str, help_text: str, *, suspended: bool, done: str) -> click.Command:
    """Return the command that sets `spec.suspended`.

    Args:
        name: of the command.
        help_text: of the command.
        suspended: the value that it sets.
        done: the past participle for messages, such as `suspended`.
    """

    def callback(  # noqa: PLR0913 - click passes every option by name
        *,
        eui: str | None,
        ca: str | None,
        timeout: float,
        manifests: Path | None,
        state: Path | None,
        namespace: str | None,
        kubeconfig: Path | None,
        context: str | None,
        output: Output,
    ) -> int:
        if (eui is None) == (ca is None):
            raise InputError(f"give one of the EUI of a gateway and --ca: stationkeeper {name} EUI")
        with explained():
            fleet = fleet_of(manifests, state, namespace, kubeconfig, context)
            resources = fleet.resources()
            wanted = gateway_of(resources, wanted_eui(eui)) if eui is not None else trusted_ca_of(resources, ca or "")
            outcome = change(fleet, wanted, Edit(Change.SET, ("suspended",), suspended), timeout)
        return tell([outcome], done, output)

    decorated: Callable[..., Any] = callback
    for option in reversed(
        (
            click.argument("eui", required=False),
            click.option("--ca", help="The name of a TrustedCA instead, or NAMESPACE/NAME."),
            timeout_option,
            fleet_options,
            output_option(),
        )
    ):
        decorated = option(decorated)
    return click.command(name, help=help_text)(decorated)
