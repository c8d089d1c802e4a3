"""Progress of a command that goes step by step: for people, or as JSON, one object a line."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Steps:
    """Measures the time of each step and prints its result.

    Args:
        as_json: one object a line on standard output, `{"step": …, "ok": …, "seconds": …}`, and nothing else there.
        clock: seconds, monotonic.
    """

    def __init__(self, as_json: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._as_json = as_json
        self._clock = clock
        self.is_ready = False

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Run the `with` block as the step `name`; if the block raises, report a failure and raise again."""
        if not self._as_json:
            self.say(f"{text} …")
        begin = self._clock()
        try:
            yield
        except BaseException as error:
            self._tell(name, begin, str(error) or type(error).__name__)
            raise
        self._tell(name, begin, None)

    def ready(self, fields: dict[str, object]) -> None:
        """Report that everything runs: `fields` as JSON; nothing for people."""
        self.is_ready = True
        self._result({"ready": True} | fields)

    def say(self, text: str) -> None:
        """Print a line for people; with JSON it goes to standard error."""
        print(text, file=sys.stderr if self._as_json else sys.stdout, flush=True)

    def _result(self, fields: dict[str, object]) -> None:
        if self._as_json:
            print(json.dumps(fields), flush=True)  # noqa: T201 - this is the output

    def _tell(self, name: str, begin: float, error: str | None) -> None:
        seconds = round(self._clock() - begin, 3)
        if self._as_json:
            self._result({"step": name, "ok": error is None, "seconds": seconds} | ({"error": error} if error else {}))
        else:
            self.say(f"  {'failed' if error else 'done'} in {seconds:.2f} s" + (f": {error}" if error else ""))
