"""Hand published documents to the CUPS pods that lack them, without waiting for their kubelets.

A pod gets each document of which it has an older generation, for any cause: a new publish, a late kubelet after an
outage of the API server, or a restart with an old volume. The operator then informs a waiting pod that it has the
latest generations. Only content of the Secrets is handed over, so a pod never has unpublished content.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from stationkeeper_core.published.operator_proof import Latest, OperatorKey, OperatorKeyError
from stationkeeper_core.published.registry_layout import TRUST, layout_of
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.pod_client import PodClient, PodError, PodRefusalError
from stationkeeper_operator.publishing.stored_document import PublishedValue
from stationkeeper_operator.rollout.generation_report import HandoverState, Loaded

SERVES_SECONDS = 20.0
"""The maximum time from that message until the API server shows the pod as ready."""
OFFER_SECONDS = 30.0
"""The pause before a document is offered again to a pod that still lacks it: a document may have a megabyte."""


class _Offer(NamedTuple):
    """The generations that a process of a pod was offered, accepted or not."""

    instance: str
    generation: int


class Handover:
    """The handover of one release.

    Args:
        key_file: the operator's signing key; None hands nothing over.
        published: returns the content of the Secrets, by document.
        permit: raises if this process does not lead.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        key_file: Path | None,
        published: Callable[[], Mapping[str, PublishedValue]],
        permit: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key_file = key_file
        self._published = published
        self._permit = permit
        self._informed_at: dict[str, float] = {}
        self._clock = clock
        self._key: OperatorKey | None = None
        self._key_pem = b""
        self._signatures: dict[str, tuple[int, str]] = {}
        self._offers: dict[str, dict[str, tuple[_Offer, float]]] = {}

    def keep_only(self, uids: Collection[str]) -> None:
        """Drop the pods whose uid is not in `uids`."""
        for known in (self._offers, self._informed_at):
            for uid in known.keys() - set(uids):
                del known[uid]

    async def bring_up_to_date(self, client: PodClient, pod: CupsPod, loaded: Loaded) -> bool:
        """Hand over the documents that `pod` lacks, and inform it when it has the latest ones.

        Args:
            client: the client for the request.
            pod: the pod.
            loaded: its loaded generations.

        Returns:
            Whether it accepted a document, so that `loaded` is no longer current.

        Raises:
            PodError: the pod did not accept it.
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
        if not loaded.handover.is_latest and pod.buckets:
            await self._send_latest(client, pod, loads, loaded.handover)
        return bool(lacking)

    def was_informed_lately(self, uid: str) -> bool:
        """Return whether a pod was just informed that it has the latest documents: it may serve before it is Ready."""
        return self._clock() - self._informed_at.get(uid, float("-inf")) < SERVES_SECONDS

    async def _send_latest(self, client: PodClient, pod: CupsPod, loads: Collection[str], state: HandoverState) -> None:
        try:
            # Since the pod was asked, another leader may have published what the pod does not have.
            self._permit()
        except NotLeadingError:
            raise PodError("this process does not lead any more") from None
        published = self._published()
        if not all(document in published for document in loads):
            return
        generations = {document: published[document].generation for document in loads}
        body = msgspec.json.encode(Latest(state.instance, generations, state.moment))
        self._informed_at[pod.uid] = self._clock()
        await client.send_latest(pod, body, self._operator_key().sign_latest(body))

    async def _hand_over(self, client: PodClient, pod: CupsPod, document: str, offer: _Offer, value: bytes) -> None:
        offers, now = self._offers.setdefault(pod.uid, {}), self._clock()
        before, until = offers.get(document, (None, now))
        if offer == before and now < until:
            raise PodError(f"it accepted {document} and does not have it")
        signature = await self._signature(document, offer.generation, value)
        # A request without an answer is tried again in the next round.
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
        """Return the key, read again if its file changed."""
        assert self._key_file is not None  # noqa: S101 - `bring_up_to_date` returns before, without a key
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
