"""Keep the garbage collections of a process with very many objects short.

A full collection looks at every object, and no other code runs meanwhile: 0.1 s for a million objects. Almost all of
them stay: the resources, the verdicts and the statuses. So objects that survived a long collection are not looked at
again. They are still freed when nothing refers to them; only what is part of a cycle then stays. So that this does not
add up over months, all objects are looked at again after very many long collections.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG_SECONDS = 0.002
"""The CPU time of a collection after which the surviving objects are set aside."""

LOOK_AGAIN_SECONDS = 3.0
"""The CPU time of all long collections after which the next full one looks at all objects again."""

_FULL = 2
# By default, a full collection comes only after ten collections of the middle generation. It then has 77,000 new
# objects to look at, which takes up to 40 ms.
_MIDDLE_COLLECTIONS = 1


@contextmanager
def short_collections(clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """Set objects aside that survived a long collection, until the end of the context.

    Args:
        clock: returns the CPU time of the thread, in seconds.
    """
    began = since_all = 0.0

    def collected(phase: str, info: dict[str, int]) -> None:
        nonlocal began, since_all
        if info["generation"] != _FULL:
            return
        if phase == "start":
            if since_all >= LOOK_AGAIN_SECONDS:
                gc.unfreeze()
            began = clock()
        elif (took := clock() - began) > LONG_SECONDS:
            gc.freeze()
            since_all = since_all + took if since_all < LOOK_AGAIN_SECONDS else 0.0

    gc.collect()
    gc.freeze()
    # Python also delays a full collection until the new objects are a quarter of those that the last one left. After
    # this second collection, that number is zero.
    gc.collect()
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], _MIDDLE_COLLECTIONS)
    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
