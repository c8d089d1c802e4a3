"""`stationkeeper demo`."""

import click

from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave it running until SIGTERM or SIGINT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(keep: bool, as_json: bool) -> int:
    """Run the operator and CUPS on a real API server on this machine, and show what a gateway gets."""
    try:
        from stationkeeper_tools.demo import run_demo  # noqa: PLC0415 - kubernetes and aiohttp are slow to load
    except ModuleNotFoundError as error:
        detail = f"the demo needs the package {error.name}: in the folder of the sources, pip install '.[tools]'"
        raise CommandError(CommandFault.NOT_INSTALLED, detail, ExitCode.UNREACHABLE) from None
    return run_demo(keep=keep, as_json=as_json)
