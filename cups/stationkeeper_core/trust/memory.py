"""Judgements remembered, so that a chain that was seen before costs no signature.

With or without it the decisions are the same: a judgement is used again only for the same presented chain, the same
trust generation, the same scope, and while nothing that it considered changes its state.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_core.snapshot import Snapshot
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge

MAX_VOUCHED = 4_096
MAX_OTHERS = 256
_VIEWS = 2
"""Of one end-entity certificate: what the handshake's verification sees, and what was presented as a whole."""


@dataclass(frozen=True)
class _Remembered:
    certificate: ClientCertificate
    judgement: Judgement


class JudgementMemory:
    """The judgements of the last chains, for one trust generation.

    Chains are kept by their end-entity certificate, so that a client which adds certificates to one that is known takes
    only that one's place; those that no TrustedCA vouches for, of which anybody can make any number, have places of
    their own.

    Args:
        vouched: how many end-entity certificates are kept that a TrustedCA vouches for.
        others: how many others.
    """

    def __init__(self, vouched: int = MAX_VOUCHED, others: int = MAX_OTHERS) -> None:
        self._bounds = {True: vouched, False: others}
        self._kept: dict[bool, OrderedDict[bytes, dict[bytes, _Remembered]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._trust: TrustGeneration | None = None

    def __len__(self) -> int:
        return sum(len(views) for kept in self._kept.values() for views in kept.values())

    def judge(self, presented: Sequence[bytes], snapshot: Snapshot, now: datetime) -> Judgement:
        """Return what the TrustedCAs of `snapshot` say of a presented chain.

        Args:
            presented: DER, the end-entity certificate first.
            snapshot: the trust to judge by, and the registry that says which TrustedCAs are asked.
            now: aware.

        Raises:
            StationkeeperError: `MalformedCertificate`; that is not remembered.
        """
        if snapshot.trust is not self._trust:
            self.clear()
            self._trust = snapshot.trust
        leaf, chain = _digests(presented)
        known = self._find(leaf, chain)
        judgement = self._still_holding(known, snapshot, now)
        if judgement is not None:
            return judgement
        certificate = read_client_certificate(tuple(presented)) if known is None else known.certificate
        judgement = judge(certificate, snapshot.trust, snapshot.registry.scope(certificate.eui_or_none), now)
        self._keep(leaf, chain, _Remembered(certificate, judgement))
        return judgement

    def recall(self, presented: Sequence[bytes], snapshot: Snapshot, now: datetime) -> Judgement | None:
        """Return what `judge` would, where it is remembered; None where it is not, or holds no more."""
        if snapshot.trust is not self._trust:
            return None
        return self._still_holding(self._find(*_digests(presented)), snapshot, now)

    def knows(self, presented: Sequence[bytes], snapshot: Snapshot) -> bool:
        """Whether a presented chain was judged before on this trust; to ask it costs no signature."""
        return snapshot.trust is self._trust and self._find(*_digests(presented)) is not None

    def clear(self) -> None:
        """Forget everything."""
        for kept in self._kept.values():
            kept.clear()

    @staticmethod
    def _still_holding(known: _Remembered | None, snapshot: Snapshot, now: datetime) -> Judgement | None:
        if known is None or not known.judgement.holds_at(now):
            return None
        scope = snapshot.registry.scope(known.certificate.eui_or_none)
        return known.judgement if known.judgement.scope == scope else None

    def _find(self, leaf: bytes, chain: bytes) -> _Remembered | None:
        for kept in self._kept.values():
            views = kept.get(leaf)
            if views is not None and chain in views:
                kept.move_to_end(leaf)
                return views[chain]
        return None

    def _keep(self, leaf: bytes, chain: bytes, remembered: _Remembered) -> None:
        vouched = remembered.judgement.vouched
        if not vouched and leaf in self._kept[True]:
            # Other certificates beside a known one: the known one's places are for what lets it in.
            vouched = True
        views = self._kept[vouched].pop(leaf, {})
        views.pop(chain, None)
        while len(views) >= _VIEWS:
            views.pop(next(iter(views)))
        views[chain] = remembered
        self._kept[vouched][leaf] = views
        if vouched:
            self._kept[False].pop(leaf, None)
        if len(self._kept[vouched]) > self._bounds[vouched]:
            self._kept[vouched].popitem(last=False)


def _digests(presented: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Of the end-entity certificate, and of the whole chain."""
    leaf = hashlib.sha256(presented[0] if presented else b"").digest()
    if len(presented) <= 1:
        return leaf, leaf
    chain = hashlib.sha256()
    for der in presented:
        chain.update(len(der).to_bytes(8, "big") + der)
    return leaf, chain.digest()
