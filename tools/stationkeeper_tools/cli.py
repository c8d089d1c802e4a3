"""The command `stationkeeper`: what a person runs."""

import sys
from typing import NoReturn


def main() -> None:
    """Run the command that the command line names; its exit code is the process'."""
    try:
        from stationkeeper_tools.commands.program import run  # noqa: PLC0415 - click belongs to the extra `tools`
    except ModuleNotFoundError as error:
        _say_what_to_install(error)
    run()


def complete_for_kubectl() -> None:
    """Print the completions of the words on the command line after `kubectl stationkeeper`, as kubectl reads them."""
    try:
        from stationkeeper_tools.commands.kubectl_completion import run  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        _say_what_to_install(error)
    run(sys.argv[1:])


def _say_what_to_install(error: ModuleNotFoundError) -> NoReturn:
    sys.exit(f"stationkeeper needs the package {error.name}: in the folder of the sources, pip install '.[tools]'")
