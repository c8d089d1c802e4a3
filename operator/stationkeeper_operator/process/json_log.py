"""The log of the process: one JSON object a line, on standard error."""

import logging
import sys

from stationkeeper_core.log_line import JsonFormatter


def log_as_json(level: str) -> None:
    """Has all that is logged from `level` on written as JSON, libraries' warnings too; of kopf only what went wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    if level != "DEBUG":
        logging.getLogger("kopf").setLevel(logging.WARNING)
