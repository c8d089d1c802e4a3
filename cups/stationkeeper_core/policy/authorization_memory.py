"""Cache authorizations, so that a gateway that asks again needs no new lookup.

The cache never changes a decision. The result of `authorize` depends only on the judgement, the EUI and the snapshot,
and is used again only for the same three. Refusals are not cached, since each must report its details.
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
    """An authorized client.

    Attributes:
        gateway: CUPS answers with this Gateway's configuration.
        certificate: the certificate that it used.
    """

    gateway: RegisteredGateway
    certificate: SeenCertificate


class AuthorizationMemory:
    """A cache of the last authorizations for one snapshot.

    Args:
        most: the maximum number.
    """

    def __init__(self, most: int = MAX_AUTHORIZATIONS) -> None:
        self._most = most
        self._snapshot: Snapshot | None = None
        # The key is the judgement's `id`. The judgement is stored too, so that no other object can get the same `id`.
        self._known: dict[int, tuple[Judgement, EUI64, Authorized]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def authorize(self, judgement: Judgement, router: EUI64, snapshot: Snapshot) -> Authorized:
        """Authorize a client, and return its Gateway and certificate.

        Args:
            judgement: of its certificate, by the snapshot's trust and scope.
            router: the EUI that its request names.
            snapshot: the snapshot that decides.

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
