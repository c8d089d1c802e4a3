"""No gateway ever gets the private key of a certificate authority, with any label on its Secret."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stationkeeper_core.errors import Reason
from stationkeeper_operator.resources.records import (
    CONFIG_MAP,
    Reference,
    ReferencedObject,
    Resource,
    decode_referenced,
)
from tests.operator.resource_building import (
    EUI,
    NOW,
    key_of,
    make_ca,
    make_defaults,
    make_gateway,
    make_pem,
    make_secret,
    metadata,
    plan_of,
    verdict_on,
)
from tests.operator.test_gateway_compiler import gateways

TRUST = make_pem("server-root")
CLIENT = {"clientCertificate": {"secretRef": {"name": "tls"}}}
LNS = {"uri": "wss://lns.example.com:8887", "trust": TRUST, "auth": CLIENT}
CUPS = {"uri": "https://cups.example.com:443", "trust": TRUST, "auth": CLIENT}
ROOT = make_pem("root", key="ca")
RELEASE = "stationkeeper"


def key_pem(name: str) -> str:
    return key_of(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def leaf(key: str, signer: str = "ca") -> str:
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (EUI, "root"))
    builder = x509.CertificateBuilder(issuer, subject, key_of(key).public_key(), 9)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=90))
    return builder.sign(key_of(signer), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def tls(certificate: str, key: str, label: str | None = "true") -> dict[Reference, ReferencedObject]:
    content = {"tls.crt": certificate, "tls.key": key_pem(key), "ca.crt": certificate}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in content.items()}
    return make_secret(encoded, "tls", label=label)


def users() -> list[Resource]:
    return [
        make_gateway({"eui": EUI, "lns": LNS}),
        make_gateway({"eui": EUI, "lns": {"uri": "ws://lns:1"}, "cups": CUPS}),
        make_defaults({"lns": LNS}),
    ]


@pytest.mark.parametrize("resource", users(), ids=["lns", "cups", "defaults"])
def test_a_ca_certificate_is_never_delivered_as_a_gateways_credential(resource: Resource) -> None:
    ca = make_ca({"certificates": ROOT})
    for present in ([], [ca]):
        plan = plan_of(resource, *present, referenced=tls(ROOT, "ca"))
        assert verdict_on(resource, plan).reason == Reason.CLIENT_CERTIFICATE_IS_CA
        assert gateways(plan) == []


CAS: list[tuple[str, dict[str, Any], str]] = [
    ("its own", {"certificates": ROOT}, "lorawan"),
    ("suspended", {"certificates": ROOT, "suspended": True}, "lorawan"),
    ("refused", {"certificates": ROOT, "euiRanges": ["x"]}, "lorawan"),
    ("an intermediate", {"certificates": make_pem("other", key="other"), "intermediates": ROOT}, "lorawan"),
    ("expired", {"certificates": make_pem("root", key="ca", end=-1)}, "lorawan"),
    ("the release's", {"certificates": ROOT}, RELEASE),
    ("another tenant's root", {"certificates": ROOT}, "tenant"),
]


@pytest.mark.parametrize(("spec", "namespace"), [case[1:] for case in CAS], ids=[case[0] for case in CAS])
@pytest.mark.parametrize("resource", users(), ids=["lns", "cups", "defaults"])
def test_a_trusted_cas_key_is_not_delivered_whatever_certificate_is_next_to_it(
    resource: Resource, spec: dict[str, Any], namespace: str
) -> None:
    plan = plan_of(resource, make_ca(spec, namespace=namespace), referenced=tls(leaf("ca"), "ca"))
    verdict = verdict_on(resource, plan)
    assert (verdict.reason, gateways(plan)) == (Reason.PRIVATE_KEY_OF_CA, [])
    assert "tenant" not in verdict.message


def test_a_key_that_becomes_a_cas_later_does_not_stay_in_force() -> None:
    gateway = make_gateway({"eui": EUI, "lns": LNS})
    secret = tls(leaf("ca"), "ca")
    before = plan_of(gateway, referenced=secret)
    assert gateways(before)[0].lns_credentials
    after = plan_of(gateway, make_ca({"certificates": ROOT}), referenced=secret, in_force=before.documents)
    assert gateways(after) == []
    lost = plan_of(gateway, make_ca({"certificates": ROOT}), in_force=before.documents)
    assert gateways(lost) == []


def test_a_certificate_for_another_tenants_key_blocks_no_credentials() -> None:
    gateway, secret = make_gateway({"eui": EUI, "lns": LNS}), tls(leaf("gateway"), "gateway")
    forged = make_pem("forged", key="gateway", issuer=("forged", "attacker"))
    plan = plan_of(gateway, make_ca({"certificates": forged}, namespace="tenant"), referenced=secret)
    assert verdict_on(gateway, plan).accepted


def test_a_ca_made_with_a_delivered_key_blocks_no_other_namespace() -> None:
    """A tenant that registers a gateway gets the release's default LNS key, and can make a root with it."""
    gateway, thief = make_gateway({"eui": EUI, "lns": LNS}), make_gateway({"eui": "00000000000000B0"}, "b", "b")
    root = make_ca({"certificates": make_pem("mine", key="client")}, "mine", "b")
    credentials = tls(leaf("client"), "client")
    before = plan_of(gateway, thief, referenced=credentials)
    assert [each.name for each in gateways(before)] == ["roof"]
    after = plan_of(gateway, thief, root, referenced=credentials, in_force=before.documents)
    assert gateways(after) == gateways(before)
    assert verdict_on(gateway, after).accepted
    later = plan_of(gateway, thief, root, referenced=credentials, in_force=after.documents)
    assert gateways(later) == gateways(before)


def test_each_label_allows_only_its_own_use() -> None:
    gateway = make_gateway({"eui": EUI, "lns": LNS})
    for_trust = tls(leaf("gateway"), "gateway", label="trust")
    assert verdict_on(gateway, plan_of(gateway, referenced=for_trust)).reason == Reason.REFERENCE_NOT_LABELLED
    named = {"secretKeyRef": {"name": "tls", "key": "ca.crt"}}
    ca = make_ca({"certificatesFrom": named})
    crl = make_ca({"certificates": ROOT, "revocation": {"crlFrom": named}})
    server = make_gateway({"eui": EUI, "lns": {"uri": LNS["uri"], "trustFrom": named}})
    for resource in (ca, crl, server):
        plan = plan_of(resource, referenced=tls(ROOT, "ca", label="true"))
        assert verdict_on(resource, plan).reason == Reason.REFERENCE_NOT_LABELLED
        assert "stationkeeper.io/trust" in verdict_on(resource, plan).message
        plan = plan_of(resource, referenced=tls(ROOT, "ca", label=None))
        assert verdict_on(resource, plan).reason == Reason.REFERENCE_NOT_LABELLED
    for resource in (ca, server):
        plan = plan_of(resource, referenced=tls(ROOT, "ca", label="trust"))
        assert verdict_on(resource, plan).accepted
    private = make_ca({"certificatesFrom": {"secretKeyRef": {"name": "tls", "key": "tls.key"}}})
    plan = plan_of(private, referenced=tls(ROOT, "ca", label="trust"))
    assert verdict_on(private, plan).reason == Reason.PRIVATE_KEY_IN_TRUSTED_CA


def test_a_config_map_needs_no_label() -> None:
    named = Reference(CONFIG_MAP, "lorawan", "roots")
    held = decode_referenced(CONFIG_MAP, {"metadata": metadata("roots", "lorawan"), "data": {"ca.crt": ROOT}})
    ca = make_ca({"certificatesFrom": {"configMapKeyRef": {"name": "roots", "key": "ca.crt"}}})
    assert verdict_on(ca, plan_of(ca, referenced={named: held})).accepted


def test_a_gateways_own_key_is_delivered_next_to_the_ca_that_signed_it() -> None:
    gateway = make_gateway({"eui": EUI, "lns": LNS})
    plan = plan_of(gateway, make_ca({"certificates": ROOT}), referenced=tls(leaf("gateway"), "gateway"))
    assert verdict_on(gateway, plan).accepted
