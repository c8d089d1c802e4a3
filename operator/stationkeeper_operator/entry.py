"""The command `stationkeeper-operator`, with a clear message if a package that it needs is not installed."""

import sys


def main() -> None:
    """Run the command; if a package is missing, exit with 1 and say what to install."""
    try:
        from stationkeeper_operator.main import main as run  # noqa: PLC0415 - its packages belong to the extra `operator`
    except ModuleNotFoundError as error:
        sys.exit(
            f"stationkeeper-operator needs the package {error.name} from the extra `operator`: "
            "in the folder of the sources, pip install '.[operator]'"
        )
    run()
