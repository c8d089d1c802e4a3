"""`helm upgrade` of a release during a run."""

import asyncio
import random

from stationkeeper_core.published.registry_layout import layout_of
from tests.simulation.api_server import Place, RefusedError
from tests.simulation.pods import secret_place
from tests.simulation.scene import Scene

_COUNTS = (16, 32)


class Upgrades:
    """The upgrades of one run.

    Args:
        run: the run that they act on.
    """

    def __init__(self, run: Scene) -> None:
        self._run = run
        self._goes_on = False

    async def release_recounted(self, chance: random.Random) -> None:
        """The release gets another count of registry documents: operators restart, and pods are replaced."""
        if self._goes_on:
            return
        self._goes_on = True
        run = self._run
        run.buckets = next(each for each in _COUNTS if each != run.buckets)
        for document in layout_of(run.buckets).documents:
            place = secret_place(document)
            try:
                run.server.create(Place("secrets", place.namespace), {"metadata": {"name": place.name}})
            except RefusedError:
                continue
        for replica in run.operators:
            run.kill_operator(replica)
            run.loop.call_outside(chance.uniform(0.5, 5.0), run.start_operator, replica)
        for pod in list(run.pods.pods):
            if pod in run.pods.pods:
                await run.pods.replace(pod, run.buckets)
                await asyncio.sleep(chance.uniform(0.0, 2.0))
        self._goes_on = False
