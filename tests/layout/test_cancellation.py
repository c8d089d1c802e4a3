"""Cancelled tasks end."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_waits_by_a_function_that_forgets_a_cancellation() -> None:
    # Python 3.11: if the awaited task ends in the step of a cancellation, it returns. `asyncio.timeout` does not.
    sources = [path for part in ("cups", "operator", "tools") for path in (ROOT / part).rglob("*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if "asyncio.wait_for(" in path.read_text()] == []
