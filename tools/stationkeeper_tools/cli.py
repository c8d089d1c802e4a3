"""The command `stationkeeper`: what a person runs."""

import sys


def main() -> None:
    """Run the command that the command line names; its exit code is the process'."""
    try:
        from stationkeeper_tools.commands.program import run  # noqa: PLC0415 - click belongs to the extra `tools`
    except ModuleNotFoundError as error:
        sys.exit(f"stationkeeper needs the package {error.name}: in the folder of the sources, pip install '.[tools]'")
    run()
