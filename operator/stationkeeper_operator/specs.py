"""The specs of the resources as their authors write them, field by field; nothing is judged here."""

from typing import Literal

import msgspec


class KeyRef(msgspec.Struct, frozen=True):
    """A key of a Secret or ConfigMap in the namespace of the resource."""

    name: str
    key: str


class KeySource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a text is kept: exactly one of the two."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class Revocation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a TrustedCA no longer vouches for, as written."""

    serials: tuple[str, ...] | None = None
    sha256_fingerprints: tuple[str, ...] | None = msgspec.field(default=None, name="sha256Fingerprints")
    crl: str | None = None
    crl_from: KeySource | None = None
    crl_expired: Literal["Refuse", "Warn"] | None = None


class TrustedCASpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The spec of a TrustedCA, as written."""

    certificates: str | None = None
    certificates_from: KeySource | None = None
    intermediates: str | None = None
    eui_ranges: tuple[str, ...] | None = None
    revocation: Revocation | None = None
    weak_signatures: Literal["Refuse", "Allow"] | None = None
    suspended: bool | None = None


class TokenSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a token is kept."""

    secret_key_ref: KeyRef


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Which certificates, and which tokens, may speak for a Gateway, as written."""

    trusted_cas: tuple[str, ...] | None = msgspec.field(default=None, name="trustedCAs")
    sha256_fingerprints: tuple[str, ...] | None = msgspec.field(default=None, name="sha256Fingerprints")
    tokens: tuple[TokenSource, ...] | None = None


class LNSAuth(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway authenticates itself to its LNS."""

    token: TokenSource | None = None


class LNS(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The LNS of a Gateway or GatewayDefaults, as written."""

    uri: str
    trust: str | None = None
    trust_from: KeySource | None = None
    auth: LNSAuth | None = None


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True):
    """The spec of a Gateway, as written."""

    eui: str
    suspended: bool | None = None
    client: Client | None = None
    lns: LNS | None = None


class GatewayDefaultsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The spec of a GatewayDefaults, as written."""

    lns: LNS
