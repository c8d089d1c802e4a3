"""The operator, the API server and CUPS pods on one event loop with virtual time: see `run.py`.

Much of the operator takes `time.monotonic` as a default argument, which is bound when a module is loaded. So the clock
is replaced here, before any of these modules is loaded: inside a run it shows the run's time, elsewhere the machine's.
"""

import asyncio
import time

_machine = time.monotonic


def _monotonic() -> float:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _machine()
    return loop.time() if getattr(loop, "is_simulated", False) else _machine()


time.monotonic = _monotonic
