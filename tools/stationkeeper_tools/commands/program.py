"""The program `stationkeeper`: its commands by name, and how their errors are shown."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_tools.commands.errors import CommandError, CommandFault
from stationkeeper_tools.commands.exit_codes import ExitCode
from stationkeeper_tools.commands.output import Colour, Output, chosen_output, coloured, print_json, print_note
from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.tool_errors import ToolError

NAME = "stationkeeper"

COMMANDS = {
    "serve": "serve_command",
    "issue": "issue_command",
    "check": "check_command",
    "register": "register_command",
    "import": "import_command",
    "trust": "trust_command",
    "explain": "explain_command",
    "status": "status_command",
    "page": "page_command",
    "suspend": "suspend_command",
    "resume": "resume_command",
    "revoke": "revoke_command",
    "rotate-ca": "rotate_ca_command",
    "demo": "demo_command",
    "station": "station_command",
    "completion": "completion_command",
    "reasons": "reasons_command",
    "commands": "commands_command",
}
"""The module of each command, in the order of the help. A module is loaded only when its command is asked for."""

_BROKEN_PIPE = 141


class Program(click.Group):
    """The group of all commands; loads a command's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stationkeeper_tools.commands.{COMMANDS[cmd_name]}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} has no command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn errors of other rooms into command errors, with a reason and an exit code."""
        try:
            return super().invoke(ctx)
        except StationkeeperError as error:
            raise CommandError(error.reason.value, error.detail) from error
        except InputError as error:
            raise CommandError(CommandFault.BAD_INPUT, str(error)) from error
        except ToolError as error:
            raise CommandError(error.fault.value, error.detail, ExitCode.UNREACHABLE) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            detail = f"{where}{error.strerror or error}"
            raise CommandError(CommandFault.NOT_READABLE, detail, ExitCode.UNREACHABLE) from error


@click.command(
    cls=Program, name=NAME, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="stationkeeper", prog_name=NAME)
def program() -> None:
    """Run gateways that speak LoRa Basics Station: one command for each intent.

    `stationkeeper COMMAND --help` explains a command.
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that the command line names, and end the process with its exit code.

    Args:
        arguments: of the command line; those of this process if None.
    """
    try:
        result = program.main(arguments, prog_name=NAME, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print_note(error.format_message())
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        sys.exit(_show(error))
    except (click.Abort, KeyboardInterrupt):
        print_note("Interrupted.")
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Without this, Python reports it again when it flushes at the
        # end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    sys.exit(result if isinstance(result, int) else ExitCode.YES)


def _show(error: click.ClickException) -> int:
    context = error.context if isinstance(error, CommandError) else getattr(error, "ctx", None)
    fault = error.fault if isinstance(error, CommandError) else CommandFault.BAD_INPUT
    status = error.status if isinstance(error, CommandError) else error.exit_code
    if chosen_output(context) is Output.JSON:
        print_json({"error": {"reason": fault, "message": error.format_message(), "exitCode": int(status)}})
    if isinstance(error, click.UsageError) and context is not None:
        print_note(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n")
    print_note(f"{coloured('error', Colour.BAD, bold=True)} {fault}: {error.format_message()}")
    return status
