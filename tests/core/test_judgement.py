from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.judgement import Judgement, TrustPath, unknown_ca
from stationkeeper_core.trust.scope import Scope
from tests.core.certificates import ca, leaf
from tests.core.states import authority, gateway, judged, presented, snapshot

ROOT = ca("Root")
CERTIFICATE = presented(leaf(ROOT))
(TRUSTED,) = (each.trusted_ca for each in judged(CERTIFICATE, snapshot([authority(ROOT)], [gateway()])).paths)


@dataclass(frozen=True)
class Way:
    """A path, with the attributes that the refusal of a handshake uses."""

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


def test_a_judgement_holds_from_its_first_second_up_to_before_its_end() -> None:
    judgement = Judgement(CERTIFICATE, Scope(), since=100, until=200)

    def holds_at(seconds: float) -> bool:
        return judgement.is_valid_at(datetime.fromtimestamp(seconds, UTC))

    assert [holds_at(each) for each in (99.5, 100, 199.5, 200)] == [False, True, True, False]


def test_128_characters_of_a_long_unknown_issuer_are_shown() -> None:
    assert unknown_ca("CN=" + "x" * 200)[1].count("x") == 125
