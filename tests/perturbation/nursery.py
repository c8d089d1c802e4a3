"""A process that has loaded the operator, and forks operators on request: `python -m tests.perturbation.nursery`.

Loading takes seconds, which is too long for a run that kills and starts the operator many times. A forked process runs
the operator's own `main`. The nursery itself runs nothing of it: it has one thread and no event loop. It reads a line
of JSON for each operator: its environment and its log. It writes a line of JSON with the pid of each, and another one
with pid and status at its end.
"""

import argparse
import gc
import importlib
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

from tests.perturbation.bugs import BUGS

LOADED = ("stationkeeper_operator.main", "stationkeeper_operator.watching.watch", "kubernetes.aio.config")
_LOOK_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bug", choices=("", *BUGS), default="")
    bug = parser.parse_args().bug
    for name in LOADED:
        importlib.import_module(name)
    if bug:
        BUGS[bug].plant()
    gc.collect()
    gc.freeze()
    _say({"ready": True})
    rest, running = b"", set[int]()
    while True:
        readable, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if readable:
            chunk = os.read(0, 65536)
            if not chunk:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                pid = _fork(json.loads(line))
                running.add(pid)
                _say({"started": pid})
        _reap(running)


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _operate(order)
    return pid


def _operate(order: dict[str, Any]) -> NoReturn:
    """Run as an operator."""
    from stationkeeper_operator.main import main as operate  # noqa: PLC0415 - loaded by now

    status = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["stationkeeper-operator"]
        operate()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


def _reap(running: set[int]) -> None:
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            running.discard(pid)
            _say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})
    except ChildProcessError:
        return


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
