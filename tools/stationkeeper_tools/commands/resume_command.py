"""`stationkeeper resume`."""

from stationkeeper_tools.commands.suspending import suspending_command

command = suspending_command(
    "resume",
    """Let a gateway, or all gateways of a CA, in again that `suspend` shut out, and wait until CUPS does.

    Sets spec.suspended to false. What is revoked stays revoked: see `revoke --undo`.

    The exit code is 4 where it is written, and not enforced in time.
    Example: `stationkeeper resume 01-23-45-67-89-AB-CD-EF`
    """,
    suspended=False,
    done="resumed",
)
