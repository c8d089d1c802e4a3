"""Details of the judgement that mutation testing found without a test: words, work, and omissions."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.trust import examination, path_search
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.verification import Verdict, Verification, verify
from stationkeeper_core.x509.certificate import parse_certificate
from tests.core import odd_certificates as odd
from tests.core.asked_paths import Asked
from tests.core.certificates import NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.revocation_lists import revocation_list
from tests.core.states import authority, gateway, judged, presented, release_ca, snapshot

DAY = timedelta(days=1)
ROOT = ca("Root")
OLD_ROOT = ca("Root", key=ROOT.key, ends=NOW - DAY)
ISSUING = ca("Issuing", ROOT)
NAMES = x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))])
SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
LONG = ["x" * 40] * 4


def with_intermediate(intermediate: Signer, name: str = "ca", serials: tuple[str, ...] = ()) -> TrustedAuthority:
    return authority(ROOT, name, intermediates=(intermediate.der,), revoked_serials=serials)


# -- what a judgement says


def test_a_judgement_with_a_path_has_nothing_else() -> None:
    state = snapshot([authority(ROOT), authority(OLD_ROOT, "old"), authority(ROOT, "theirs", "other")], [gateway()])
    found = judged(presented(leaf(ROOT)), state)
    assert [each.trusted_ca.reference for each in found.paths] == ["radio/ca"]
    assert not (found.elsewhere or found.near_misses or found.left_out_presented or found.budget_spent)


def test_a_judgement_is_valid_from_the_last_change_to_the_next() -> None:
    end_entity = leaf(ROOT, begins=NOW - DAY, ends=NOW + DAY)
    found = judged(presented(end_entity), snapshot([authority(ROOT)], [gateway()]))
    assert (found.since, found.until) == (int((NOW - DAY).timestamp()), int((NOW + DAY).timestamp()) + 1)


def test_a_yes_is_final_whatever_was_presented() -> None:
    found = judged(presented(leaf(ISSUING), ISSUING), snapshot([authority(ROOT)], [gateway()]))
    assert found.paths
    assert found.is_final is True


@pytest.mark.parametrize(
    ("end_entity", "sent", "detail"),
    [
        (leaf(ROOT, ends=NOW - DAY), (), "the certificate 'CN=0102030405060708' expired"),
        (leaf(ROOT, begins=NOW + DAY), (), "the certificate 'CN=0102030405060708' is not valid yet"),
        (leaf(ROOT, extensions=(SERVERS,)), (), "a key usage of the chain does not allow client authentication"),
    ],
)
def test_a_near_miss_says_in_words_what_is_wrong(end_entity: Signer, sent: tuple[Signer, ...], detail: str) -> None:
    (found,) = judged(presented(end_entity, *sent), snapshot([authority(ROOT)], [gateway()])).near_misses
    assert found.detail == detail


def test_a_name_in_a_message_has_its_first_128_characters() -> None:
    expired, no_ca = (issue(Wish(name(*LONG), **wish), ROOT) for wish in ({"ca": True, "ends": NOW - DAY}, {}))  # type: ignore[arg-type]
    state = snapshot([authority(ROOT)], [gateway()])
    for issuer, end in ((expired, "expired"), (no_ca, "issued another one, but is not a CA")):
        (found,) = judged(presented(leaf(issuer), issuer), state).near_misses
        assert found.detail == f"the certificate {issuer.certificate.subject[:128]!a} {end}"


def test_name_constraints_are_compared_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = ca("Limited", extensions=(x509.NameConstraints(None, [x509.DNSName("x")]),))
    state, end_entity = snapshot([authority(limited)], [gateway()]), leaf(limited)
    path = (PathCertificate(end_entity.certificate), PathCertificate(limited.certificate))
    number = examination.constraint_bytes(path)
    assert number > 0
    monkeypatch.setattr(path_search, "MAX_CONSTRAINT_BYTES", number)
    assert judged(presented(end_entity), state).paths
    monkeypatch.setattr(path_search, "MAX_CONSTRAINT_BYTES", number - 1)
    (found,) = judged(presented(end_entity), state).near_misses
    assert found.detail == "the chain has more names and name constraints than can be compared"


def test_sixteen_refused_paths_are_remembered() -> None:
    limited = ca("Limited", ROOT, extensions=(NAMES,))
    records = [with_intermediate(limited, f"ca-{number:02}") for number in range(20)]
    found = judged(presented(leaf(limited)), snapshot(records, [gateway()]))
    assert len(found.near_misses) == path_search.MAX_REFUSED == 16


# -- a TrustedCA that revokes something, and has no units left to answer


def revoking(number: int) -> list[TrustedAuthority]:
    return [authority(ROOT, f"r-{each:04}", revoked_serials=("5",)) for each in range(number)]


def test_without_the_answer_of_the_releases_revoking_cas_no_namespace_counts() -> None:
    release = [release_ca(ROOT, f"r-{each:04}", revoked_serials=("5",)) for each in range(800)]
    found = judged(presented(leaf(ROOT, serial=6)), snapshot([authority(ROOT), *release], [gateway()]))
    assert not found.paths
    assert found.budget_spent


def test_without_the_answer_of_one_namespaces_revoking_cas_another_one_counts() -> None:
    state = snapshot(
        [*revoking(800), authority(ROOT, "theirs", "tenant")],
        [gateway(), gateway(namespace="tenant", rank=1)],
    )
    found = judged(presented(leaf(ROOT, serial=6)), state)
    assert [each.trusted_ca.reference for each in found.paths] == ["tenant/theirs"]


@pytest.mark.parametrize("expired", range(36, 44))
def test_a_revoking_ca_that_could_not_even_be_asked_gives_no_answer(expired: int) -> None:
    # Each small one takes 9 units, and the large one before the last takes nearly all that are left then.
    anchors = (ROOT.der, *(ca("Root", ends=NOW - DAY).der for _ in range(expired)))
    large = TrustedAuthority(namespace="radio", name="s", uid="s", anchors=anchors, revoked_serials=("5",))
    last = authority(ROOT, "t", revoked_serials=("5",))
    found = judged(presented(leaf(ROOT, serial=6)), snapshot([*revoking(427), large, last], [gateway()]))
    assert not found.paths
    assert found.budget_spent


def test_a_revoking_ca_that_found_a_path_has_answered_although_others_were_left_out() -> None:
    anchors = tuple(each.der for each in (ROOT, *(ca("Root") for _ in range(100))))
    record = TrustedAuthority(namespace="radio", name="ca", uid="u", anchors=anchors, revoked_serials=("5",))
    found = judged(presented(leaf(ROOT, serial=6)), snapshot([record], [gateway()]))
    assert found.budget_spent
    assert len(found.paths) == 1


# -- how much work it is


def test_one_path_of_many_trusted_cas_is_paid_once() -> None:
    records = [authority(ROOT, f"ca-{number:03}") for number in range(200)]
    found = judged(presented(leaf(ROOT)), snapshot(records, [gateway()]))
    assert len(found.paths) == 200
    assert not found.budget_spent


@pytest.mark.parametrize(
    ("serials", "serial"), [((), 6), (("5",), 5)], ids=["it vouches", "it revokes the certificate"]
)
def test_presented_certificates_are_not_tried_if_the_configured_path_decides(
    asked: Asked, serials: tuple[str, ...], serial: int
) -> None:
    record = with_intermediate(ISSUING, serials=serials)
    again = ca("Issuing", ROOT, key=ISSUING.key)
    found = judged(presented(leaf(ISSUING, serial=serial), again), snapshot([record], [gateway()]))
    assert len(found.paths) == len(asked) == 1


def test_a_presented_anchor_makes_no_path_to_another_anchor(asked: Asked) -> None:
    lower = ca("Lower", ROOT)
    # A TrustedCA that revokes something looks at every path.
    record = TrustedAuthority(
        namespace="radio", name="ca", uid="u", anchors=(lower.der, ROOT.der), revoked_serials=("5",)
    )
    found = judged(presented(leaf(lower, serial=6), lower), snapshot([record], [gateway()]))
    assert [len(each.certificates) for each in found.paths] == [2]
    assert len(asked) == 1


def test_a_key_that_did_not_sign_is_not_tried_again_in_another_certificate(asked: Asked) -> None:
    wrong = ca("Issuing", ROOT)
    again = ca("Issuing", ROOT, key=wrong.key)
    state = snapshot([authority(ROOT)], [gateway()])
    assert not judged(presented(leaf(ISSUING), wrong, again), state).paths
    assert len(asked) == 1
    assert judged(presented(leaf(ISSUING), wrong, again, ISSUING), state).paths


@pytest.mark.parametrize("named", ["signed by the root", "signed by a strange root"])
def test_each_presented_issuer_that_fails_counts_once(asked: Asked, named: str) -> None:
    above = ROOT if named == "signed by the root" else ca("Root")
    wrong = [ca("Issuing", above) for _ in range(10)]
    found = judged(presented(leaf(ISSUING), *wrong), snapshot([authority(ROOT)], [gateway()]))
    assert len(asked) == 4
    assert found.left_out_presented is True
    assert not found.budget_spent


def test_the_anchor_with_the_named_key_is_tried_before_one_of_the_same_name(asked: Asked) -> None:
    identifier = x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key())
    right = ca("Root", key=ROOT.key, extensions=(identifier,))
    anchors = (ca("Root", ends=NOW + 20 * DAY).der, right.der)
    record = TrustedAuthority(namespace="radio", name="ca", uid="u", anchors=anchors)
    named = x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.key.public_key())
    assert judged(presented(leaf(right, extensions=(named,))), snapshot([record], [gateway()])).paths
    assert len(asked) == 1


def test_intermediates_that_are_valid_now_are_tried_before_others_of_their_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(path_search, "MAX_PATHS", 4)
    later = [ca("Issuing", ROOT, key=ISSUING.key, begins=NOW + DAY, ends=NOW + 20 * DAY) for _ in range(4)]
    record = authority(ROOT, intermediates=tuple(each.der for each in (*later, ISSUING)))
    (found,) = judged(presented(leaf(ISSUING)), snapshot([record], [gateway()])).paths
    assert found.certificates[1].der == ISSUING.der


def test_intermediates_of_a_key_that_did_not_sign_take_no_place_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_search, "MAX_PATHS", 4)
    wrong = ca("Issuing", ROOT)
    others = tuple(ca("Issuing", ROOT, key=wrong.key, ends=NOW + 20 * DAY).der for _ in range(4))
    records = [authority(ROOT, "a", intermediates=others), authority(ROOT, "b", intermediates=(*others, ISSUING.der))]
    found = judged(presented(leaf(ISSUING)), snapshot(records, [gateway()]))
    assert [each.trusted_ca.reference for each in found.paths] == ["radio/b"]


def test_the_anchor_that_is_valid_longest_is_shown_of_those_with_one_key() -> None:
    longer = ca("Root", key=ROOT.key, ends=NOW + 20 * DAY)
    record = TrustedAuthority(namespace="radio", name="ca", uid="u", anchors=(ROOT.der, longer.der))
    (found,) = judged(presented(leaf(ROOT)), snapshot([record], [gateway()])).paths
    assert found.certificates[-1].der == longer.der


def test_the_first_refused_path_of_a_trusted_ca_is_shown() -> None:
    revoked = [ca("Issuing", ROOT, key=ISSUING.key, ends=NOW + days * DAY, serial=days) for days in (20, 15)]
    record = authority(
        ROOT,
        intermediates=tuple(each.der for each in revoked),
        revocation_lists=(revocation_list(ROOT.certificate, 20, 15),),
    )
    (found,) = judged(presented(leaf(ISSUING)), snapshot([record], [gateway()])).paths
    assert found.revocation is Reason.CERTIFICATE_REVOKED
    assert found.certificates[1].der == revoked[0].der


def test_a_shorter_path_that_fails_says_nothing_about_the_intermediate_of_the_proposed_one() -> None:
    # All CAs have one name. OpenSSL takes an anchor without a key identifier as the issuer of the end entity.
    stranger, root = ca("Root"), ca("Root", extensions=(x509.SubjectKeyIdentifier(b"root"),))
    named = (x509.SubjectKeyIdentifier(b"between"), x509.AuthorityKeyIdentifier(b"root", None, None))
    between = issue(Wish(name("Root"), ca=True, extensions=named), root)
    end_entity = leaf(between, extensions=(x509.AuthorityKeyIdentifier(b"between", None, None),))
    records = [authority(each, key, intermediates=(between.der,)) for key, each in (("a", stranger), ("b", root))]
    found = judged(presented(end_entity), snapshot(records, [gateway()]))
    assert [each.trusted_ca.reference for each in found.paths] == ["radio/b"]


# -- one path


def test_a_verified_path_is_signed_and_one_that_openssl_cannot_read_is_not() -> None:
    seconds = int(NOW.timestamp())
    whole = tuple(PathCertificate(each.certificate) for each in (leaf(ISSUING), ISSUING, ROOT))
    assert verify(whole, seconds) == Verification(Verdict.VERIFIED, signed=True)
    # OpenSSL reads no name whose text is an octet string.
    unreadable = PathCertificate(parse_certificate(odd.root(subject=odd.common_name("Root", 4)).der))
    found = verify((whole[0], unreadable), seconds)
    assert (found.verdict, found.signed) == (Verdict.OTHER, False)
    assert "certificate" in found.detail
