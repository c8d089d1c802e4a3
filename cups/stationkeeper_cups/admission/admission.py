"""Judge the certificates of clients, in handshakes and for each request, by the trust in force."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.in_force.judgement_memory import JudgementMemory
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.trust.judgement import Judgement, unknown_ca
from stationkeeper_core.trust.unknown_issuer import unknown_issuer
from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.admission.judgement_budget import JudgementBudget
from stationkeeper_cups.tls.connection import Verdict


class Judged(msgspec.Struct, frozen=True):
    """A judgement and its basis.

    Attributes:
        snapshot: the trust and the registry.
        judgement: the judgement on the presented certificates.
    """

    snapshot: Snapshot
    judgement: Judgement


class Admission:
    """The judge of one server.

    Args:
        snapshot: returns the documents in force; None before the first load, and then every client is refused.
        clock: returns the time, aware.
        budget: the budget of judgements, by address.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot | None],
        clock: Callable[[], datetime],
        budget: JudgementBudget,
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._budget = budget
        self._memory = JudgementMemory()

    def judge(self, presented: tuple[bytes, ...], leaf: crypto.X509 | None, peer: str) -> Verdict:
        """Return the verdict on a client.

        Args:
            presented: the presented certificates, DER, the client's own first.
            leaf: its own certificate as OpenSSL's object; None if OpenSSL has not read it.
            peer: its IP address.
        """
        snapshot = self._snapshot()
        if snapshot is None:
            return Verdict(StationkeeperError(Reason.UNKNOWN_CA, "there is no trust yet"))
        now = self._clock()
        judgement = self._memory.cached(presented, snapshot, now)
        if judgement is None:
            issuer = unknown_issuer(presented, snapshot.trust)
            if issuer is not None:
                return Verdict(StationkeeperError(*unknown_ca(issuer)))
            begun = self._budget.begin(peer)
            if begun is None and not self._memory.has(presented, snapshot):
                detail = "too many unknown certificates from this address"
                return Verdict(StationkeeperError(Reason.TRUST_BUDGET_SPENT, detail))
            try:
                judgement = self._memory.judge_uncached(presented, snapshot, now, leaf)
            except StationkeeperError as error:
                return Verdict(error)
            finally:
                self._budget.end(peer, begun)
        found = judgement.handshake_refusal
        return Verdict(None if found is None else StationkeeperError(*found), Judged(snapshot, judgement))

    def judgement_of(self, client: Client, snapshot: Snapshot, now: datetime) -> Judgement | None:
        """Return the judgement of `snapshot` on a connected client; None if it has no certificate.

        The judgement of its handshake stays valid while nothing changes.

        Raises:
            StationkeeperError: `MalformedCertificate`.
        """
        tls = client.tls
        if tls is None or tls.verdict is None:
            return None
        judged = tls.verdict.judgement
        if isinstance(judged, Judged) and judged.snapshot is snapshot and judged.judgement.is_valid_at(now):
            return judged.judgement
        judgement = self._memory.judge(tls.presented, snapshot, now)
        tls.verdict = Verdict(None, Judged(snapshot, judgement))
        return judgement

    def is_trusted(self, client: Client) -> bool:
        """Return whether a connected client may keep its connection; without a certificate, its token decides."""
        snapshot = self._snapshot()
        if snapshot is None:
            return False
        try:
            judgement = self.judgement_of(client, snapshot, self._clock())
        except StationkeeperError:
            return False
        return judgement is None or judgement.vouched
