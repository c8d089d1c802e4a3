"""`stationkeeper register`."""

from pathlib import Path
from typing import Any

import click

from stationkeeper_tools.commands.output import Output, output_option
from stationkeeper_tools.commands.registering import chosen_destination, destination_options, register_all
from stationkeeper_tools.fleet.gateway_csv import read_gateway_csv
from stationkeeper_tools.registering.registration import FoundGateway


@click.command("register")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The list of gateways; its column eui takes any usual form. A column name is optional.",
)
@destination_options
@output_option()
def command(
    csv_file: Path,
    output: Output,
    **options: Any,
) -> int:
    """Register the gateways of a list, and show what changed.

    Each gateway gets a Gateway resource that has only its EUI; the GatewayDefaults of the namespace gives its LNS. A
    gateway that is already registered, under any name, stays as it is, so the same command can run again.

    Example: `stationkeeper register --csv gateways.csv --namespace radio --apply --dry-run`
    """
    destination = chosen_destination(options)
    found = [FoundGateway(f"{csv_file}:{each.line}", each.eui, each.name) for each in read_gateway_csv(csv_file)]
    return register_all(found, destination, (), output)
