"""The operator process: settings, signals and exit status."""

import asyncio
import logging
import os
import signal
import sys

from stationkeeper_core.setting_values import SettingsError
from stationkeeper_operator.api.kubernetes_credentials import CredentialsError
from stationkeeper_operator.process.free_memory import keep_little_free_memory
from stationkeeper_operator.process.json_log import log_as_json
from stationkeeper_operator.runtime import operate
from stationkeeper_operator.settings import Settings, read_settings

_log = logging.getLogger("stationkeeper.operator")


def main() -> None:
    """Run the operator until SIGTERM or SIGINT.

    The exit status is 2 if the configuration does not allow a start, and 1 if a part failed.
    """
    keep_little_free_memory()
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        log_as_json(settings.log_level)
        asyncio.run(_run(settings))
    except (SettingsError, CredentialsError, OSError) as error:
        print(f"stationkeeper-operator: {error}", file=sys.stderr)  # noqa: T201 - there may be no log yet
        sys.exit(2)
    except RuntimeError:
        _log.exception("failed")
        sys.exit(1)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await operate(settings, stop)
