"""`stationkeeper resume`."""

from stationkeeper_tools.commands.suspending import suspending_command

command = suspending_command(
    "resume",
    """Accept a gateway, or all gateways of a CA, again after `suspend`, and wait until CUPS does.

    Sets spec.suspended to false. Revoked certificates stay revoked: see `revoke --undo`.

    The exit code is 4 if the change is written but not enforced in time.
    Example: `stationkeeper resume 01-23-45-67-89-AB-CD-EF`
    """,
    suspended=False,
    done="resumed",
)
