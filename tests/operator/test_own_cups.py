from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import REGISTRY, RegisteredGateway, RegistryDocument, bucket_of
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_operator.compiling.compile import PublishPlan, compile_plan
from stationkeeper_operator.resources.records import Gateway, Reference, ReferencedObject, Resource
from tests.operator.resource_building import (
    EUI,
    NOW,
    der,
    key_of,
    make_ca,
    make_gateway,
    make_pem,
    make_secret,
    verdict_on,
    world_of,
)

HERE = "https://cups.example.org:8987"
ROOT, OTHER = make_pem("root", key="root"), make_pem("other", key="other")


def leaf(name: str = EUI, issuer: str = "root", **more: Any) -> str:
    return make_pem(name, authority=None, key="gateway", issuer=(issuer, issuer), **more)


def tls(certificate: str) -> dict[Reference, ReferencedObject]:
    key = key_of("gateway").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    data = {"tls.crt": b64encode(certificate.encode()).decode(), "tls.key": b64encode(key).decode()}
    return make_secret(data, "client")


def moved(uri: str = HERE, **more: Any) -> Gateway:
    cups = {"uri": uri, "trust": OTHER, "auth": {"clientCertificate": {"secretRef": {"name": "client"}}}}
    return make_gateway({"eui": EUI, "lns": {"uri": "ws://lns:1"}, "cups": cups, **more})


def plan(
    *resources: Resource,
    certificate: str = "",
    names: tuple[str, ...] = ("cups.example.org",),
    in_force: Mapping[str, Any] | None = None,
    now: Any = NOW,
    referenced: dict[Reference, ReferencedObject] | None = None,
) -> PublishPlan:
    world = world_of(*resources, referenced=referenced or tls(certificate or leaf()))
    return compile_plan(replace(world, cups_names=names), in_force or {}, now)


def registered(made: PublishPlan) -> RegisteredGateway:
    eui = parse_hex(EUI)
    assert eui is not None
    document = made.documents[REGISTRY[bucket_of(eui)]]
    assert isinstance(document, RegistryDocument)
    return document.gateways[0]


CA = make_ca({"certificates": ROOT})


@pytest.mark.parametrize("uri", [HERE, "https://CUPS.example.org:8987", "https://cups.example.org:443"])
def test_a_certificate_that_cups_would_accept_is_delivered(uri: str) -> None:
    gateway = moved(uri)
    made = plan(gateway, CA)
    assert verdict_on(gateway, made).accepted
    assert registered(made).cups_credentials


PINNED = {"client": {"sha256Fingerprints": ["ab" * 32]}}
REFUSED: dict[str, tuple[list[Resource], dict[str, Any], str, str]] = {
    "untrusted issuer": ([CA], {}, leaf(issuer="other"), "NoTrustedCA"),
    "no TrustedCA": ([], {}, leaf(), "NoTrustedCA"),
    "another EUI": ([CA], {}, leaf("0123456789ABCDE0"), "CommonNameMismatch"),
    "no EUI": ([CA], {}, leaf("gateway"), "CommonNameNotEUI"),
    "not pinned": ([CA], PINNED, leaf(), "CertificateNotPinned"),
    "revoked": (
        [
            make_ca(
                {"certificates": ROOT, "revocation": {"sha256Fingerprints": [parse_certificate(der(leaf())).sha256]}}
            )
        ],
        {},
        leaf(),
        "CertificateRevoked",
    ),
    "range": ([make_ca({"certificates": ROOT, "euiRanges": ["FF00000000000000/8"]})], {}, leaf(), "EUIOutOfRange"),
    "not allowed": ([CA], {"client": {"trustedCAs": ["nemo"]}}, leaf(), "TrustedCANotAllowed"),
    "expired": ([CA], {}, leaf(end=-1), "NoTrustedCA"),
    "not yet valid": ([CA], {}, leaf(start=2), "NoTrustedCA"),
    "suspended": ([make_ca({"certificates": ROOT, "suspended": True})], {}, leaf(), "NoTrustedCA"),
    "another tenant's": ([make_ca({"certificates": ROOT}, namespace="rival")], {}, leaf(), "NoTrustedCA"),
}


@pytest.mark.parametrize(("others", "spec", "certificate", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_certificate_that_cups_would_refuse_is_not_delivered(
    others: list[Resource], spec: dict[str, Any], certificate: str, reason: str
) -> None:
    gateway = moved(**spec)
    verdict = verdict_on(gateway, plan(gateway, *others, certificate=certificate))
    assert (verdict.accepted, verdict.reason, verdict.document) == (False, "WouldBeRefused", None)
    assert f"as {reason}: " in verdict.message
    assert "rival" not in verdict.message


@pytest.mark.parametrize("names", [(), ("cups.example.net",), ("cups.example.org:443",), ("example.org",)])
def test_another_cups_is_not_judged(names: tuple[str, ...]) -> None:
    gateway = moved()
    assert verdict_on(gateway, plan(gateway, CA, certificate=leaf(issuer="other"), names=names)).accepted


def test_accepted_credentials_are_no_longer_delivered_when_cups_would_refuse_them() -> None:
    gateway = moved()
    accepted = plan(gateway, CA)
    gone = plan(gateway, make_ca({"certificates": OTHER}), in_force=accepted.documents)
    assert verdict_on(gateway, gone).reason == "WouldBeRefused"
    assert (registered(gone).lns_uri, registered(gone).cups_credentials) == ("ws://lns:1", b"")
    renewed = plan(gateway, CA, certificate=leaf(issuer="other"), in_force=accepted.documents)
    assert verdict_on(gateway, renewed).reason == "WouldBeRefused"
    assert registered(renewed).cups_credentials == registered(accepted).cups_credentials


def test_when_a_certificate_begins_is_a_deadline() -> None:
    gateway = moved()
    made = plan(gateway, CA, certificate=leaf(start=2))
    assert made.deadline == NOW + timedelta(days=2)
    later = plan(gateway, CA, certificate=leaf(start=2), now=NOW + timedelta(days=2))
    assert verdict_on(gateway, later).accepted


def test_a_set_without_authentication_is_refused() -> None:
    gateway = moved(cups={"uri": HERE, "trust": OTHER})
    assert verdict_on(gateway, plan(gateway, CA)).reason == "WouldBeRefused"
    assert verdict_on(moved(cups={"uri": HERE}), plan(moved(cups={"uri": HERE}), CA)).accepted


@pytest.mark.parametrize(("listed", "reason"), [("token", "Accepted"), ("other", "WouldBeRefused")])
def test_a_delivered_token_must_be_one_of_client_tokens(listed: str, reason: str) -> None:
    tokens = {name: b64encode(f"Bearer 0123456789abcdef-{name}".encode()).decode() for name in ("token", "other")}
    cups = {"uri": HERE, "trust": OTHER, "auth": {"token": {"secretKeyRef": {"name": "lns-token", "key": "token"}}}}
    client = {"tokens": [{"secretKeyRef": {"name": "lns-token", "key": listed}}]}
    gateway = moved(cups=cups, client=client)
    assert verdict_on(gateway, plan(gateway, CA, referenced=make_secret(tokens))).reason == reason


def test_a_suspended_gateway_is_not_judged() -> None:
    gateway = moved(suspended=True)
    assert verdict_on(gateway, plan(gateway, certificate=leaf(issuer="other"))).reason == "Suspended"
