"""`stationkeeper suspend`."""

from stationkeeper_tools.commands.suspending import suspending_command

command = suspending_command(
    "suspend",
    """Refuse a gateway, or all gateways of a CA, until `resume`, and wait until CUPS does.

    Sets spec.suspended. The Gateway keeps its EUI and its configuration. It is refused by every certificate and token.
    The connection that it has with its LNS goes on: take its LNS key away there too.

    The exit code is 4 where it is written, and not enforced in time.
    Example: `stationkeeper suspend 01-23-45-67-89-AB-CD-EF`
    """,
    suspended=True,
    done="suspended",
)
