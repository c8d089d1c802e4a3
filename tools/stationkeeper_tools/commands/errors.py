"""Errors of a command: what is wrong, where, and what to do, with a stable name and an exit code."""

from enum import StrEnum

import click

from stationkeeper_tools.commands.exit_codes import ExitCode


class CommandFault(StrEnum):
    """The stable names of `CommandError`."""

    BAD_INPUT = "BadInput"
    """A file or an option cannot be used."""
    NOT_READABLE = "NotReadable"
    """A file or folder cannot be read or written."""
    SERVER_UNREACHABLE = "ServerUnreachable"
    """A server does not answer in time, or not as expected."""
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    """The API server of the cluster does not answer."""
    CLUSTER_REFUSED = "ClusterRefused"
    """The API server of the cluster refuses."""
    NOT_INSTALLED = "NotInstalled"
    """A package that the command needs is missing."""


class CommandError(click.ClickException):
    """A command cannot do its work.

    Args:
        fault: the stable name.
        detail: what is wrong, where, and what to do; never a secret.
        status: the exit code of the process.

    Attributes:
        context: of the command, None outside of one.
    """

    def __init__(self, fault: str, detail: str, status: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(detail)
        self.fault = fault
        self.status = status
        self.context = click.get_current_context(silent=True)
