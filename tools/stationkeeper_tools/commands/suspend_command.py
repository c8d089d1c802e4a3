"""`stationkeeper suspend`."""

from stationkeeper_tools.commands.suspending import suspending_command

command = suspending_command(
    "suspend",
    """Refuse a gateway, or all gateways of a CA, until `resume`, and wait until CUPS does.

    Sets spec.suspended. The Gateway keeps its EUI and its configuration. CUPS refuses it with any certificate or token.
    The gateway's connection to its LNS stays open: remove its LNS key there too.

    The exit code is 4 if the change is written but not enforced in time.
    Example: `stationkeeper suspend 01-23-45-67-89-AB-CD-EF`
    """,
    suspended=True,
    done="suspended",
)
