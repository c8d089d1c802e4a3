"""The command `stationkeeper`: what a person runs."""

import argparse
import sys

from stationkeeper_core.errors import Fault
from stationkeeper_core.reason_table import REASONS
from stationkeeper_tools.station import command as station


def main() -> None:
    """Runs the subcommand that the command line names; its exit status is the process'."""
    parser = argparse.ArgumentParser(prog="stationkeeper", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="run it all on a real API server on this machine, and show what a gateway gets"
    )
    demo.add_argument("--keep", action="store_true", help="leave it running until SIGTERM or SIGINT")
    demo.add_argument("--json", action="store_true", help="print one JSON object a line")
    commands.add_parser("reasons", help="print the table of reasons as Markdown")
    station.add_parser(commands)
    arguments = parser.parse_args()
    if arguments.command == "reasons":
        print(reasons_page(), end="")  # noqa: T201 - this is the output
        return
    if arguments.command == station.NAME:
        sys.exit(station.run(arguments))
    try:
        from stationkeeper_tools.demo import run_demo  # noqa: PLC0415 - only the demo needs the extra `tools`
    except ModuleNotFoundError as error:
        sys.exit(f"stationkeeper demo needs {error.name}: in the folder of the sources, pip install '.[tools]'")
    sys.exit(run_demo(keep=arguments.keep, as_json=arguments.json))


def reasons_page() -> str:
    """`docs/reasons.md`: every reason with its meaning and remedy."""
    titles = {
        Fault.REQUEST: "Refused requests",
        Fault.HANDSHAKE: "Refused handshakes",
        Fault.RESOURCE: "Resources that are not accepted",
        Fault.LOAD: "Documents that CUPS does not load",
    }
    lines = [
        "# Reasons",
        "",
        "One word for one refusal, the same in the log, in the metrics and in the conditions.",
        "This page is generated from the table in `stationkeeper_core.reason_table` by `make docs`.",
    ]
    for fault, title in titles.items():
        lines += ["", f"## {title}", "", "| reason | status | meaning | what to do |", "|-|-|-|-|"]
        for reason, info in REASONS.items():
            if info.fault is fault:
                lines.append(f"| `{reason}` | {info.http_status or ''} | {info.meaning} | {info.remedy} |")
    return "\n".join(lines) + "\n"
