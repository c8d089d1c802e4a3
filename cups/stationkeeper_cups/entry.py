"""The command `stationkeeper-cups`, with a clear message if a package that it needs is not installed."""

import sys


def main() -> None:
    """Run the command; if a package is missing, exit with 1 and say what to install."""
    try:
        from stationkeeper_cups.main import main as run  # noqa: PLC0415 - its packages belong to the extra `cups`
    except ModuleNotFoundError as error:
        sys.exit(
            f"stationkeeper-cups needs the package {error.name} from the extra `cups`: "
            "in the folder of the sources, pip install '.[cups]'"
        )
    run()
