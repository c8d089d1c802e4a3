"""Make payloads of the published documents from short descriptions."""

import hashlib
from dataclasses import dataclass, field

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import (
    BUCKETS,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    encode_payload,
)
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.sample_pki import KeyPair

LNS_URI = "wss://lns.example.org:8887"
LNS_CREDENTIALS = b"trust" + bytes(4) + b"Authorization: Bearer token\r\n"


@dataclass(frozen=True)
class Trusted:
    name: str
    anchor: KeyPair
    intermediates: tuple[KeyPair, ...] = ()
    namespace: str = "radio"
    other_anchors: tuple[KeyPair, ...] = ()
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    eui: str
    namespace: str = "radio"
    options: dict[str, object] = field(default_factory=dict)


OLD_TOKEN, NEW_TOKEN, BYSTANDERS_TOKEN = (f"Bearer {word}-0123456789abcdef" for word in ("old", "new", "bystander"))


def with_tokens(eui: str, *tokens: str, **options: object) -> Gateway:
    digests = tuple(hashlib.sha256(each.encode()).hexdigest() for each in tokens)
    sources = tuple(f"secret-{number}/token" for number in range(len(tokens)))
    return Gateway(eui, options={"token_sha256s": digests, "token_sources": sources, **options})


TOKEN_GATEWAYS = (
    with_tokens("0102030405060708", OLD_TOKEN, NEW_TOKEN),
    with_tokens("0102030405060709", BYSTANDERS_TOKEN),
    with_tokens("010203040506070A", OLD_TOKEN, suspended=True),
    Gateway("010203040506070B"),
)


def contents(trusted: list[Trusted], gateways: list[Gateway]) -> dict[str, bytes]:
    authorities = tuple(_authority(each) for each in trusted)
    payloads = {TRUST: encode_payload(TrustDocument(release_namespace="stationkeeper", authorities=authorities))}
    for bucket in range(BUCKETS):
        mine = tuple(_record(each) for each in gateways if _bucket(each) == bucket)
        payloads[REGISTRY[bucket]] = encode_payload(RegistryDocument(bucket=bucket, gateways=mine))
    return payloads


def _bucket(gateway: Gateway) -> int:
    eui = parse_hex(gateway.eui)
    assert eui is not None
    return bucket_of(eui)


def _authority(trusted: Trusted) -> TrustedAuthority:
    return TrustedAuthority(
        namespace=trusted.namespace,
        name=trusted.name,
        uid=f"uid-{trusted.name}",
        anchors=tuple(_der(each) for each in (trusted.anchor, *trusted.other_anchors)),
        intermediates=tuple(_der(each) for each in trusted.intermediates),
        **trusted.options,  # type: ignore[arg-type]
    )


def _record(gateway: Gateway) -> RegisteredGateway:
    settings = {"lns_uri": LNS_URI, "lns_credentials": LNS_CREDENTIALS} | gateway.options
    return RegisteredGateway(
        eui=gateway.eui,
        namespace=gateway.namespace,
        name="gateway",
        uid="uid-gateway",
        **settings,  # type: ignore[arg-type]
    )


def _der(pair: KeyPair) -> bytes:
    return parse_certificates(pair.certificate_pem.decode())[0].der
