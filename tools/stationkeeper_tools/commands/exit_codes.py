"""The exit codes of the commands, for scripts. `docs/commands.md` is made from this table."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of every command."""

    YES = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    INCOMPLETE = 4
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, tuple[str, str]] = {
    ExitCode.YES: ("The work is done, or the answer is yes.", "Nothing."),
    ExitCode.NO: (
        "The answer is no: a manifest has an error, a Station would refuse the server, CUPS would refuse a gateway, a"
        " fleet needs a person, or a CA must not be deleted yet.",
        "Read the findings.",
    ),
    ExitCode.USAGE: (
        "The command line, or a file that it names, is wrong. Nothing was changed.",
        "Correct it; the message says where.",
    ),
    ExitCode.UNREACHABLE: (
        "A server, a cluster or a folder cannot be reached, read or written.",
        "Check the address and the rights, then run the same command again.",
    ),
    ExitCode.INCOMPLETE: (
        "A part is done and stays done; the rest was refused, or is not enforced yet.",
        "Read which part failed, correct it, then run the same command again.",
    ),
    ExitCode.INTERRUPTED: ("It was interrupted by Ctrl-C.", "Run the same command again; it continues."),
}
