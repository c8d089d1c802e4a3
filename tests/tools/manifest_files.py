"""Manifests for tests, as files."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_tools.sample_pki import KeyPair, make_root

EUI = "0123456789ABCDEF"
LNS_URI = "wss://lns.example.org:8887"
TOKENS_BY_EUI = {"tokenByEUI": {"secretRef": {"name": "tokens"}}}


@cache
def root(name: str) -> KeyPair:
    return make_root(name, datetime.now(UTC))


def pem(name: str = "LNS") -> str:
    return root(name).certificate_pem.decode()


def resource(kind: str, name: str, spec: Any, namespace: str | None = "radio", **metadata: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace is not None else {}
    return {
        "apiVersion": "stationkeeper.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **place, **metadata},
        "spec": spec,
    }


def trusted_ca(name: str = "vendor", **fields: Any) -> dict[str, Any]:
    return resource("TrustedCA", name, {"certificates": pem(name), **fields})


def gateway(name: str = "gateway-1", eui: Any = EUI, **fields: Any) -> dict[str, Any]:
    return resource("Gateway", name, {"eui": eui, "lns": {"uri": LNS_URI, "trust": pem()}, **fields})


def with_lns(**fields: Any) -> dict[str, Any]:
    """Return a Gateway whose LNS has exactly these fields."""
    return resource("Gateway", "gateway-1", {"eui": EUI, "lns": fields})


def defaults(name: str = "default", **fields: Any) -> dict[str, Any]:
    return resource("GatewayDefaults", name, {"lns": {"uri": LNS_URI, "trust": pem(), **fields}})


def token_secret(name: str, token: str = "Bearer NNSXS.EXAMPLE", namespace: str = "radio") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"stationkeeper.io/credentials": "true"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}}


def write(path: Path, *objects: Any) -> Path:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return path


REFUSED_BY_THE_SCHEMA: dict[str, dict[str, Any]] = {
    "EUI as a number": gateway(eui=1234567890123456),
    "EUI in lower case": gateway(eui="0123456789abcdef"),
    "EUI with dashes": gateway(eui="01-23-45-67-89-AB-CD-EF"),
    "MAC": gateway(eui="AA:BB:CC:DD:EE:FF"),
    "no EUI": resource("Gateway", "gateway-1", {"lns": {"uri": LNS_URI, "trust": pem()}}),
    "no spec": {"apiVersion": "stationkeeper.io/v1alpha1", "kind": "Gateway", "metadata": {"name": "gateway-1"}},
    "spec is a text": resource("Gateway", "gateway-1", "text"),
    "unknown field": gateway(lsn={"uri": LNS_URI}),
    "unknown field below": with_lns(uri=LNS_URI, trust=pem(), turst="x"),
    "no port": with_lns(uri="wss://lns.example.org", trust=pem()),
    "port too large": with_lns(uri="wss://lns.example.org:65536", trust=pem()),
    "path": with_lns(uri="wss://lns.example.org:8887/router", trust=pem()),
    "other scheme": with_lns(uri="https://lns.example.org:8887", trust=pem()),
    "host with underscore": with_lns(uri="wss://lns_1:8887", trust=pem()),
    "long URI": with_lns(uri=f"wss://{'a' * 120}:8887", trust=pem()),
    "ws with trust": with_lns(uri="ws://lns.example.org:1887", trust=pem()),
    "trust twice": with_lns(uri=LNS_URI, trust=pem(), trustFrom={"configMapKeyRef": {"name": "a", "key": "b"}}),
    "trust from nowhere": with_lns(uri=LNS_URI, trustFrom={}),
    "two kinds of auth": with_lns(
        uri=LNS_URI,
        trust=pem(),
        auth={"token": {"secretKeyRef": {"name": "a", "key": "b"}}, "clientCertificate": {"secretRef": {"name": "a"}}},
    ),
    "no kind of auth": with_lns(uri=LNS_URI, trust=pem(), auth={}),
    "tokens by EUI outside of defaults": with_lns(uri=LNS_URI, trust=pem(), auth=TOKENS_BY_EUI),
    "reference without a key": with_lns(uri=LNS_URI, trustFrom={"configMapKeyRef": {"name": "a"}}),
    "suspended as a text": gateway(suspended="yes"),
    "no fingerprint": gateway(client={"sha256Fingerprints": ["abc"]}),
    "empty list of CAs": gateway(client={"trustedCAs": []}),
    "CA twice": gateway(client={"trustedCAs": ["vendor", "vendor"]}),
    "CUPS without TLS": gateway(cups={"uri": "http://cups.example.org:8987"}),
    "CUPS with trust twice": gateway(
        cups={
            "uri": "https://cups.example.org:8987",
            "trust": pem(),
            "trustFrom": {"secretKeyRef": {"name": "a", "key": "b"}},
        }
    ),
    "CUPS without a port": gateway(cups={"uri": "https://cups.example.org"}),
    "CUPS with a long URI": gateway(cups={"uri": f"https://{'a' * 120}:8987"}),
    "CUPS with an underscore": gateway(cups={"uri": "https://cups_1:8987"}),
    "CUPS trust from nowhere": gateway(cups={"uri": "https://cups.example.org:8987", "trustFrom": {}}),
    "CUPS with two kinds of auth": gateway(
        cups={
            "uri": "https://cups.example.org:8987",
            "trust": pem(),
            "auth": {
                "token": {"secretKeyRef": {"name": "a", "key": "b"}},
                "clientCertificate": {"secretRef": {"name": "a"}},
            },
        }
    ),
    "no certificates": resource("TrustedCA", "vendor", {}),
    "certificates twice": trusted_ca(certificatesFrom={"configMapKeyRef": {"name": "a", "key": "b"}}),
    "certificates from nowhere": resource("TrustedCA", "vendor", {"certificatesFrom": {}}),
    "CRL twice": trusted_ca(revocation={"crl": "x", "crlFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
    "CRL from nowhere": trusted_ca(revocation={"crlFrom": {}}),
    "unknown word": trusted_ca(weakSignatures="Perhaps"),
    "serial": trusted_ca(revocation={"serials": ["not hex"]}),
    "serial of digits alone": trusted_ca(revocation={"serials": ["1715004"]}),
    "empty range list": trusted_ca(euiRanges=[]),
    "EUI that is null": gateway(eui=None),
    "null in a list": trusted_ca(euiRanges=[None]),
    "unknown field that is null": gateway(lsn=None),
    "defaults of another name": defaults("other"),
    "defaults without an LNS": resource("GatewayDefaults", "default", {}),
    "defaults with trust twice": defaults(trustFrom={"configMapKeyRef": {"name": "a", "key": "b"}}),
    "defaults with ws and trust": defaults(uri="ws://lns.example.org:1887"),
    "defaults without a port": defaults(uri="wss://lns.example.org"),
    "defaults with another scheme": defaults(uri="https://lns.example.org:8887"),
    "defaults with a long URI": defaults(uri=f"wss://{'a' * 120}:8887"),
    "defaults with an underscore": defaults(uri="wss://lns_1:8887"),
    "defaults with trust from nowhere": resource(
        "GatewayDefaults", "default", {"lns": {"uri": LNS_URI, "trustFrom": {}}}
    ),
    "defaults with two kinds of auth": defaults(
        auth={"token": {"secretKeyRef": {"name": "a", "key": "b"}}, "clientCertificate": {"secretRef": {"name": "a"}}}
    ),
    "defaults with a token and tokens by EUI": defaults(
        auth={"token": {"secretKeyRef": {"name": "a", "key": "b"}}, **TOKENS_BY_EUI}
    ),
    "defaults with no kind of auth": defaults(auth={}),
    "other version": {**gateway(), "apiVersion": "stationkeeper.io/v1"},
    "other kind": {**gateway(), "kind": "Gatway"},
    "name in upper case": resource("Gateway", "Gateway-1", {"eui": EUI}),
}
"""What the API server refuses: at least one for each rule of the definitions."""

ACCEPTED_BY_THE_SCHEMA: dict[str, dict[str, Any]] = {
    "TrustedCA": trusted_ca(),
    "TrustedCA with everything": trusted_ca(
        euiRanges=["0123000000000000/16"],
        revocation={"serials": ["01:AB"], "sha256Fingerprints": ["ab" * 32], "crlExpired": "Refuse"},
        weakSignatures="Allow",
        suspended=True,
    ),
    "field that is null": trusted_ca(euiRanges=None),
    "Gateway": gateway(),
    "Gateway without LNS": resource("Gateway", "gateway-1", {"eui": EUI}),
    "Gateway with ws": with_lns(uri="ws://lns.example.org:1887"),
    "Gateway that moves": gateway(cups={"uri": "https://cups.example.org:8987"}),
    "Gateway with client": gateway(client={"trustedCAs": ["vendor"], "sha256Fingerprints": ["AB:" * 31 + "AB"]}),
    "GatewayDefaults": defaults(),
    "annotations and labels": resource("Gateway", "gateway-1", {"eui": EUI}, labels={"a": "b"}, annotations={"c": "d"}),
}
