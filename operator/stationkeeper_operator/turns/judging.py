"""Judge the resources whose verdict or state changed."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.turns.batches import IN_ONE_GO, batches
from stationkeeper_operator.turns.status_loop import StatusLoop

FEW = 100
"""The maximum of resources with a changed verdict that come before the backlog: about two seconds of writes."""
_QUEUED_AT_ONCE = 2_000


class Judging:
    """The resources that wait for a judgement; they stay from turn to turn.

    Args:
        status: receives the judgements.
        is_decided: returns whether the references of a resource have been read.
    """

    def __init__(self, status: StatusLoop, is_decided: Callable[[Resource, TurnCompiler], bool]) -> None:
        self._status = status
        self._is_decided = is_decided
        # The resources of the first LIST are the backlog of a new leader; later changes come before it.
        self._backlog: dict[Key, None] = {}
        self._changed: dict[Key, None] = {}
        self._queue_of_changes = self._queue_of_verdicts = self._backlog
        self._deleted: dict[Key, None] = {}
        self._unwritten: frozenset[str] = frozenset()

    def take_in(self, changes: Mapping[Key, ResourceChange]) -> None:
        """Take in the changed and the deleted resources."""
        for key, change in changes.items():
            if change.after is None:
                self._deleted[key] = None
                self._backlog.pop(key, None)
                self._changed.pop(key, None)
            else:
                self._deleted.pop(key, None)
                self._queue_of_changes[key] = None

    def end_first_list(self) -> None:
        """Treat all later resources as changes: those of the first LIST are all taken in."""
        self._queue_of_changes = self._changed

    async def expect(self, keys: Collection[Key]) -> None:
        """Queue these resources: their verdict changed.

        If they are many, as after a change of a TrustedCA, they wait with the backlog, except for those that changed
        themselves. Otherwise the next change in their namespace would wait for all of them.
        """
        queue = self._queue_of_verdicts if len(keys) <= FEW else self._backlog
        for batch in batches(keys, _QUEUED_AT_ONCE):
            queue.update(dict.fromkeys(key for key in batch if key not in self._changed))
            await asyncio.sleep(0)

    async def judge(
        self,
        compiler: TurnCompiler,
        unwritten: frozenset[str],
        *,
        is_final: bool,
        change_waits: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Judge the waiting resources.

        Args:
            compiler: has the verdicts.
            unwritten: the documents that are not written yet.
            is_final: whether their writes failed; if not, the next turn writes them and judges their resources.
            change_waits: returns whether a change waits for the end of this turn; then the backlog is left for later.

        Returns:
            Whether nothing was left.
        """
        for document in unwritten ^ self._unwritten:
            await self.expect(compiler.resources_in(document))
        self._unwritten = unwritten
        deleted, self._deleted = self._deleted, {}
        self._status.judge({}, deleted)
        self._queue_of_verdicts = self._changed
        for waiting, is_change in ((self._changed, True), (self._backlog, False)):
            for keys in batches(list(waiting), IN_ONE_GO):
                judgements = {
                    key: judgement
                    for key in keys
                    if (judgement := self._judgement(key, compiler, unwritten, is_final=is_final)) is not None
                }
                self._status.judge(judgements, is_change=is_change)
                for key in keys:
                    # A resource without a judgement goes to the end.
                    del waiting[key]
                waiting.update(dict.fromkeys(each for each in keys if each not in judgements))
                await asyncio.sleep(0)
                if change_waits() and not is_change:
                    return False
        return True

    def _judgement(
        self, key: Key, compiler: TurnCompiler, unwritten: frozenset[str], *, is_final: bool
    ) -> Judgement | None:
        resource, verdict = compiler.resources.get(key), compiler.verdict_on(key)
        if resource is None or verdict is None or not self._is_decided(resource, compiler):
            return None
        is_written = verdict.document is not None and verdict.document not in unwritten
        if verdict.document is not None and not is_written and not is_final:
            return None
        return Judgement(resource.metadata.uid, resource.metadata.generation, verdict, is_written)
