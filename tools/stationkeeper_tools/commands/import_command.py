"""`stationkeeper import`."""

from pathlib import Path
from typing import Any

import click

from stationkeeper_tools.commands.output import Output, output_option
from stationkeeper_tools.commands.registering import chosen_destination, destination_options, read_pem, register_all
from stationkeeper_tools.registering.exports import read_chirpstack_export, read_tts_export

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("import")
def command() -> None:
    """Register the gateways that another server has exported."""


@command.command("tts")
@click.argument("file", type=_FILE)
@click.option(
    "--lns-trust",
    type=_FILE,
    help="The root CA of the LNS' certificate, PEM. With it, each gateway keeps its Gateway Server as LNS, and its"
    " LNS key if the export has it.",
)
@destination_options
@output_option()
def tts(
    file: Path,
    lns_trust: Path | None,
    output: Output,
    **options: Any,
) -> int:
    """Register the gateways of an export of The Things Stack.

    FILE is what `ttn-lw-cli gateways list --name --gateway-server-address --lbs-lns-secret` prints, or an answer of the
    API's /api/v3/gateways. Gateways without an EUI are left out and listed in the output. LNS keys go into Secrets and
    are not shown.
    """
    destination = chosen_destination(options)
    export = read_tts_export(file, read_pem(lns_trust) if lns_trust is not None else None)
    return register_all(export.gateways, destination, export.notes, output)


@command.command("chirpstack")
@click.argument("file", type=_FILE)
@destination_options
@output_option()
def chirpstack(
    file: Path,
    output: Output,
    **options: Any,
) -> int:
    """Register the gateways of an export of ChirpStack.

    FILE is an answer of the API's `GET /api/gateways?limit=1000`. The GatewayDefaults of the namespace gives their LNS.
    """
    destination = chosen_destination(options)
    export = read_chirpstack_export(file)
    return register_all(export.gateways, destination, export.notes, output)
