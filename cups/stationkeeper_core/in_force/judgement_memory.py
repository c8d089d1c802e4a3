"""Cache judgements, so that a known chain needs no signature verification.

The cache never changes a decision. A judgement is used again only for the same presented chain, the same trust
generation and the same scope, and only until the validity of a certificate or CRL that it considered changes.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from OpenSSL import crypto

from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.x509.client_certificate import read_client_certificate

MAX_VOUCHED = 4_096
MAX_OTHERS = 256
MAX_BYTES = 8 * 1024 * 1024
"""Bytes of the end-entity certificates of each kind: most have less than 1 KiB, one may have 16 KiB."""
_CHAINS_OF_ONE = 2
"""The cached chains of one end-entity certificate: what OpenSSL shows in the handshake, and the whole chain."""


_replace = msgspec.structs.replace


class _CachedJudgement:
    """A judgement, and the number of the last snapshot in which it has the same scope."""

    __slots__ = ("judgement", "seen")

    def __init__(self, judgement: Judgement, seen: int) -> None:
        self.judgement = judgement
        self.seen = seen


class JudgementMemory:
    """A cache of the judgements of recent chains, for one trust generation.

    Chains are stored by their end-entity certificate. So a client that adds certificates to a known end-entity
    certificate uses no additional space. Chains that no TrustedCA vouches for have separate space, since anybody can
    make any number of them. Only the end-entity certificate of a chain is stored, since a tenant can make any number of
    chains of 64 KiB.

    Args:
        vouched: the maximum number of end-entity certificates that a TrustedCA vouches for.
        others: the maximum number of other end-entity certificates.
        size: the maximum bytes of the end-entity certificates of each kind.
    """

    def __init__(self, vouched: int = MAX_VOUCHED, others: int = MAX_OTHERS, size: int = MAX_BYTES) -> None:
        self._bounds = {True: vouched, False: others}
        self._size = size
        self._cached: dict[bool, OrderedDict[bytes, dict[bytes, _CachedJudgement]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._bytes = {True: 0, False: 0}
        self._trust: TrustGeneration | None = None
        # A number is enough: a reference to the snapshot in each judgement would keep old snapshots alive.
        self._snapshot: Snapshot | None = None
        self._number = 0

    def __len__(self) -> int:
        return sum(len(chains) for cached in self._cached.values() for chains in cached.values())

    def judge(
        self, presented: Sequence[bytes], snapshot: Snapshot, now: datetime, loaded: crypto.X509 | None = None
    ) -> Judgement:
        """Judge a presented chain by the TrustedCAs of `snapshot`; the result lacks the certificates of the paths.

        Args:
            presented: DER, the end-entity certificate first.
            snapshot: the trust to judge by, and the registry that gives the scope.
            now: the time, aware.
            loaded: the end-entity certificate as an object of OpenSSL, if there is one already, so that it is not
                parsed again; it must be the first of `presented`.

        Raises:
            StationkeeperError: `MalformedCertificate`; this is not cached.
        """
        known = self.cached(presented, snapshot, now)
        return self.judge_uncached(presented, snapshot, now, loaded) if known is None else known

    def judge_uncached(
        self, presented: Sequence[bytes], snapshot: Snapshot, now: datetime, loaded: crypto.X509 | None = None
    ) -> Judgement:
        """Judge as `judge` does, without a look at the cache; call this after `cached` has returned None.

        Raises:
            StationkeeperError: `MalformedCertificate`; this is not cached.
        """
        if snapshot.trust is not self._trust:
            self.clear()
            self._trust = snapshot.trust
        self._set_snapshot(snapshot)
        leaf, chain = _keys(presented)
        certificate = read_client_certificate(tuple(presented))
        scope = snapshot.registry.scope(certificate.eui_or_none)
        if certificate.leaf.der != presented[0]:
            loaded = None
        judgement = _without_large_parts(judge(certificate, snapshot.trust, scope, now, loaded))
        self._keep(leaf, chain, _CachedJudgement(judgement, self._number))
        return judgement

    def cached(self, presented: Sequence[bytes], snapshot: Snapshot, now: datetime) -> Judgement | None:
        """Return the cached judgement; None if there is none, or if it is no longer valid."""
        if snapshot.trust is not self._trust:
            return None
        return self._if_valid(self._find(*_keys(presented)), snapshot, now)

    def has(self, presented: Sequence[bytes], snapshot: Snapshot) -> bool:
        """Return whether a presented chain was judged before with this trust; this verifies no signature."""
        return snapshot.trust is self._trust and self._find(*_keys(presented)) is not None

    def clear(self) -> None:
        """Drop all cached judgements."""
        for cached in self._cached.values():
            cached.clear()
        self._bytes = {True: 0, False: 0}

    def _set_snapshot(self, snapshot: Snapshot) -> None:
        """Use a new number if `snapshot` is another one than before."""
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._number += 1

    def _if_valid(self, known: _CachedJudgement | None, snapshot: Snapshot, now: datetime) -> Judgement | None:
        if snapshot is not self._snapshot:
            self._set_snapshot(snapshot)
        if known is None or not known.judgement.is_valid_at(now):
            return None
        judgement = known.judgement
        if known.seen != self._number:
            if judgement.scope != snapshot.registry.scope(judgement.certificate.eui_or_none):
                return None
            known.seen = self._number
        return judgement

    def _find(self, leaf: bytes, chain: bytes) -> _CachedJudgement | None:
        for vouched in (True, False):
            cached = self._cached[vouched]
            chains = cached.get(leaf)
            if chains is not None and chain in chains:
                cached.move_to_end(leaf)
                return chains[chain]
        return None

    def _keep(self, leaf: bytes, chain: bytes, cached_judgement: _CachedJudgement) -> None:
        # Chains with a known end-entity certificate use the space of vouched ones.
        vouched = cached_judgement.judgement.vouched or leaf in self._cached[True]
        chains = self._take(leaf, vouched=vouched)
        chains.pop(chain, None)
        while len(chains) >= _CHAINS_OF_ONE:
            chains.pop(next(iter(chains)))
        chains[chain] = cached_judgement
        self._cached[vouched][leaf] = chains
        self._bytes[vouched] += _size(leaf, chains)
        if vouched:
            self._take(leaf, vouched=False)
        cached = self._cached[vouched]
        while len(cached) > self._bounds[vouched] or self._bytes[vouched] > self._size:
            self._take(next(iter(cached)), vouched=vouched)

    def _take(self, leaf: bytes, *, vouched: bool) -> dict[bytes, _CachedJudgement]:
        """Remove and return the judgements of an end-entity certificate."""
        chains = self._cached[vouched].pop(leaf, None)
        if chains is None:
            return {}
        self._bytes[vouched] -= _size(leaf, chains)
        return chains


def _size(leaf: bytes, chains: dict[bytes, _CachedJudgement]) -> int:
    """Return the bytes of end-entity certificates in `chains`; one in an unusual encoding counts twice."""
    ders = [each.judgement.certificate.leaf.der for each in chains.values()]
    return len(leaf) * len(ders) + sum([len(der) for der in ders if der != leaf])


def _without_large_parts(judgement: Judgement) -> Judgement:
    """Return `judgement` without the parts that a client can make large and that no decision needs."""
    certificate = _replace(judgement.certificate, others=()) if judgement.certificate.others else judgement.certificate
    paths = tuple([_replace(each, certificates=()) for each in judgement.paths])
    if paths:
        # With a path, nothing else was searched.
        return _replace(judgement, certificate=certificate, paths=paths)
    return _replace(
        judgement,
        certificate=certificate,
        elsewhere=tuple([_replace(each, certificates=()) for each in judgement.elsewhere]),
        near_misses=tuple([_replace(each, certificates=()) for each in judgement.near_misses]),
    )


def _keys(presented: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the end-entity certificate, and the digest of the whole chain; "" for a chain of one certificate."""
    leaf = presented[0] if presented else b""
    if len(presented) <= 1:
        return leaf, b""
    chain = hashlib.sha256()
    for der in presented:
        chain.update(len(der).to_bytes(8, "big") + der)
    return leaf, chain.digest()
