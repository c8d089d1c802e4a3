"""The log of the process: one JSON object a line, on standard error."""

import logging
import sys

from stationkeeper_core.log_line import JsonFormatter


def log_as_json(level: str) -> None:
    """Has everything that is logged from `level` on written as JSON, warnings of libraries among it."""
    # Nothing of these is in a line, and each costs time in every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # cryptography warns of names in certificates that are longer than they should be; those are in the field.
    logging.captureWarnings(capture=True)
