"""`stationkeeper reasons`: prints `docs/reasons.md`."""

import click

from stationkeeper_core.errors import Fault
from stationkeeper_core.reason_table import REASONS

_TITLES = {
    Fault.REQUEST: "Refused requests",
    Fault.HANDSHAKE: "Refused handshakes",
    Fault.RESOURCE: "Resources that are not accepted",
    Fault.LOAD: "Documents that CUPS does not load",
}


@click.command("reasons")
def command() -> None:
    """Print the table of reasons as Markdown."""
    click.echo(reasons_page(), nl=False)


def reasons_page() -> str:
    """Return `docs/reasons.md`: every reason with its meaning and remedy."""
    lines = [
        "# Reasons",
        "",
        "Each reason is one word. It is the same in the log, in the metrics and in the conditions.",
        "This page is generated from the table in `stationkeeper_core.reason_table` by `make docs`.",
    ]
    for fault, title in _TITLES.items():
        lines += ["", f"## {title}", "", "| reason | status | meaning | what to do |", "|-|-|-|-|"]
        for reason, info in REASONS.items():
            if info.fault is fault:
                lines.append(f"| `{reason}` | {info.http_status or ''} | {info.meaning} | {info.remedy} |")
    return "\n".join(lines) + "\n"
