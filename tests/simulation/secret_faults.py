"""Changes of the published Secrets by others who should not change them: people with `kubectl`, backups, `helm`."""

import asyncio
import base64
import contextlib
import random

from tests.simulation.api_server import Object, Place, RefusedError
from tests.simulation.scene import Scene

_LONGEST_SECONDS = 20.0


class SecretFaults:
    """The secret faults of one run.

    Args:
        run: the run that they act on.
    """

    def __init__(self, run: Scene) -> None:
        self._run = run

    async def secret_replayed(self, chance: random.Random) -> None:
        """A person restores an old value."""
        place, before = self._one(chance)
        await asyncio.sleep(chance.uniform(0.1, _LONGEST_SECONDS))
        if before.get("data"):
            self._patch(place, {"data": before["data"]})

    async def secret_restored(self, chance: random.Random) -> None:
        """A backup restores an old Secret with all its metadata."""
        place, before = self._one(chance)
        await asyncio.sleep(chance.uniform(0.1, _LONGEST_SECONDS))
        if before.get("data"):
            annotations = before["metadata"].get("annotations") or {}
            self._patch(place, {"data": before["data"], "metadata": {"annotations": annotations}})

    async def secret_corrupted(self, chance: random.Random) -> None:
        """A person writes other bytes into one."""
        place, _ = self._one(chance)
        name = place.name.removeprefix("stationkeeper-")
        damaged = chance.choice((b"not a document", b"", b'{"generation": 9}\n'))
        self._patch(place, {"data": {name: base64.b64encode(damaged).decode()}})

    async def secret_emptied(self, chance: random.Random) -> None:
        """A person removes the document from one."""
        place, _ = self._one(chance)
        self._patch(place, {"data": None})

    async def secret_labelled(self, chance: random.Random) -> None:
        """A person changes an irrelevant part of one, so that a write of the other leader is refused."""
        place, _ = self._one(chance)
        label = {"checked": str(chance.randrange(1000))}
        self._patch(place, {"metadata": {"labels": label}})

    async def secret_deleted(self, chance: random.Random) -> None:
        """A person deletes one; after a while `helm upgrade` creates it again, empty."""
        place, _ = self._one(chance)
        try:
            self._run.server.delete(place)
        except RefusedError:
            return
        await asyncio.sleep(chance.choice((0.0, chance.uniform(0.1, _LONGEST_SECONDS))))
        with contextlib.suppress(RefusedError):
            self._run.server.create(Place("secrets", place.namespace), {"metadata": {"name": place.name}})

    def _one(self, chance: random.Random) -> tuple[Place, Object]:
        places = self._run.published_places()
        # Half of the faults are in the trust document, which concerns all gateways.
        place = places[0] if chance.random() < 0.5 else chance.choice(places)
        try:
            return place, self._run.server.get(place)
        except RefusedError:
            return place, {}

    def _patch(self, place: Place, patch: Object) -> None:
        try:
            self._run.server.merge_patch(place, patch)
        except RefusedError:
            return
