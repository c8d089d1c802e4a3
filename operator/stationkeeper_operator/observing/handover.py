"""Hands what is published to the CUPS pods that do not have it yet, instead of waiting for their kubelets.

A pod is given the documents that it has older generations of, whatever the cause: they were just written, its kubelet
is late after an outage of the API server, it has started anew with an old volume. One that waits for it is told then
that it has the latest. Only what lies in the Secrets is handed over: a pod never has what was not published.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from stationkeeper_core.published.operator_proof import Latest, OperatorKey, OperatorKeyError
from stationkeeper_core.published.registry_layout import TRUST, layout_of
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.loaded import Loaded
from stationkeeper_operator.observing.pod_client import PodClient, PodError, PodRefusalError
from stationkeeper_operator.publishing.held_document import PublishedValue

OFFER_SECONDS = 30.0
"""After which a pod is offered again what it was given, and says that it lacks: a document may have a megabyte."""


class _Offer(NamedTuple):
    """What a process of a pod was given, whether it took it or not."""

    instance: str
    generation: int


class Handover:
    """Of one release.

    Args:
        key_file: the key that the operator signs with; None: nothing is handed over.
        published: gives what lies in the Secrets, by document.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        key_file: Path | None,
        published: Callable[[], Mapping[str, PublishedValue]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key_file = key_file
        self._published = published
        self._clock = clock
        self._key: OperatorKey | None = None
        self._key_pem = b""
        self._signatures: dict[str, tuple[int, str]] = {}
        self._offers: dict[str, dict[str, tuple[_Offer, float]]] = {}

    def forget_all_but(self, uids: Collection[str]) -> None:
        """Forget the pods that are gone."""
        for uid in self._offers.keys() - set(uids):
            del self._offers[uid]

    async def bring_up_to_date(self, client: PodClient, pod: CupsPod, loaded: Loaded) -> bool:
        """Hand over what `pod` lacks, and tell it if it has the latest then.

        Args:
            client: to reach it with.
            pod: the pod.
            loaded: what it has.

        Returns:
            Whether it has taken something, so that it has something else loaded now.

        Raises:
            PodError: it did not take it.
        """
        if self._key_file is None or loaded.handover is None:
            return False
        published = self._published()
        loads = layout_of(pod.buckets).documents if pod.buckets else (TRUST,)
        lacking = [
            document
            for document in loads
            if document in published and loaded.generations.get(document, -1) < published[document].generation
        ]
        for document in lacking:
            offer = _Offer(loaded.handover.instance, published[document].generation)
            await self._hand_over(client, pod, document, offer, published[document].value)
        if not loaded.handover.is_latest and pod.buckets and all(document in published for document in loads):
            generations = {document: published[document].generation for document in loads}
            body = msgspec.json.encode(Latest(loaded.handover.instance, generations))
            await client.tell_latest(pod, body, self._operator_key().sign_latest(body))
        return bool(lacking)

    async def _hand_over(self, client: PodClient, pod: CupsPod, document: str, offer: _Offer, value: bytes) -> None:
        offers, now = self._offers.setdefault(pod.uid, {}), self._clock()
        before, until = offers.get(document, (None, now))
        if offer == before and now < until:
            raise PodError(f"it was given {document} and does not have it")
        signature = await self._signature(document, offer.generation, value)
        # What was not answered is tried again in the next round.
        try:
            await client.hand_over(pod, document, value, signature)
        except PodRefusalError:
            offers[document] = offer, now + OFFER_SECONDS
            raise
        offers[document] = offer, now + OFFER_SECONDS

    async def _signature(self, document: str, generation: int, value: bytes) -> str:
        key = self._operator_key()
        signed, signature = self._signatures.get(document, (-1, ""))
        if signed != generation:
            signature = await asyncio.to_thread(key.sign_document, document, value)
            self._signatures[document] = generation, signature
        return signature

    def _operator_key(self) -> OperatorKey:
        """Read the key, which may have changed."""
        assert self._key_file is not None  # noqa: S101 - asked for by `bring_up_to_date`
        try:
            pem = self._key_file.read_bytes()
            if self._key is None or pem != self._key_pem:
                self._key, self._key_pem = OperatorKey(pem), pem
                self._signatures.clear()
        except OSError as error:
            raise PodError(f"the operator's key cannot be read: {error.strerror}") from None
        except OperatorKeyError as error:
            raise PodError(f"the operator's key cannot be used: {error}") from None
        return self._key
