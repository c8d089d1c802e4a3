"""The LNS of a GatewayDefaults with a token for each gateway, from one Secret with EUIs as keys.

A token belongs to one gateway, but a tenant may register any EUI in its namespace. So a key that is only an EUI is for
Gateways of the Secret's own namespace. For another namespace, which only the release's GatewayDefaults serves, the key
is `NAMESPACE.EUI`. So a Gateway never gets a token that the Secret's owner did not write for its namespace.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import format_hex, parse_hex
from stationkeeper_core.protocol.credentials import parse_token, token_authentication
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.protocol.token_notes import token_notes
from stationkeeper_operator.compiling.gateways.endpoint_compiler import Target
from stationkeeper_operator.compiling.world import SecretUse, World
from stationkeeper_operator.resources.records import SECRET, Gateway, Reference
from stationkeeper_operator.resources.specs import TokensSource

_FIELD = "lns.auth.tokenByEUI"
_KEY = re.compile(r"(?:[a-z0-9-]{1,63}\.)?[0-9A-F]{16}")


@dataclass(frozen=True)
class LNSByEUI:
    """An LNS, and the token of each gateway for it.

    Attributes:
        target: the LNS, with credentials that have its trust but no token.
        trust: DER of the certificate with which gateways verify it.
        secret: the Secret with the tokens.
        tokens: the content of each key of that Secret.
        notes: notes for the author of the GatewayDefaults.
    """

    target: Target
    trust: bytes
    secret: Reference
    tokens: Mapping[str, bytes] = field(repr=False)
    notes: tuple[str, ...]

    def differs_for(self, gateway: Gateway, other: "LNSByEUI") -> bool:
        """Return whether a gateway has another token here than in `other`, which is otherwise equal."""
        try:
            key = self._key_of(gateway)
        except StationkeeperError:
            return False
        return self.tokens.get(key) != other.tokens.get(key)

    def of(self, gateway: Gateway) -> Target:
        """Return the LNS with that gateway's token; its notes are only about that token.

        Messages name the Secret only to Gateways in its namespace.

        Raises:
            StationkeeperError: `TokenMissingForEUI`, `TokenInvalid`, `CredentialsUnusable`.
        """
        key = self._key_of(gateway)
        is_own = gateway.metadata.namespace == self.secret.namespace
        secret = f"Secret {self.secret.namespace}/{self.secret.name}" if is_own else f"the Secret of its {_FIELD}"
        content = self.tokens.get(key)
        if content is None:
            cure = "add it" if is_own else "ask its owner to add it, create a GatewayDefaults in this namespace"
            detail = f"{secret} has no key {key}: {cure}, or give lns here"
            raise StationkeeperError(Reason.TOKEN_MISSING_FOR_EUI, detail)
        try:
            blob = token_authentication(self.trust, parse_token(content))
            preflight(blob)
        except StationkeeperError as error:
            raise StationkeeperError(error.reason, f"the key {key} of {secret}: {error.detail}") from None
        notes = tuple(f"the key {key} of {secret}: the token {note}" for note in token_notes(content))
        return replace(self.target, credentials=blob, notes=notes)

    def _key_of(self, gateway: Gateway) -> str:
        eui = parse_hex(gateway.spec.eui) if gateway.spec is not None else None
        if eui is None:
            raise StationkeeperError(Reason.INVALID_SPEC, "eui is not 16 hex digits, so there is no token for it")
        namespace = gateway.metadata.namespace
        return format_hex(eui) if namespace == self.secret.namespace else f"{namespace}.{format_hex(eui)}"


def with_tokens(target: Target, source: TokensSource, namespace: str, world: World) -> LNSByEUI:
    """Return the LNS `target` with the tokens of `source`; the Secret is looked up once for all gateways.

    Args:
        target: the LNS, with its trust but without a token.
        source: the reference in the spec of the GatewayDefaults.
        namespace: of the GatewayDefaults.
        world: holds the Secret.

    Raises:
        StationkeeperError: why the Secret cannot be used.
    """
    secret = Reference(SECRET, namespace, source.secret_ref.name)
    tokens = world.read_every_key(secret, _FIELD, SecretUse.CREDENTIALS)
    trust = preflight(target.credentials).trust
    return LNSByEUI(target, trust, secret, tokens, (*target.notes, *_unusable_keys(tokens, namespace, world)))


def _unusable_keys(tokens: Mapping[str, bytes], namespace: str, world: World) -> tuple[str, ...]:
    """Return a note on the number of unusable keys; without their names, which may be anything, even a secret."""
    is_release = namespace == world.release_namespace
    unusable = sum(not _KEY.fullmatch(key) or ("." in key and not is_release) for key in tokens)
    form = "16 upper-case hex digits" + (", or NAMESPACE. before them" if is_release else "")
    return (
        (f"{_FIELD}: {unusable} keys of the Secret are not an EUI ({form}) and are not used; correct them",)
        if unusable
        else ()
    )
