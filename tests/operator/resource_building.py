"""Certificates and resources for the tests of the compile."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stationkeeper_core.published.documents import Document
from stationkeeper_operator.compiling.compile import PublishPlan, Verdict, World, compile_plan
from stationkeeper_operator.resources.records import (
    DEFAULTS_NAME,
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TRUSTED_CA,
    Gateway,
    GatewayDefaults,
    Key,
    Reference,
    ReferencedObject,
    Resource,
    TrustedCA,
    decode_referenced,
    decode_resource,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EUI = "0123456789ABCDEF"
_KEY = ec.generate_private_key(ec.SECP256R1())


@lru_cache(maxsize=64)
def key_of(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of that name; nearly all certificates of these tests have the key with the empty name."""
    return ec.generate_private_key(ec.SECP256R1()) if name else _KEY


PRIVATE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@lru_cache(maxsize=256)
def make_pem(
    name: str,
    *,
    authority: bool | None = True,
    key_cert_sign: bool | None = None,
    start: int = -10,
    end: int = 365,
    key: str = "",
    issuer: tuple[str, str] | None = None,
) -> str:
    """Return a certificate, valid from `start` to `end` days from `NOW`; None leaves the extension out.

    Args:
        key: the name of its key.
        issuer: the names of the issuer and of its key; None for a self-signed one.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]))
        .public_key(key_of(key).public_key())
        .serial_number(int.from_bytes(name.encode()[:16], "big") + 1)
        .not_valid_before(NOW + timedelta(days=start))
        .not_valid_after(NOW + timedelta(days=end))
    )
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if key_cert_sign is not None:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, key_cert_sign, False, False, False), critical=True
        )
    return builder.sign(key_of(issuer_key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def metadata(name: str, namespace: str, age: int = 100, uid: str = "", **more: Any) -> dict[str, Any]:
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = uid or f"uid-{namespace}-{name}"
    return {"name": name, "namespace": namespace, "uid": identity, "creationTimestamp": created, **more}


def make_ca(spec: Mapping[str, Any], name: str = "acme", namespace: str = "lorawan", **meta: Any) -> TrustedCA:
    found = decode_resource(TRUSTED_CA, {"metadata": metadata(name, namespace, **meta), "spec": spec})
    assert isinstance(found, TrustedCA)
    return found


def make_gateway(spec: Mapping[str, Any], name: str = "roof", namespace: str = "lorawan", **meta: Any) -> Gateway:
    found = decode_resource(GATEWAY, {"metadata": metadata(name, namespace, **meta), "spec": spec})
    assert isinstance(found, Gateway)
    return found


def make_defaults(spec: Any, namespace: str = "lorawan", name: str = DEFAULTS_NAME, **meta: Any) -> GatewayDefaults:
    found = decode_resource(GATEWAY_DEFAULTS, {"metadata": metadata(name, namespace, **meta), "spec": spec})
    assert isinstance(found, GatewayDefaults)
    return found


def make_secret(
    data: Mapping[str, str], name: str = "lns-token", namespace: str = "lorawan", label: str | None = "true"
) -> dict[Reference, ReferencedObject]:
    labels = {} if label is None else {"stationkeeper.io/credentials": label}
    if label == "trust":
        labels = {"stationkeeper.io/trust": "true"}
    raw = {"metadata": metadata(name, namespace, labels=labels), "data": dict(data)}
    return {Reference(SECRET, namespace, name): decode_referenced(SECRET, raw)}


def world_of(*resources: Resource, referenced: Mapping[Reference, ReferencedObject] | None = None) -> World:
    return World("stationkeeper", {each.key: each for each in resources}, referenced or {})


def plan_of(
    *resources: Resource,
    referenced: Mapping[Reference, ReferencedObject] | None = None,
    in_force: Mapping[str, Document] | None = None,
    now: datetime = NOW,
) -> PublishPlan:
    return compile_plan(world_of(*resources, referenced=referenced), in_force or {}, now)


def verdict_on(resource: Resource, plan: PublishPlan) -> Verdict:
    return plan.verdicts[Key(*resource.key)]
