import base64
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import REGISTRY, RegisteredGateway, RegistryDocument
from stationkeeper_core.x509.pem import to_pem
from stationkeeper_operator.compiling.compile import PublishPlan, Verdict
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import CONFIG_MAP, SECRET, Reference, ReferencedObject, decode_referenced
from tests.core import odd_certificates
from tests.core.certificates import name
from tests.core.odd_certificates import common_name
from tests.core.private_keys import CURVES, fixed, fixed_ec, written
from tests.operator.resource_building import (
    EUI,
    NOW,
    der,
    make_gateway,
    make_pem,
    make_secret,
    metadata,
    plan_of,
    verdict_on,
)
from tests.station_answer import split_credentials

TRUST = make_pem("server-root")
LNS = {"uri": "wss://lns.example.com:8887", "trust": TRUST}
CUPS = {"uri": "https://cups.example.com:443", "trust": TRUST}
SERVERS: dict[str, dict[str, Any]] = {"lns": LNS, "cups": CUPS}
TOKEN = {"token": {"secretKeyRef": {"name": "server-token", "key": "token"}}}
CLIENT = {"clientCertificate": {"secretRef": {"name": "client-tls"}}}
KEYS = ("RSA 2048", *CURVES)
Objects = dict[Reference, ReferencedObject]


@cache
def client_certificate(key: Any, *, subject: str = EUI, days: int = 365) -> x509.Certificate:
    builder = x509.CertificateBuilder(name("clients"), name(subject), key.public_key(), 7)
    builder = builder.not_valid_before(NOW - timedelta(days=10)).not_valid_after(NOW + timedelta(days=days))
    return builder.sign(fixed_ec("P-384"), hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def secret(**data: bytes) -> Objects:
    found = {each.replace("_", "."): base64.b64encode(content).decode() for each, content in data.items()}
    return make_secret(found, name="client-tls")


def token_secret(token: str = "Bearer NNSXS.SECRET") -> Objects:
    return make_secret({"token": base64.b64encode(token.encode()).decode()}, name="server-token")


def tls_secret(key: str = "P-256", **changes: bytes) -> Objects:
    content = {"tls_crt": pem(client_certificate(fixed(key))), "tls_key": written(fixed(key))}
    return secret(**{**content, **changes})


def registered(plan: PublishPlan) -> list[RegisteredGateway]:
    documents = (plan.documents[each] for each in REGISTRY)
    return [each for document in documents if isinstance(document, RegistryDocument) for each in document.gateways]


def compiled(
    spec: Mapping[str, Any], referenced: Objects | None = None, **options: Any
) -> tuple[RegisteredGateway | None, Verdict]:
    resource = make_gateway({"eui": EUI, **spec})
    plan = plan_of(resource, referenced=referenced, **options)
    found = registered(plan)
    return (found[0] if found else None), verdict_on(resource, plan)


def blob_of(record: RegisteredGateway | None, server: str) -> bytes:
    assert record is not None
    return record.lns_credentials if server == "lns" else record.cups_credentials


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_tls_secret_becomes_credentials_that_a_station_can_use(server: str, key: str) -> None:
    record, verdict = compiled({server: {**SERVERS[server], "auth": CLIENT}}, tls_secret(key))
    assert (verdict.reason, verdict.message) == ("Accepted", "the spec is in force")
    found = split_credentials(blob_of(record, server))
    assert found.trust == der(TRUST)
    assert found.certificate == client_certificate(fixed(key)).public_bytes(Encoding.DER)
    assert found.key[:1] == b"\x30"
    assert found.key[1] == 0x82 or found.key[1] < 0x80


def test_a_certificate_so_short_that_a_station_misreads_its_length_is_refused_by_the_preflight() -> None:
    short = odd_certificates.leaf(version=b"", issuer=common_name("a"), subject=odd_certificates.sequence()).der
    assert len(short) < 256
    record, verdict = compiled({"cups": {**CUPS, "trust": to_pem(short)}})
    assert (record, verdict.reason) == (None, Reason.CREDENTIALS_UNUSABLE)
    assert verdict.message.startswith("cups: the credentials have a trust whose length a Basics Station misreads")


@pytest.mark.parametrize("server", SERVERS)
def test_a_token_that_looks_like_a_mistake_is_delivered_with_a_note(server: str) -> None:
    record, verdict = compiled({server: {**SERVERS[server], "auth": TOKEN}}, token_secret("NNSXS.SECRET"))
    assert blob_of(record, server).endswith(b"Authorization: NNSXS.SECRET\r\n")
    assert verdict.accepted
    assert f"{server}.auth.token: the token has no word such as Bearer" in verdict.message
    assert "NNSXS" not in verdict.message


@pytest.mark.parametrize("server", SERVERS)
def test_a_token_of_several_header_lines_is_delivered_as_a_station_reads_them(server: str) -> None:
    lines = "Authorization: Bearer NNSXS.SECRET\r\nX-Tenant: radio\r\n"
    record, verdict = compiled({server: {**SERVERS[server], "auth": TOKEN}}, token_secret(lines))
    assert blob_of(record, server) == der(TRUST) + bytes(4) + lines.encode()
    assert verdict.message == "the spec is in force"


@pytest.mark.parametrize("server", SERVERS)
def test_a_token_and_no_auth_work_for_both_servers_alike(server: str) -> None:
    token = b"Authorization: Bearer NNSXS.SECRET\r\n"
    record, _ = compiled({server: {**SERVERS[server], "auth": TOKEN}}, token_secret())
    assert blob_of(record, server) == der(TRUST) + bytes(4) + token
    for spec in (SERVERS[server], {**SERVERS[server], "auth": {}}):
        record, verdict = compiled({server: spec})
        assert blob_of(record, server) == der(TRUST) + bytes(8)
        assert verdict.accepted


@pytest.mark.parametrize("server", SERVERS)
def test_trust_from_a_config_map_may_be_der(server: str) -> None:
    raw = {"metadata": metadata("roots", "lorawan"), "binaryData": {"ca.der": base64.b64encode(der(TRUST)).decode()}}
    objects = {Reference(CONFIG_MAP, "lorawan", "roots"): decode_referenced(CONFIG_MAP, raw)}
    source = {"configMapKeyRef": {"name": "roots", "key": "ca.der"}}
    record, _ = compiled({server: {"uri": SERVERS[server]["uri"], "trustFrom": source}}, objects)
    assert blob_of(record, server) == der(TRUST) + bytes(8)


def test_the_client_certificate_and_its_key_may_be_der_too() -> None:
    content = tls_secret(
        tls_crt=client_certificate(fixed("P-256")).public_bytes(Encoding.DER),
        tls_key=written(fixed("P-256"), Encoding.DER),
    )
    in_der, _ = compiled({"lns": {**LNS, "auth": CLIENT}}, content)
    assert in_der is not None
    found = split_credentials(in_der.lns_credentials)
    assert len(found.key) == 121


def test_a_pem_file_that_begins_with_the_digit_of_a_listing_is_not_taken_for_der() -> None:
    listing = b"0 s:CN=gateway\n" + pem(client_certificate(fixed("P-256")))
    assert compiled({"lns": {**LNS, "auth": CLIENT}}, tls_secret(tls_crt=listing))[1].accepted


def test_the_first_certificate_of_a_chain_is_delivered_and_the_others_are_named() -> None:
    chain = pem(client_certificate(fixed("P-256"))) + make_pem("intermediate").encode()
    record, verdict = compiled({"lns": {**LNS, "auth": CLIENT}}, tls_secret(tls_crt=chain))
    assert verdict.accepted
    assert "only 'CN=0123456789ABCDEF' can be delivered" in verdict.message
    assert "must know 'CN=intermediate' itself" in verdict.message
    assert record is not None
    assert len(split_credentials(record.lns_credentials).key) == 121


def test_an_expired_client_certificate_is_delivered_and_named() -> None:
    _, verdict = compiled({"lns": {**LNS, "auth": CLIENT}}, tls_secret(), now=NOW + timedelta(days=400))
    assert verdict.accepted
    assert "lns.auth.clientCertificate: 'CN=0123456789ABCDEF' has expired" in verdict.message


ED25519 = ed25519.Ed25519PrivateKey.generate()
ENCRYPTED = fixed("P-256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
UNUSABLE = [
    (tls_secret(tls_key=written(fixed("P-384"))), Reason.PRIVATE_KEY_MISMATCH),
    (tls_secret(tls_crt=make_pem("intermediate").encode()), Reason.PRIVATE_KEY_MISMATCH),
    (tls_secret(tls_key=ENCRYPTED), Reason.PRIVATE_KEY_UNUSABLE),
    (tls_secret(tls_key=b""), Reason.PRIVATE_KEY_UNUSABLE),
    (tls_secret(tls_key=written(fixed("P-256")) * 2), Reason.PRIVATE_KEY_UNUSABLE),
    (
        secret(
            tls_crt=pem(client_certificate(ED25519)),
            tls_key=ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ),
        Reason.CERTIFICATE_UNUSABLE,
    ),
    (tls_secret(tls_crt=b""), Reason.NO_CERTIFICATE),
    (tls_secret(tls_crt=b"\xff"), Reason.MALFORMED_PEM),
    (tls_secret(tls_crt=b"\x30\x82\x00\x03abc"), Reason.MALFORMED_PEM),
    (secret(tls_crt=b""), Reason.NO_CERTIFICATE),
    (secret(tls_key=b""), Reason.REFERENCE_KEY_MISSING),
    ({}, Reason.REFERENCE_NOT_FOUND),
]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("objects", "reason"), UNUSABLE)
def test_a_tls_secret_that_cannot_be_used_is_refused_at_its_field_without_being_repeated(
    server: str, objects: Objects, reason: Reason
) -> None:
    record, verdict = compiled({server: {**SERVERS[server], "auth": CLIENT}}, objects)
    assert (record, verdict.reason) == (None, reason)
    assert verdict.message.startswith(f"{server}.auth.clientCertificate")
    for key in KEYS:
        assert written(fixed(key)).decode().splitlines()[1] not in verdict.message


def test_a_tls_secret_without_the_label_is_refused() -> None:
    (reference, labelled), *_ = tls_secret().items()
    bare = ReferencedObject(metadata=type(labelled.metadata)(name="client-tls"), data=labelled.data)
    _, verdict = compiled({"lns": {**LNS, "auth": CLIENT}}, {reference: bare})
    assert verdict.reason == Reason.REFERENCE_NOT_LABELLED


REFUSED: list[tuple[dict[str, Any], Reason, str]] = [
    ({"cups": {"uri": "wss://cups.example.com:443"}}, Reason.URI_INVALID, "cups.uri"),
    ({"cups": {"uri": "http://cups.example.com:80"}}, Reason.URI_INVALID, "cups.uri"),
    ({"cups": {"uri": "https://cups.example.com"}}, Reason.URI_INVALID, "cups.uri"),
    ({"cups": {"uri": CUPS["uri"], "auth": TOKEN}}, Reason.TRUST_MISSING, "cups.auth"),
    ({"cups": {"uri": CUPS["uri"], "auth": CLIENT}}, Reason.TRUST_MISSING, "cups.auth"),
    ({"cups": {**CUPS, "auth": {**TOKEN, **CLIENT}}}, Reason.INVALID_SPEC, "cups.auth"),
    ({"lns": {**LNS, "auth": {**TOKEN, **CLIENT}}}, Reason.INVALID_SPEC, "lns.auth"),
    ({"lns": {"uri": "ws://lns.example.com:1887", "auth": CLIENT}}, Reason.URI_INVALID, "lns.uri"),
    ({"cups": {**CUPS, "trust": TRUST + make_pem("second")}}, Reason.TRUST_AMBIGUOUS, "cups.trust"),
    ({"cups": {**CUPS, "trust": "no PEM"}}, Reason.NO_CERTIFICATE, "cups.trust"),
    (
        {"lns": {**LNS, "trust": make_pem("no-signer", key_cert_sign=False)}},
        Reason.CERTIFICATE_UNUSABLE,
        "lns.trust",
    ),
]


@pytest.mark.parametrize(("spec", "reason", "field"), REFUSED)
def test_a_server_that_cannot_be_used_is_refused_at_its_field(spec: dict[str, Any], reason: Reason, field: str) -> None:
    record, verdict = compiled(spec, token_secret() | tls_secret())
    assert (record, verdict.reason) == (None, reason)
    assert field in verdict.message


def test_a_cups_server_without_trust_gets_the_uri_alone_and_says_so() -> None:
    record, verdict = compiled({"cups": {"uri": CUPS["uri"]}})
    assert record is not None
    assert (record.cups_uri, record.cups_credentials) == (CUPS["uri"], b"")
    assert "keeps its CUPS credentials" in verdict.message


def test_a_gateway_with_cups_alone_is_only_moved() -> None:
    record, verdict = compiled({"cups": CUPS})
    assert record is not None
    assert (record.cups_uri, record.lns_uri, record.lns_credentials) == (CUPS["uri"], "", b"")
    assert verdict.accepted


BROKEN: dict[str, dict[str, Any]] = {"lns": {"uri": "x"}, "cups": {"uri": "x"}}


@pytest.mark.parametrize("broken", SERVERS)
def test_one_broken_server_leaves_both_of_the_last_accepted_in_force(broken: str) -> None:
    before = plan_of(make_gateway({"eui": EUI, **SERVERS}))
    record, verdict = compiled({**SERVERS, broken: BROKEN[broken]}, in_force=before.documents)
    assert [record] == registered(before)
    assert (verdict.reason, "last accepted version" in verdict.message) == (Reason.URI_INVALID, True)


def test_a_gateway_that_is_only_moved_has_a_last_good_too() -> None:
    before = plan_of(make_gateway({"eui": EUI, "cups": CUPS}))
    record, _ = compiled({"cups": BROKEN["cups"]}, in_force=before.documents)
    assert [record] == registered(before)
    suspended, _ = compiled({"cups": BROKEN["cups"], "suspended": True}, in_force=before.documents)
    assert suspended is not None
    assert (suspended.suspended, suspended.cups_uri) == (True, CUPS["uri"])


def test_every_secret_and_config_map_of_both_servers_is_followed() -> None:
    source = {"configMapKeyRef": {"name": "roots", "key": "ca"}}
    spec = {
        "eui": EUI,
        "lns": {"uri": "wss://a:1", "trustFrom": source, "auth": CLIENT},
        "cups": {"uri": "https://a:1", "trustFrom": {"secretKeyRef": {"name": "trust", "key": "ca"}}, "auth": TOKEN},
    }
    assert references(make_gateway(spec)) == {
        Reference(CONFIG_MAP, "lorawan", "roots"),
        Reference(SECRET, "lorawan", "client-tls"),
        Reference(SECRET, "lorawan", "trust"),
        Reference(SECRET, "lorawan", "server-token"),
    }


@pytest.mark.parametrize("server", SERVERS)
def test_an_ip_address_is_accepted_with_a_note_on_its_certificate(server: str) -> None:
    scheme = SERVERS[server]["uri"].partition("://")[0]
    record, verdict = compiled({server: {**SERVERS[server], "uri": f"{scheme}://192.0.2.1:8887"}})
    assert record is not None
    assert f"{server}.uri has an IP address" in verdict.message
    assert "has an IP address" not in compiled({server: SERVERS[server]})[1].message


def test_an_ip_address_without_tls_is_fine() -> None:
    assert "has an IP address" not in compiled({"lns": {"uri": "ws://192.0.2.1:1887"}})[1].message


def test_a_move_that_removes_the_client_certificate_has_a_note() -> None:
    _, verdict = compiled({"cups": CUPS})
    assert "loses its client certificate or token" in verdict.message
    _, verdict = compiled({"cups": {**CUPS, "auth": TOKEN}})
    assert "loses its client certificate or token" not in verdict.message
