"""Specs for the operator's tests."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from stationkeeper_tools.sample_pki import KeyPair, make_root

LNS_URI = "wss://lns.example.com:8887"
TOKEN = {"secretKeyRef": {"name": "lns-token", "key": "token"}}


@cache
def root(name: str) -> KeyPair:
    """Return a root of that name."""
    return make_root(name, datetime.now(UTC))


def trusted_ca(name: str = "acme", **fields: Any) -> dict[str, Any]:
    """Return the spec of a TrustedCA with the root of that name."""
    return {"certificates": root(name).certificate_pem.decode(), **fields}


def gateway(eui: str, *, lns: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the spec of a Gateway; its LNS needs no token, unless `lns` says so."""
    base = {"uri": LNS_URI, "trust": root("lns").certificate_pem.decode()}
    return {"eui": eui, "lns": {**base, **(lns or {})}, **fields}
