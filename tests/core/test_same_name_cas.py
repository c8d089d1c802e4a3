"""CAs with one name, and certificates with one name and key: each CA accepts only its own gateways."""

from datetime import timedelta
from itertools import permutations, product

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.published.documents import TrustedAuthority
from tests.core.certificates import MAY_SIGN, NOW, Signer, Wish, ca, issue, leaf, name
from tests.core.states import authority, gateway, judged, presented, snapshot

DAY = timedelta(days=1)
OLD, NEW = ca("Root"), ca("Root")
ATTACKER = ca("Attacker")


def identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


LIMITS: dict[str, tuple[x509.ExtensionType, ...]] = {
    "none": (),
    "for servers only": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),),
    "for any usage": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),),
    "names": (x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))]),),
    "another key identifier": (identifier(ec.generate_private_key(ec.SECP256R1())),),
    "an unknown extension": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.311.21.1"), b"\2\1\0"),),
    "key usage": (MAY_SIGN,),
}


def of(namespace: str, *anchors: Signer, helpers: tuple[Signer, ...] = ()) -> TrustedAuthority:
    ders, intermediates = tuple(each.der for each in anchors), tuple(each.der for each in helpers)
    return TrustedAuthority(
        namespace=namespace, name=f"of-{namespace}", uid=namespace, anchors=ders, intermediates=intermediates
    )


def vouching(records: list[TrustedAuthority], end_entity: Signer, *sent: Signer) -> list[str]:
    state = snapshot(records, [gateway(namespace=each) for each in ("a", "b")])
    return [each.trusted_ca.record.namespace for each in judged(presented(end_entity, *sent), state).paths]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("own", LIMITS)
def test_a_copy_of_another_tenants_ca_blocks_none_of_its_gateways(own: str, limit: str) -> None:
    mine = issue(Wish(name("Vendor"), ca=True, extensions=LIMITS[own]))
    twin = issue(Wish(name("Vendor"), ca=True, key=mine.key, extensions=LIMITS[limit], ends=NOW + 99 * DAY), ATTACKER)
    alone = vouching([of("a", mine)], leaf(mine))

    assert alone == ([] if own in {"for servers only", "for any usage", "names"} else ["a"])
    for theirs in ([twin], [twin, ATTACKER], [ATTACKER]):
        found = vouching([of("a", mine), of("b", *theirs)], leaf(mine))
        assert [each for each in found if each == "a"] == alone
        beside = vouching([of("a", mine), of("b", *theirs)], leaf(mine), *theirs)
        assert [each for each in beside if each == "a"] == alone


@pytest.mark.parametrize("limit", LIMITS)
def test_any_allowed_certificate_of_a_trusted_ca_with_one_name_and_key_accepts(limit: str) -> None:
    root = ca("Vendor")
    longer = issue(Wish(name("Vendor"), ca=True, key=root.key, extensions=LIMITS[limit], ends=NOW + 99 * DAY))

    for anchors in permutations([root, longer]):
        assert vouching([of("a", *anchors)], leaf(root)) == ["a"]


@pytest.mark.parametrize("places", ["one", "two of one tenant", "two tenants"])
def test_two_cas_of_one_name_each_accept_their_own_gateways(places: str) -> None:
    if places == "one":
        records, expected = [of("a", OLD, NEW)], (["a"], ["a"])
    elif places == "two tenants":
        records, expected = [of("a", OLD), of("b", NEW)], (["a"], ["b"])
    else:
        records = [authority(OLD, "old", "a"), authority(NEW, "new", "a")]
        expected = (["a"], ["a"])

    assert (vouching(records, leaf(OLD)), vouching(records, leaf(NEW))) == expected
    assert vouching(records, leaf(ca("Root"))) == []
    assert vouching([of("a", OLD), of("b", NEW)], leaf(NEW), OLD) == ["b"]


@pytest.mark.parametrize("kept", [("old",), ("new",), ("old", "new")])
def test_an_intermediate_renewed_under_its_name_works_next_to_the_old_one(kept: tuple[str, ...]) -> None:
    root = ca("Top")
    issuing = {"old": ca("Issuing", root), "new": ca("Issuing", root)}
    record = of("a", root, helpers=tuple(issuing[each] for each in kept))

    for each, certificate in issuing.items():
        assert vouching([record], leaf(certificate)) == (["a"] if each in kept else [])
        assert vouching([record], leaf(certificate), *issuing.values()) == ["a"]


def rollover(times: int) -> list[Signer]:
    """Return a root and its successors with the same name, each signed by the one before, with key identifiers."""
    chain: list[Signer] = []
    for _ in range(times + 1):
        key = ec.generate_private_key(ec.SECP256R1())
        above = chain[-1] if chain else None
        signer = above.key if above else key
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        chain.append(issue(Wish(name("Root"), ca=True, key=key, extensions=(identifier(key), named)), above))
    return chain


@pytest.mark.parametrize(("times", "configured"), [*product([1, 2, 3], [True, False])])
def test_self_issued_certificates_of_a_key_rollover_work_in_a_path(times: int, configured: bool) -> None:
    oldest, *newer = rollover(times)
    newest = newer[-1]
    named = x509.AuthorityKeyIdentifier.from_issuer_public_key(newest.key.public_key())
    end_entity = leaf(newest, extensions=(named,))

    if configured:
        assert vouching([of("a", oldest, helpers=tuple(newer))], end_entity) == ["a"]
    else:
        assert vouching([of("a", oldest)], end_entity, *newer) == ["a"]
    assert vouching([of("a", oldest)], end_entity, *newer[:-1]) == []


@pytest.mark.parametrize("keys", [2, 5, 12])
def test_a_presented_intermediate_of_any_of_a_cas_many_keys_accepts(keys: int) -> None:
    anchors = [issue(Wish(name("Root"), ca=True, ends=NOW + number * DAY)) for number in range(1, keys + 1)]
    for anchor in anchors:
        intermediate = ca("Issuing", anchor)
        assert vouching([of("a", *anchors)], leaf(intermediate), intermediate) == ["a"]
