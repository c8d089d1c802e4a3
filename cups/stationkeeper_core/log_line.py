"""Write a log line as a JSON object with stable field names, so that no value can forge a line or a field."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

MAX_VALUE = 1024


class JsonFormatter(logging.Formatter):
    """Formats a record, with the fields of its `extra={"fields": …}`, as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`."""
        return self.encode(record).decode("ascii")

    def encode(self, record: logging.LogRecord) -> bytes:
        """Return the line for `record` as ASCII bytes."""
        fields: Mapping[str, object] = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "traceback": self.formatException(record.exc_info)[-MAX_VALUE * 4 :]}
        event = record.getMessage() if record.args else str(record.msg)
        return log_line(record.created, record.levelname, record.name, event, fields)


def log_line(seconds: float, level: str, logger: str, event: str, fields: Mapping[str, object]) -> bytes:
    """Return the line for one event.

    Args:
        seconds: since the epoch.
        level: the name of the level.
        logger: the name of the logger.
        event: what happened, in a few words.
        fields: the details; texts are cut at `MAX_VALUE` characters, a traceback at four times as many.
    """
    milliseconds = round(seconds * 1e6) // 1000
    time = f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}+00:00"
    level = level.lower()
    line: dict[str, object] = {"time": time, "level": level, "logger": logger, "event": event[:MAX_VALUE], **fields}
    for value in fields.values():
        if type(value) is not str:
            break
    else:
        found = _ascii(line)
        if len(found) <= MAX_VALUE:
            # A line within the limit has no text above the limit.
            return found
    for name, value in fields.items():
        line[name] = _value(value, MAX_VALUE * 4 if name == "traceback" else MAX_VALUE)
    return _ascii(line)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """Return a second since the epoch as ISO 8601 text in UTC; cached, as a busy server writes many lines a second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _ascii(line: dict[str, object]) -> bytes:
    """Return JSON without characters that control a terminal."""
    try:
        found = msgspec.json.encode(line)
    except UnicodeEncodeError:
        # A lone surrogate can be written only as an escape.
        return json.dumps(line).encode("ascii")
    # The fast encoder does not escape letters beyond ASCII or DEL.
    return found if found.isascii() and b"\x7f" not in found else json.dumps(line).encode("ascii")


def _value(value: object, longest: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        value = ", ".join(str(each) for each in value)
    return str(value)[:longest]
