"""The written log of the process, in a separate process, because the log is set up once for a whole process."""

import json
import subprocess
import sys

_LOGS = """
import logging
from stationkeeper_cups.process.json_log import log_as_json
log_as_json("INFO")
log = logging.getLogger("a")
log.info("plain %", extra={"fields": {"eui": "1"}})
log.warning("%s and %d", "one", 2)
log.warning("%(name)s", {"name": "named"})
log.debug("nothing")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("trouble")
"""


def test_a_line_holds_what_was_logged_in_whatever_way() -> None:
    done = subprocess.run([sys.executable, "-c", _LOGS], capture_output=True, check=True, timeout=60)
    lines = [json.loads(each) for each in done.stderr.splitlines()]

    assert [(each["level"], each["logger"], each["event"]) for each in lines] == [
        ("info", "a", "plain %"),
        ("warning", "a", "one and 2"),
        ("warning", "a", "named"),
        ("error", "a", "trouble"),
    ]
    assert lines[0]["eui"] == "1"
    assert "ZeroDivisionError" in lines[3]["traceback"]
