"""The log of the process: one JSON object per line, on standard error."""

import logging
import sys

from stationkeeper_core.log_line import JsonFormatter


def log_as_json(level: str) -> None:
    """Write all log records from `level` on as JSON, with libraries' warnings; from kopf only warnings and errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    if level != "DEBUG":
        logging.getLogger("kopf").setLevel(logging.WARNING)
