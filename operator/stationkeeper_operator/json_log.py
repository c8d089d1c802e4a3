"""The log of the process: one JSON object a line, on standard error."""

import logging
import sys

from stationkeeper_core.log_line import log_line


class JsonFormatter(logging.Formatter):
    """Formats a record, with what its `extra={"fields": …}` holds, as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        fields: dict[str, object] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return log_line(record.created, record.levelname, record.name, record.getMessage(), fields)


def log_as_json(level: str) -> None:
    """Has everything that is logged from `level` on written as JSON; of kopf only what went wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        logging.getLogger("kopf").setLevel(logging.WARNING)
        # It warns that it does not handle signals; the process does.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
