"""The command `stationkeeper-operator`, and what it says where the packages that it needs are not installed."""

import sys


def main() -> None:
    """Run the command; exit with 1 and say what to install where a package is missing."""
    try:
        from stationkeeper_operator.main import main as run  # noqa: PLC0415 - its packages belong to the extra `operator`
    except ModuleNotFoundError as error:
        sys.exit(
            f"stationkeeper-operator needs the package {error.name}, which comes with the extra `operator`: "
            "in the folder of the sources, pip install '.[operator]'"
        )
    run()
