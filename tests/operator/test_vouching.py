import time
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_core.published.documents import RegisteredGateway, ServedNamespace, TrustedAuthority
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.compiling.trust.vouching import NOBODY_VOUCHES, VOUCHED, VOUCHED_BY_TOKEN, VouchingCAs
from stationkeeper_operator.compiling.verdict import Verdict, Vouching
from stationkeeper_operator.resources.records import Resource
from tests.core import odd_certificates
from tests.core.slow_keys import rsa_key
from tests.operator.resource_building import (
    EUI,
    NOW,
    der,
    make_ca,
    make_gateway,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
    world_of,
)

ROOT = make_pem("root")
LNS = {"lns": {"uri": "ws://lns:1"}}
DELETED = {"deletionTimestamp": "2026-05-01T00:00:00Z"}


def gateway(spec: dict[str, Any] | None = None, **more: Any) -> Resource:
    return make_gateway({"eui": EUI, **LNS, **(spec or {})}, **more)


def vouching(*others: Resource, spec: dict[str, Any] | None = None, **more: Any) -> Vouching:
    asked = gateway(spec)
    found = verdict_on(asked, plan_of(asked, *others, **more)).vouching
    assert found is not None
    return found


def odd_root(*extensions: tuple[x509.ExtensionType, bool], key: Any = None, start: int = -10, end: int = 365) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW + timedelta(days=start))
    builder = builder.not_valid_after(NOW + timedelta(days=end))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def constraints(**subtrees: list[x509.GeneralName]) -> x509.NameConstraints:
    return x509.NameConstraints(subtrees.get("permitted"), subtrees.get("excluded"))


NEVER = {
    "RSA 1024": (odd_root(key=rsa_key(1024)), "too weak"),
    "serverAuth": (odd_root((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)), "clientAuth"),
    "notBefore": (odd_root(start=3), "not valid before 2026-06-04"),
    "critical": (
        odd_root((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)),
        "OpenSSL",
    ),
    "all names": (odd_root((constraints(excluded=[x509.DirectoryName(x509.Name([]))]), True)), "name constraints"),
}


@pytest.mark.parametrize(("pem", "why"), NEVER.values(), ids=NEVER)
def test_an_anchor_that_can_accept_no_client_is_reported_on_ca_and_gateway(pem: str, why: str) -> None:
    ca = make_ca({"certificates": pem})
    found = vouching(ca)
    assert (found.vouched, found.reason) == (False, NOBODY_VOUCHES)
    assert "acme (" in found.message
    assert why in found.message
    verdict = verdict_on(ca, plan_of(ca))
    assert verdict.accepted
    assert why in verdict.message
    assert why in verdict.certificates[0].problem


def test_notes_name_only_the_anchor_that_cannot_be_used() -> None:
    ca = make_ca({"certificates": ROOT + NEVER["serverAuth"][0]})
    assert vouching(ca) == Vouching(True, VOUCHED, "by certificate: acme")
    verdict = verdict_on(ca, plan_of(ca))
    assert "no anchor can vouch" not in verdict.message
    assert sorted(each.problem for each in verdict.certificates) == ["", "its extended key usage lacks clientAuth"]


@pytest.mark.parametrize(
    "extension",
    [
        constraints(permitted=[x509.DNSName("example.org")]),
        constraints(permitted=[x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")]))]),
        constraints(excluded=[x509.DNSName("example.org")]),
    ],
)
def test_constraints_that_allow_a_gateway_name_are_not_a_problem(extension: x509.NameConstraints) -> None:
    assert vouching(make_ca({"certificates": odd_root((extension, True))})).vouched


def test_dates_the_wrong_way_round_are_reported() -> None:
    pem = _backwards()
    assert "never valid" in vouching(make_ca({"certificates": pem})).message


def _backwards() -> str:
    late, early = b"\x18\x0f20300101000000Z", b"\x18\x0f20290101000000Z"
    return to_pem(odd_certificates.root(validity=odd_certificates.sequence(late, early)).der)


OTHERS: dict[str, tuple[list[Resource], dict[str, Any], str]] = {
    "none": ([], {}, "no TrustedCA is in its scope"),
    "suspended": ([make_ca({"certificates": ROOT, "suspended": True})], {}, "acme (it is suspended)"),
    "refused": ([make_ca({"certificates": "x"})], {}, "acme (it is refused: NoCertificate)"),
    "expired": ([make_ca({"certificates": make_pem("old", end=-1)})], {}, "acme (all of its anchors have expired)"),
    "leaving": ([make_ca({"certificates": ROOT}, **DELETED)], {}, "acme (it is being deleted)"),
    "range": ([make_ca({"certificates": ROOT, "euiRanges": ["FF00000000000000/8"]})], {}, "outside its euiRanges"),
    "unknown": ([], {"client": {"trustedCAs": ["nemo"]}}, "nemo (it does not exist, or does not serve"),
    "not named": (
        [make_ca({"certificates": ROOT})],
        {"client": {"trustedCAs": ["nemo"]}},
        "acme (client.trustedCAs does not name it)",
    ),
    "stranger": (
        [make_ca({"certificates": ROOT}, namespace="rival")],
        {"client": {"trustedCAs": ["rival/acme"]}},
        "rival/acme (a TrustedCA of that namespace never speaks for this one)",
    ),
    "other EUIs": (
        [
            make_ca(
                {"certificates": ROOT, "serves": [{"namespace": "lorawan", "euiRanges": ["FF00000000000000/8"]}]},
                namespace="stationkeeper",
            )
        ],
        {},
        "stationkeeper/acme (it does not serve this EUI here)",
    ),
}


@pytest.mark.parametrize(("others", "spec", "why"), OTHERS.values(), ids=OTHERS)
def test_the_reason_why_no_ca_can_vouch_is_reported(others: list[Resource], spec: dict[str, Any], why: str) -> None:
    found = vouching(*others, spec=spec)
    assert (found.vouched, found.reason) == (False, NOBODY_VOUCHES)
    assert why in found.message


@pytest.mark.parametrize(
    "other",
    [
        make_ca({"certificates": ROOT}, name="secretive", namespace="rival"),
        make_ca({"certificates": ROOT}, name="secretive", namespace="stationkeeper"),
        make_ca(
            {"certificates": ROOT, "serves": [{"namespace": "rival"}]}, name="secretive", namespace="stationkeeper"
        ),
    ],
)
def test_cas_that_do_not_serve_a_namespace_are_not_named_there(other: Resource) -> None:
    assert "secretive" not in vouching(other).message
    named = vouching(other, spec={"client": {"trustedCAs": ["stationkeeper/secretive"]}}).message
    missing = vouching(spec={"client": {"trustedCAs": ["stationkeeper/secretive"]}}).message
    assert named == missing


def test_one_of_the_release_that_serves_the_namespace_is_named() -> None:
    serves = [{"namespace": "lorawan", "euiRanges": ["0100000000000000/8"]}]
    release = make_ca({"certificates": ROOT, "serves": serves}, name="vendor", namespace="stationkeeper")
    own = make_ca({"certificates": ROOT, "suspended": True})
    message = "by certificate: stationkeeper/vendor; cannot: acme (it is suspended)"
    assert vouching(release, own) == Vouching(True, VOUCHED, message)


def test_a_token_vouches_and_says_on_what_it_depends() -> None:
    secret = make_secret({"token": "QmVhcmVyIDAxMjM0NTY3ODlhYmNkZWY="})
    tokens = {"client": {"tokens": [{"secretKeyRef": {"name": "lns-token", "key": "token"}}]}}
    found = vouching(spec=tokens, referenced=secret)
    assert (found.vouched, found.reason) == (True, VOUCHED_BY_TOKEN)
    assert "if CUPS has token authentication switched on" in found.message


def test_a_gateway_that_is_suspended_or_not_in_force_has_no_vouching() -> None:
    suspended, broken = gateway({"suspended": True}), make_gateway({"eui": EUI, "lns": {"uri": "x"}})
    assert verdict_on(suspended, plan_of(suspended)).vouching is None
    assert verdict_on(broken, plan_of(broken)).vouching is None


def test_a_refused_edit_that_leaves_the_last_accepted_in_force_still_vouches() -> None:
    asked, good = gateway(), make_ca({"certificates": ROOT})
    in_force = plan_of(asked, good).documents
    bad = make_ca({"certificates": "x"})
    found = verdict_on(asked, plan_of(asked, bad, in_force=in_force)).vouching
    assert found == Vouching(True, VOUCHED, "by certificate: acme")


def test_a_beginning_is_a_deadline() -> None:
    ca = make_ca({"certificates": NEVER["notBefore"][0]})
    plan = plan_of(ca)
    assert plan.deadline == NOW + timedelta(days=3)
    assert vouching(ca, now=NOW + timedelta(days=3)).vouched


def test_the_work_for_a_fleet_grows_with_groups() -> None:
    names = [f"ca-{number:03}" for number in range(200)]
    cas = [
        make_ca({"certificates": ROOT, "euiRanges": [f"{number:02X}00000000000000/8"]}, name=name)
        for number, name in enumerate(names)
    ]
    records = {
        each.key: TrustedAuthority(
            namespace="lorawan",
            name=name,
            uid=name,
            anchors=(der(ROOT),),
            eui_ranges=(f"{number:02X}00000000000000/8",),
        )
        for number, (name, each) in enumerate(zip(names, cas, strict=True))
    }
    verdicts = {each.key: Verdict(True, "Accepted", "", "trust") for each in cas}
    gateways = [
        RegisteredGateway(
            eui=f"{number % 256:02X}{number:014X}",
            namespace="lorawan",
            name="g",
            uid="u",
            trusted_cas=None if number % 2 else (f"lorawan/ca-{number % 200:03}",),
        )
        for number in range(100_000)
    ]
    began = time.process_time()
    vouching_cas = VouchingCAs(world_of(*cas), verdicts, records, NOW)
    found = [vouching_cas.of(each) for each in gateways]
    took = time.process_time() - began
    vouched = [each is not None and each.vouched for each in found]
    assert vouched[1:256:2] == [number < 200 for number in range(1, 256, 2)]
    assert took < 1.0


def test_all_ends_of_ranges_agree_with_a_plain_search() -> None:
    ranges = ("0123456789ABCDE0/60", "0123456789ABCDF0/64", "0000000000000000/1")
    record = TrustedAuthority(namespace="lorawan", name="acme", uid="u", anchors=(der(ROOT),), eui_ranges=ranges)
    ca = make_ca({"certificates": ROOT})
    served = ServedNamespace(namespace="*", eui_ranges=("0123456789ABCDE0/62",))
    other = TrustedAuthority(
        namespace="stationkeeper", name="vendor", uid="v", anchors=(der(ROOT),), serves=(served,), eui_ranges=ranges[:1]
    )
    vendor = make_ca({"certificates": ROOT}, name="vendor", namespace="stationkeeper")
    verdicts = {each.key: Verdict(True, "Accepted", "", "trust") for each in (ca, vendor)}
    only = VouchingCAs(world_of(vendor), {vendor.key: verdicts[vendor.key]}, {vendor.key: other}, NOW)
    for eui in range(0x0123456789ABCDD0, 0x0123456789ABCE00):
        asked = RegisteredGateway(eui=f"{eui:016X}", namespace="lorawan", name="g", uid="u")
        found = only.of(asked)
        assert found is not None
        assert found.vouched == (0x0123456789ABCDE0 <= eui < 0x0123456789ABCDE4)
    whole = VouchingCAs(world_of(ca, vendor), verdicts, {ca.key: record, vendor.key: other}, NOW)
    for eui, vouched in ((0, True), (2**63 - 1, True), (2**63, False), (2**64 - 1, False)):
        found = whole.of(RegisteredGateway(eui=f"{eui:016X}", namespace="lorawan", name="g", uid="u"))
        assert found is not None
        assert found.vouched is vouched
