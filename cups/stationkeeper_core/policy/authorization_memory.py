"""Authorizations remembered, so that a gateway that comes again is not looked up again.

With or without it the decisions are the same: what `authorize` finds depends on the judgement, the EUI and the snapshot
alone, and is used again only for these very three. Refusals are not remembered: each has to say what was wrong.
"""

import msgspec

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.policy.refused_client import seen_certificate
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import SeenCertificate
from stationkeeper_core.trust.judgement import Judgement

MAX_AUTHORIZATIONS = 4_096


class Authorized(msgspec.Struct, frozen=True):
    """Who was let in.

    Attributes:
        gateway: whose configuration may be answered.
        certificate: by which it came in.
    """

    gateway: RegisteredGateway
    certificate: SeenCertificate


class AuthorizationMemory:
    """The last authorizations on one snapshot.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = MAX_AUTHORIZATIONS) -> None:
        self._most = most
        self._snapshot: Snapshot | None = None
        # By the identity of the judgement, which is kept beside it, so that no other can have it.
        self._known: dict[int, tuple[Judgement, EUI64, Authorized]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def authorize(self, judgement: Judgement, router: EUI64, snapshot: Snapshot) -> Authorized:
        """Return who a client is.

        Args:
            judgement: of its certificate, by the snapshot's trust and with the snapshot's scope.
            router: the EUI that its request names.
            snapshot: what to decide on.

        Raises:
            StationkeeperError: as `authorize` does.
        """
        if snapshot is not self._snapshot:
            self._known.clear()
            self._snapshot = snapshot
        known = self._known.get(id(judgement))
        if known is not None and known[0] is judgement and known[1] == router:
            return known[2]
        gateway = authorize(Claim(judgement, router), snapshot).registered
        found = Authorized(gateway, seen_certificate(judgement))
        self._known[id(judgement)] = (judgement, router, found)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return found
