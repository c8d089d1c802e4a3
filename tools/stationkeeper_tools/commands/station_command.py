"""`stationkeeper station`: pass the command line to the simulator, which parses it itself."""

import argparse

import click

from stationkeeper_tools.station import command as simulator


@click.command(
    simulator.NAME,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
    options_metavar="",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def command(arguments: tuple[str, ...]) -> int:
    """Simulate a gateway: ask a CUPS server, store what it sends, and show it.

    `stationkeeper station --help` lists the options; docs/station.md explains them.
    """
    parser = argparse.ArgumentParser(prog="stationkeeper")
    simulator.add_parser(parser.add_subparsers(dest="command", required=True))
    return simulator.run(parser.parse_args([simulator.NAME, *arguments]))
