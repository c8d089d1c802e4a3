"""Exactly the proposed path is verified, and its signatures are checked even if something else is wrong too."""

import pytest
from cryptography import x509

from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.verification import Verdict, is_signed, verify
from tests.core.certificates import NOW, Signer, Wish, ca, issue, leaf, name

SECONDS = int(NOW.timestamp())
ROOT = ca("Root")
AGAIN = issue(Wish(name("Root"), ca=True, key=ROOT.key), ROOT)
NAMES = x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))])
LIMITED = ca("Limited", ROOT, extensions=(NAMES,))
STRANGER = ca("Limited")


def _path(*certificates: Signer) -> tuple[PathCertificate, ...]:
    return tuple(PathCertificate(each.certificate) for each in certificates)


def test_a_path_that_openssl_shortens_does_not_count_as_the_proposed_one() -> None:
    end_entity = leaf(ROOT)
    assert verify(_path(end_entity, ROOT), SECONDS).verdict is Verdict.VERIFIED
    assert verify(_path(end_entity, AGAIN, ROOT), SECONDS).verdict is Verdict.ANOTHER_PATH


def test_a_path_in_another_order_than_that_of_the_signatures_does_not_count() -> None:
    upper = ca("Upper", ROOT)
    lower = ca("Lower", upper)
    end_entity = leaf(lower)
    assert verify(_path(end_entity, lower, upper, ROOT), SECONDS).verdict is Verdict.VERIFIED
    assert verify(_path(end_entity, upper, lower, ROOT), SECONDS).verdict is Verdict.ANOTHER_PATH


@pytest.mark.parametrize(
    ("end_entity", "verdict", "depth", "signed"),
    [
        pytest.param(leaf(LIMITED), Verdict.OTHER, 0, True, id="only a name constraint forbids it"),
        pytest.param(leaf(STRANGER), Verdict.SIGNATURE, 0, False, id="another key signed it"),
    ],
)
def test_a_failure_says_where_it_is_and_whether_the_signatures_hold(
    end_entity: Signer, verdict: Verdict, depth: int, signed: bool
) -> None:
    found = verify(_path(end_entity, LIMITED, ROOT), SECONDS)
    assert (found.verdict, found.depth, found.signed) == (verdict, depth, signed)
    assert "X.509 error" in found.detail


def test_an_anchor_signs_itself_only_if_its_key_did() -> None:
    (root,) = _path(ROOT)
    assert is_signed(root, root)
    (forged,) = (PathCertificate(issue(Wish(name("Root"), ca=True), ca("Root")).certificate),)
    assert not is_signed(forged, forged)


def test_a_signature_is_checked_although_the_issuer_may_not_sign() -> None:
    no_ca = issue(Wish(name("No CA"), ca=False), ROOT)
    other = issue(Wish(name("No CA"), ca=False), ROOT)
    signed, issuer, stranger = _path(leaf(no_ca), no_ca, other)
    assert is_signed(signed, issuer)
    assert not is_signed(signed, stranger)
