from dataclasses import dataclass

import msgspec
import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.judgement import Judgement, TrustPath
from stationkeeper_core.trust.scope import Scope
from tests.core.certificates import ca, leaf
from tests.core.states import authority, gateway, judged, presented, snapshot

ROOT = ca("Root")
CERTIFICATE = presented(leaf(ROOT))
(TRUSTED,) = (each.trusted_ca for each in judged(CERTIFICATE, snapshot([authority(ROOT)], [gateway()])).paths)


@dataclass(frozen=True)
class Way:
    """A path, as far as the refusal of a handshake asks for it."""

    too_weak: bool = False
    revocation: Reason | None = None

    @property
    def path(self) -> TrustPath:
        return TrustPath(TRUSTED, (CERTIFICATE.leaf,), self.revocation, self.too_weak)


WEAK, SOUND = Way(too_weak=True), Way()
REVOKED, WEAK_AND_REVOKED = Way(revocation=Reason.CERTIFICATE_REVOKED), Way(True, Reason.CERTIFICATE_REVOKED)


@pytest.mark.parametrize(
    ("ways", "reason"),
    [
        ((SOUND,), None),
        ((WEAK,), Reason.CERTIFICATE_TOO_WEAK),
        ((WEAK, WEAK), Reason.CERTIFICATE_TOO_WEAK),
        ((WEAK, SOUND), None),
        ((REVOKED,), None),
        ((WEAK_AND_REVOKED,), None),
        ((WEAK, WEAK_AND_REVOKED), None),
    ],
)
@pytest.mark.parametrize("where", ["paths", "elsewhere"])
def test_a_handshake_is_refused_where_every_path_is_too_weak_and_a_request_says_what_is_revoked(
    ways: tuple[Way, ...], reason: Reason | None, where: str
) -> None:
    found = {where: tuple(each.path for each in ways)}
    judgement = msgspec.structs.replace(Judgement(CERTIFICATE, Scope()), **found)

    refusal = judgement.handshake_refusal

    assert (refusal[0] if refusal else None) is reason
