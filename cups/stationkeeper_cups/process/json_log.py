"""The log of the process: one JSON object per line, on standard error."""

import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from stationkeeper_core.log_line import JsonFormatter

_NAMES = {level: logging.getLevelName(level) for level in (logging.INFO, logging.WARNING, logging.ERROR)}


class LeanRecord(logging.LogRecord):
    """A record with only the fields of a line.

    The standard record also splits its file name and reads the time again; that would cost more than writing the line.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the signature of logging's records
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,  # typeshed's type is wider than the real values
        exc_info: Any,
        func: str | None = None,
        sinfo: str | None = None,
        **_kwargs: object,
    ) -> None:
        self.name = name
        self.levelno = level
        self.levelname = _NAMES.get(level) or logging.getLevelName(level)
        self.pathname, self.lineno, self.funcName = pathname, lineno, func or ""
        # `log("%(name)s", {"name": …})` names its values.
        is_named = len(args or ()) == 1 and isinstance(args[0], Mapping) and args[0]
        self.msg, self.args = msg, args[0] if is_named else args
        self.exc_info, self.exc_text, self.stack_info = exc_info, None, sinfo
        self.created = time.time()


class LineHandler(logging.Handler):
    """Writes each line to standard error at once, in one system call, so that it needs no lock.

    The standard handler formats text, encodes it, and writes it through a stream.
    """

    def __init__(self) -> None:
        super().__init__()
        self._file = sys.stderr.fileno()
        self._format = JsonFormatter()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line of `record`, unless a filter drops it; a failed write raises no error."""
        if self.filters and not self.filter(record):
            return False
        try:
            line = self._format.encode(record) + b"\n"
            while line:
                line = line[os.write(self._file, line) :]
        except Exception:
            self.handleError(record)
        return True


def log_as_json(level: str) -> None:
    """Write all log records from `level` on as JSON, with warnings of libraries."""
    # A line has none of these values, and each value costs time in every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.setLogRecordFactory(LeanRecord)
    logging.basicConfig(level=level, handlers=[LineHandler()], force=True)
    # The package cryptography warns of names in certificates that are longer than the standard allows; gateways in use
    # have them.
    logging.captureWarnings(capture=True)
