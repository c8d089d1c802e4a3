"""The command `stationkeeper-cups`, and what it says where the packages that it needs are not installed."""

import sys


def main() -> None:
    """Run the command; exit with 1 and say what to install where a package is missing."""
    try:
        from stationkeeper_cups.main import main as run  # noqa: PLC0415 - its packages belong to the extra `cups`
    except ModuleNotFoundError as error:
        sys.exit(
            f"stationkeeper-cups needs the package {error.name}, which comes with the extra `cups`: "
            "in the folder of the sources, pip install '.[cups]'"
        )
    run()
