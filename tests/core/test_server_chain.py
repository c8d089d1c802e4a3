from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.server_chain import check_server, check_times, has_root_of, root_name
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from tests.core import odd_certificates as odd
from tests.core.certificates import MAY_SIGN, NOW, Signer, Wish, issue, name


def ca(common_name: str, issuer: Signer | None = None, **options: object) -> Signer:
    return issue(Wish(name(common_name), ca=True, extensions=(MAY_SIGN,), **options), issuer)  # type: ignore[arg-type]


def server(issuer: Signer, *extensions: x509.ExtensionType, **options: object) -> Signer:
    return issue(Wish(name("cups"), extensions=extensions, **options), issuer)  # type: ignore[arg-type]


def chain(*signers: Signer) -> tuple[Certificate, ...]:
    return tuple(each.certificate for each in signers)


def authority_key(signer: Signer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())


ROOT = ca("Root")
OTHER = ca("Other")
SAME_NAME = ca("Root")
ISSUING = ca("Issuing", ROOT)


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
def test_a_server_may_be_one_by_name_or_by_any_usage(usage: x509.ObjectIdentifier) -> None:
    check_server(chain(server(ROOT, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, usage])), ROOT))


def test_a_server_that_is_for_clients_alone_is_refused() -> None:
    with pytest.raises(StationkeeperError, match="without serverAuth") as refused:
        check_server(chain(server(ROOT, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))))
    assert refused.value.reason is Reason.CERTIFICATE_UNUSABLE


@pytest.mark.parametrize(
    ("begins", "ends", "problem"),
    [(-1, 1, ""), (0, 1, ""), (-1, 0, ""), (1, 2, "is not valid before"), (-2, -1, "has expired on")],
)
def test_times_are_told_to_the_second(begins: int, ends: int, problem: str) -> None:
    wish = {"begins": NOW + timedelta(seconds=begins), "ends": NOW + timedelta(seconds=ends)}
    for own in (chain(server(ROOT, **wish)), chain(server(below := ca("Below", ROOT, **wish)), below)):
        if problem:
            with pytest.raises(StationkeeperError, match=problem):
                check_times(own, NOW)
        else:
            check_times(own, NOW)


LEAF = server(ISSUING)
CROSS = issue(Wish(name("Other"), ca=True, key=OTHER.key, extensions=(MAY_SIGN,)), ROOT)
HELD = {
    "root sent": chain(LEAF, ISSUING, ROOT),
    "root not sent": chain(LEAF, ISSUING),
    "root not sent, its key named": chain(server(ROOT, authority_key(ROOT))),
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize(
    "new",
    [
        chain(server(ISSUING), ISSUING),
        chain(server(ISSUING), ROOT, ISSUING),
        chain(server(ROOT), ROOT),
        chain(server(ROOT, authority_key(ROOT))),
        chain(server(OTHER), CROSS),
        chain(server(OTHER), CROSS, ROOT),
        chain(server(OTHER), OTHER, CROSS),
    ],
)
def test_a_chain_with_the_same_root_is_recognised(held: str, new: tuple[Certificate, ...]) -> None:
    assert has_root_of(HELD[held], new)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize(
    "new",
    [
        chain(server(OTHER), OTHER),
        chain(server(OTHER)),
        chain(server(SAME_NAME), SAME_NAME),
        chain(server(ca("Issuing", OTHER))),
        chain(OTHER),
    ],
)
def test_a_chain_with_another_root_is_recognised(held: str, new: tuple[Certificate, ...]) -> None:
    assert not has_root_of(HELD[held], new)


def test_a_root_of_the_same_name_that_is_not_sent_is_reported_by_the_identifier_of_its_key() -> None:
    held = HELD["root not sent, its key named"]
    assert not has_root_of(held, chain(server(SAME_NAME, authority_key(SAME_NAME))))
    assert not has_root_of(HELD["root sent"], chain(server(SAME_NAME)))


def test_a_self_signed_server_is_its_own_root() -> None:
    own = issue(Wish(name("cups")))
    renewed = issue(Wish(name("cups"), key=own.key))
    assert has_root_of(chain(own), chain(renewed))
    assert not has_root_of(chain(own), chain(issue(Wish(name("cups")))))


def test_the_root_is_named() -> None:
    assert root_name(HELD["root sent"]) == root_name(HELD["root not sent"]) == "CN=Root"


def test_certificates_that_name_each_other_as_issuers_do_not_loop() -> None:
    one, two = ca("One"), ca("Two")
    circle = (issue(Wish(name("One"), ca=True, key=one.key), two), issue(Wish(name("Two"), ca=True, key=two.key), one))
    assert not has_root_of(HELD["root sent"], chain(server(one), *circle))
    assert has_root_of(chain(server(one), *circle), chain(server(two), *circle))
    assert root_name(chain(server(one), *circle))


def test_a_server_whose_key_may_not_sign_is_refused() -> None:
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)

    with pytest.raises(StationkeeperError, match="without digitalSignature") as refused:
        check_server(chain(server(ROOT, usage)))
    assert refused.value.reason is Reason.CERTIFICATE_UNUSABLE


def test_where_cryptography_cannot_read_a_certificate_the_names_tell_who_issued_it() -> None:
    version_7 = bytes.fromhex("a003020106")
    root, other = (parse_certificate(odd.root(version=version_7, **each).der) for each in ({}, OTHER_NAME))
    end_entity = parse_certificate(odd.leaf().der)

    assert root_name((end_entity, root)) == "CN=Root"
    assert has_root_of((end_entity, root), (parse_certificate(odd.leaf(serial=b"\x02\x01\x08").der), root))
    assert not has_root_of((end_entity, root), (parse_certificate(odd.leaf(**OTHER_ISSUER).der), other))


OTHER_NAME = {"issuer": odd.common_name("Other"), "subject": odd.common_name("Other")}
OTHER_ISSUER = {"issuer": odd.common_name("Other")}
