"""A gateway's certificate that is a CA, and a TrustedCA that accepts only listed intermediates."""

from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.policy.refused_client import seen_certificate
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.trust.scope import Scope
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, presented, trust_document

ROOT = ca("Root")
ISSUING = ca("Issuing", ROOT)
ANOTHER = ca("Another", ROOT)
THIEF = ca("AAAAAAAAAAAAAAAA", ROOT)  # a gateway, with CA:TRUE
FORGED = leaf(THIEF)
REGULAR = leaf(ISSUING)


def judged(trusted_ca: dict[str, Any], end_entity: Signer, *others: Signer, anchor: Signer = ROOT) -> Judgement:
    trust = TrustGeneration(trust_document(authority(anchor, **trusted_ca)), 1, "")
    certificate = presented(end_entity, *others)
    return judge(certificate, trust, Scope(certificate.eui_or_none, ("radio",)), NOW)


REFUSING: dict[str, Any] = {"presented_intermediates": False}
LISTED: dict[str, Any] = {"intermediates": (ISSUING.der,)}


@pytest.mark.parametrize(
    ("options", "end_entity", "others", "vouched"),
    [
        ({}, FORGED, (THIEF,), True),
        (REFUSING, FORGED, (THIEF,), False),
        (REFUSING | LISTED, FORGED, (THIEF,), False),
        (REFUSING | LISTED, FORGED, (THIEF, ISSUING), False),
        (REFUSING, REGULAR, (ISSUING,), False),
        (REFUSING | LISTED, REGULAR, (ISSUING,), True),
        (REFUSING | LISTED, REGULAR, (), True),
        (REFUSING | LISTED, REGULAR, (THIEF, ANOTHER, ROOT), True),
        (REFUSING, leaf(ROOT), (THIEF,), True),
        (REFUSING, THIEF, (), True),
    ],
)
def test_only_listed_intermediates_count_where_presented_ones_are_refused(
    options: dict[str, Any], end_entity: Signer, others: tuple[Signer, ...], vouched: bool
) -> None:
    found = judged(options, end_entity, *others)
    assert bool(found.paths) is vouched
    assert not found.elsewhere
    if not vouched:
        assert found.handshake_refusal is not None
        assert found.handshake_refusal[0] is Reason.UNKNOWN_CA


def test_each_trusted_ca_has_its_own_switch() -> None:
    trust = TrustGeneration(trust_document(authority(ROOT, "strict", **REFUSING), authority(ROOT, "lenient")), 1, "")
    found = judge(presented(FORGED, THIEF), trust, Scope(presented(FORGED).eui, ("radio",)), NOW)
    assert [each.trusted_ca.record.name for each in found.paths] == ["lenient"]


@pytest.mark.parametrize(
    ("end_entity", "is_ca"),
    [(leaf(ROOT), False), (ca(EUI, ROOT), True), (issue(Wish(name(EUI), ca=False), ROOT), False)],
)
def test_a_gateways_certificate_that_is_a_ca_is_marked(end_entity: Signer, is_ca: bool) -> None:
    seen = seen_certificate(judged({}, end_entity))
    assert seen.is_ca is is_ca
    assert seen.not_before == end_entity.certificate.not_before
