"""One log line: a JSON object with stable field names, so that no value can forge a line or another field."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

MAX_VALUE = 1024


def log_line(seconds: float, level: str, logger: str, event: str, fields: Mapping[str, object]) -> str:
    """The line for one event.

    Args:
        seconds: since the epoch.
        level: the name of the level.
        logger: who says it.
        event: what happened, in a few words.
        fields: what it happened to; texts are cut at `MAX_VALUE` characters.
    """
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    line = {"time": time, "level": level.lower(), "logger": logger, "event": event[:MAX_VALUE]}
    return json.dumps(line | {name: _value(value) for name, value in fields.items()}, ensure_ascii=True)


def _value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:MAX_VALUE]
