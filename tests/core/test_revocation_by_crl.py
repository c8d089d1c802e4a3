from datetime import datetime, timedelta
from typing import Any

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published.documents import RevocationList, TrustedAuthority
from tests.core.certificates import EUI, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import revocation_list
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot

ROOT, OTHER = ca("Root"), ca("Other")
ISSUING, SIBLING = ca("Issuing", ROOT, serial=0x11), ca("Sibling", ROOT, serial=0x12)
RENEWED = issue(Wish(name("Issuing"), ca=True, key=ISSUING.key, serial=0x13), ROOT)
CROSS = issue(Wish(name("Issuing"), ca=True, key=ISSUING.key, serial=0x14), OTHER)
HOUR = timedelta(hours=1)


def _outcome(end_entity: Signer, *authorities: TrustedAuthority, sent: tuple[Signer, ...] = ()) -> str:
    state = snapshot(authorities, [gateway()])
    claim = Claim(judged(presented(end_entity, *sent), state), EUI64(int(EUI, 16)))
    try:
        authorize(claim, state)
    except StationkeeperError as error:
        return error.reason
    return "accepted"


def _lists(*lists: RevocationList) -> dict[str, Any]:
    return {"revocation_lists": lists}


def of_root(*serials: int, **options: object) -> RevocationList:
    return revocation_list(ROOT.certificate, *serials, **options)


def of_issuing(*serials: int, **options: object) -> RevocationList:
    return revocation_list(ISSUING.certificate, *serials, **options)


DIRECT, INDIRECT, BESIDE = leaf(ROOT, serial=1), leaf(ISSUING, serial=1), leaf(SIBLING, serial=1)
HELPERS = (ISSUING.der, SIBLING.der)
REVOKED = Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize(
    ("lists", "direct", "indirect", "beside"),
    [
        ([], "accepted", "accepted", "accepted"),
        ([of_root(1)], REVOKED, "accepted", "accepted"),
        ([of_issuing(1)], "accepted", REVOKED, "accepted"),
        ([of_root(2), of_issuing(2)], "accepted", "accepted", "accepted"),
        ([of_root(0x11)], "accepted", REVOKED, "accepted"),
        ([of_root(0x12)], "accepted", "accepted", REVOKED),
        ([of_root(0x11, 0x12)], "accepted", REVOKED, REVOKED),
        ([revocation_list(OTHER.certificate, 1, 0x11, 0x12)], "accepted", "accepted", "accepted"),
    ],
)
def test_a_list_revokes_what_its_issuers_key_signed_and_all_below_it(
    lists: list[RevocationList], direct: str, indirect: str, beside: str
) -> None:
    record = authority(ROOT, intermediates=HELPERS, **_lists(*lists))
    assert [_outcome(each, record) for each in (DIRECT, INDIRECT, BESIDE)] == [direct, indirect, beside]


def test_a_list_counts_for_the_key_under_whatever_name() -> None:
    renamed = ca("Root under another name", key=ROOT.key)
    end_entity = leaf(renamed, serial=1)
    assert _outcome(end_entity, authority(renamed, **_lists(of_root(1)))) == REVOKED
    same_name = ca("Root")
    assert _outcome(leaf(same_name, serial=1), authority(same_name, **_lists(of_root(1)))) == "accepted"


def test_a_ca_without_a_list_is_unaffected_by_that_of_another() -> None:
    mine = authority(OTHER, "mine")
    with_list = authority(ROOT, "with-list", **_lists(of_root(1, next_update=1, refuse_overdue=True)))
    assert _outcome(leaf(OTHER, serial=1), mine, with_list) == "accepted"
    assert _outcome(DIRECT, authority(ROOT, "of-another-tenant", namespace="x", **_lists(of_root(1)))) != REVOKED


def test_any_ca_in_scope_that_vouches_revokes() -> None:
    without = authority(ROOT, "without")
    assert _outcome(DIRECT, without, authority(ROOT, "with", **_lists(of_root(1)))) == REVOKED
    assert _outcome(DIRECT, without, release_ca(ROOT, "with", **_lists(of_root(1)))) == REVOKED
    assert _outcome(DIRECT, without, authority(ROOT, "with", namespace="x", **_lists(of_root(1)))) == "accepted"


def test_an_issuer_whose_renewed_certificate_is_good_is_good() -> None:
    lists = _lists(of_root(0x11))
    assert _outcome(INDIRECT, authority(ROOT, intermediates=(ISSUING.der, RENEWED.der), **lists)) == "accepted"
    assert _outcome(INDIRECT, authority(ROOT, intermediates=(ISSUING.der,), **lists), sent=(RENEWED,)) == "accepted"
    assert _outcome(INDIRECT, authority(ROOT, intermediates=(ISSUING.der,), **lists), sent=(CROSS,)) == REVOKED
    both = authority(ROOT, intermediates=(ISSUING.der, RENEWED.der), **_lists(of_root(0x11, 0x13)))
    assert _outcome(INDIRECT, both) == REVOKED


@pytest.mark.parametrize("revoked", [{"revoked_serials": ("11",)}, {"revoked_sha256": (ISSUING.certificate.sha256,)}])
def test_entries_of_the_spec_are_revoked_in_any_chain(revoked: dict[str, Any]) -> None:
    for helpers in ((ISSUING.der, RENEWED.der), (RENEWED.der, ISSUING.der)):
        assert _outcome(INDIRECT, authority(ROOT, intermediates=helpers, **revoked)) == REVOKED
    assert _outcome(INDIRECT, authority(ROOT, intermediates=(RENEWED.der,), **revoked), sent=(ISSUING,)) == REVOKED
    assert _outcome(INDIRECT, authority(ROOT, intermediates=(RENEWED.der,), **revoked)) == "accepted"


def test_an_anchor_that_another_anchor_revokes_does_not_count() -> None:
    both = TrustedAuthority(
        namespace="radio",
        name="ca",
        uid="ca",
        anchors=(ROOT.der, ISSUING.der),
        revocation_lists=(of_root(0x11),),
    )
    assert _outcome(INDIRECT, both) == REVOKED
    assert _outcome(DIRECT, both) == "accepted"


@pytest.mark.parametrize(
    ("next_update", "refuse", "outcome"),
    [
        (NOW - HOUR, False, "accepted"),
        (NOW - HOUR, True, Reason.CRL_EXPIRED),
        (NOW, True, "accepted"),
        (NOW + HOUR, True, "accepted"),
        (None, True, "accepted"),
    ],
)
def test_an_overdue_list_refuses_all_of_its_issuer_where_the_ca_says_so(
    next_update: datetime | None, refuse: bool, outcome: str
) -> None:
    seconds = None if next_update is None else int(next_update.timestamp())
    record = authority(ROOT, intermediates=HELPERS, **_lists(of_issuing(7, next_update=seconds, refuse_overdue=refuse)))
    assert _outcome(INDIRECT, record) == outcome
    assert _outcome(DIRECT, record) == "accepted"
    assert _outcome(BESIDE, record) == "accepted"
    assert _outcome(leaf(ISSUING, serial=7), record) == REVOKED


def test_a_revocation_is_named_before_an_overdue_list() -> None:
    overdue = authority(ROOT, "a", **_lists(of_root(next_update=1, refuse_overdue=True)))
    assert _outcome(DIRECT, overdue, authority(ROOT, "b", revoked_serials=("1",))) == REVOKED


def test_an_anchor_in_the_midst_is_revoked_below_a_further_intermediate_too() -> None:
    deep = ca("Deep", ISSUING)
    both = TrustedAuthority(
        namespace="radio",
        name="ca",
        uid="ca",
        anchors=(ROOT.der, ISSUING.der),
        intermediates=(deep.der,),
        revocation_lists=(of_root(0x11),),
    )
    assert _outcome(leaf(deep), both) == REVOKED


def test_an_anchors_issuer_revokes_it_only_if_the_ca_holds_that_issuer() -> None:
    lists = _lists(of_root(0x11), of_issuing(7))
    assert _outcome(INDIRECT, authority(ISSUING, **lists)) == "accepted"
    assert _outcome(leaf(ISSUING, serial=7), authority(ISSUING, **lists)) == REVOKED
    assert _outcome(INDIRECT, authority(ISSUING, intermediates=(ROOT.der,), **lists)) == REVOKED


def test_a_list_with_an_anchors_serial_number_counts_only_if_its_issuer_signed_the_anchor() -> None:
    same_name = ca("Root")
    both = TrustedAuthority(
        namespace="radio",
        name="ca",
        uid="ca",
        anchors=(ISSUING.der, same_name.der),
        revocation_lists=(revocation_list(same_name.certificate, 0x11),),
    )
    assert _outcome(INDIRECT, both) == "accepted"
