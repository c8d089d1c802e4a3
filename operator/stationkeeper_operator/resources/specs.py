"""The specs of the resources as their authors write them, without checks."""

from typing import Literal

import msgspec

EVERY_KEY = ""
"""A placeholder for all keys of an object; no object has a key of this name."""


class KeyRef(msgspec.Struct, frozen=True):
    """A key of a Secret or ConfigMap in the namespace of the resource."""

    name: str
    key: str


class KeySource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The source of a text: exactly one of the two."""

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class CertificatesSource(KeySource, frozen=True, kw_only=True, rename="camel"):
    """The source of the anchors of a TrustedCA, and how long replaced anchors stay trusted."""

    retain: str | None = None


class Revocation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The revocations of a TrustedCA, as written."""

    serials: tuple[str, ...] | None = None
    sha256_fingerprints: tuple[str, ...] | None = msgspec.field(default=None, name="sha256Fingerprints")
    crl: str | None = None
    crl_from: KeySource | None = None
    crl_expired: Literal["Refuse", "Warn"] | None = None


class Served(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A namespace that a TrustedCA in the release's namespace serves, as written."""

    namespace: str
    eui_ranges: tuple[str, ...] | None = None


class TrustedCASpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The spec of a TrustedCA, as written."""

    certificates: str | None = None
    certificates_from: CertificatesSource | None = None
    intermediates: str | None = None
    intermediates_from: KeySource | None = None
    eui_ranges: tuple[str, ...] | None = None
    serves: tuple[Served, ...] | None = None
    revocation: Revocation | None = None
    weak_signatures: Literal["Refuse", "Allow"] | None = None
    presented_intermediates: Literal["Allow", "Refuse"] | None = None
    suspended: bool | None = None


class TokenSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The source of a token."""

    secret_key_ref: KeyRef


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The certificates and tokens that may authenticate a Gateway, as written."""

    trusted_cas: tuple[str, ...] | None = msgspec.field(default=None, name="trustedCAs")
    sha256_fingerprints: tuple[str, ...] | None = msgspec.field(default=None, name="sha256Fingerprints")
    tokens: tuple[TokenSource, ...] | None = None


class SecretRef(msgspec.Struct, frozen=True):
    """A Secret in the namespace of the resource."""

    name: str


class ClientCertificateSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The source of a client certificate and its key: a TLS Secret."""

    secret_ref: SecretRef

    @property
    def certificate(self) -> TokenSource:
        """The key that holds the certificate."""
        return TokenSource(secret_key_ref=KeyRef(self.secret_ref.name, "tls.crt"))

    @property
    def key(self) -> TokenSource:
        """The key that holds the private key."""
        return TokenSource(secret_key_ref=KeyRef(self.secret_ref.name, "tls.key"))


class TokensSource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The source of the tokens of many gateways, each in a key named by its EUI."""

    secret_ref: SecretRef

    @property
    def keys(self) -> TokenSource:
        """All keys of that Secret."""
        return TokenSource(secret_key_ref=KeyRef(self.secret_ref.name, EVERY_KEY))


class Auth(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The authentication of a gateway to a server: at most one of the ways."""

    token: TokenSource | None = None
    client_certificate: ClientCertificateSource | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of those that are given."""
        ways = (("token", self.token), ("clientCertificate", self.client_certificate))
        return tuple(name for name, source in ways if source is not None)


class AuthOfMany(Auth, frozen=True, kw_only=True, rename="camel"):
    """The authentication of many gateways to one server: at most one of the ways."""

    token_by_eui: TokensSource | None = msgspec.field(default=None, name="tokenByEUI")

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of those that are given."""
        return super().ways if self.token_by_eui is None else (*super().ways, "tokenByEUI")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A server for a gateway (its LNS or CUPS server), as written."""

    uri: str
    trust: str | None = None
    trust_from: KeySource | None = None
    auth: Auth | None = None


class EndpointOfMany(Endpoint, frozen=True, kw_only=True, rename="camel"):
    """A server for many gateways, as written."""

    auth: AuthOfMany | None = None

    @property
    def tokens(self) -> TokensSource | None:
        """The source of the gateways' own tokens; None if they have none."""
        return self.auth.token_by_eui if self.auth is not None else None


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The spec of a Gateway, as written."""

    eui: str
    suspended: bool | None = None
    client: Client | None = None
    lns: Endpoint | None = None
    cups: Endpoint | None = None


class GatewayDefaultsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The spec of a GatewayDefaults, as written."""

    lns: EndpointOfMany
