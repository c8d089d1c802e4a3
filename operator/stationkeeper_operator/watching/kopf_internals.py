"""The used parts of kopf that are not public; kopf has no public alternative.

pyproject keeps kopf below its next minor version. Before you allow a new one, look for each of these parts in it, run
`tests/operator/test_kopf_internals.py` and `tests/controlplane/test_definitions_recreated.py`, and add the version to
`TRIED`.
"""

import asyncio
import logging
from typing import Any

from kopf._core.engines.peering import Identity
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

TRIED = frozenset({"1.45.2"})
"""The versions of kopf that were tried."""

# The type of `identity`, an argument of the public `kopf.operator`. Without it, kopf looks up the user's name, and a
# container's user has none.
IDENTITY = Identity("stationkeeper-operator")

# The task that starts and stops kopf's watches.
_WATCHING_TASK = "multidimensional multitasker"
# It warns that kopf handles no signals outside of the main thread; the process handles them.
_SIGNALS_LOGGER = "kopf._core.reactor.running"


class NoMemories(ResourceMemories):
    """Keep nothing about the objects: kopf keeps a KiB of each, for kinds of handlers that are not used here.

    It is the argument `memories` of the public `kopf.operator`.
    """

    async def recall(self, *args: Any, **options: Any) -> ResourceMemory:
        """Return a new memory of an object each time, and do not keep it."""
        return await super().recall(*args, **{**options, "ephemeral": True})


def is_watching() -> bool:
    """Return whether kopf watches in the running event loop.

    When the definitions are deleted, kopf ends this task but continues to run.
    """
    return any(task.get_name() == _WATCHING_TASK for task in asyncio.all_tasks())


def silence_signals_warning() -> None:
    """Drop kopf's warning about signals, except at the log level DEBUG."""
    logger = logging.getLogger(_SIGNALS_LOGGER)
    if not logger.isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.ERROR)
