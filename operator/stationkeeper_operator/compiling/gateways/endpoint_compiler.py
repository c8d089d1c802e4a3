"""Compile a server of a Gateway's spec (its LNS or CUPS server) into a URI and a credential blob for the gateway.

Every blob passes the preflight before it gets into a plan; the preflight is independent of the code that makes blobs.

A `ws` LNS gets no credentials: a Basics Station cannot parse a set without a trust certificate (`sys_credComplete`
expects a DER sequence first), and it authenticates only over TLS. So `auth` for a `ws` LNS is refused.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.credentials import (
    check_uri,
    client_authentication,
    parse_token,
    server_authentication,
    token_authentication,
)
from stationkeeper_core.protocol.private_key import parse_private_key
from stationkeeper_core.protocol.station_certificate import check_client, check_trust, public_key
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.protocol.token_notes import token_notes
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.certificate_rules import expired, read_certificates, read_content, show
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys
from stationkeeper_operator.compiling.world import SecretUse, World
from stationkeeper_operator.resources.specs import Auth, ClientCertificateSource, Endpoint, TokenSource

_WITHOUT_AUTH = (
    "cups has a trust without auth: the gateway loses its client certificate or token, so the new server must not "
    "require one; set cups.auth if it does"
)
_HOLDS_KEY = b"PRIVATE KEY-----"
_REMEMBERED = 8192  # more than the RSA keys that fit into the registry's Secrets


@dataclass(frozen=True)
class Target:
    """The URI and credentials of a server for a gateway.

    Attributes:
        uri: its URI.
        credentials: the blob; empty if none is sent.
        notes: notes for the author of the spec.
    """

    uri: str
    credentials: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """The place of an endpoint: where its references are looked up, and the names of its fields in messages."""

    world: World
    namespace: str
    field: str
    now: datetime
    keys: AuthorityKeys

    def read(self, source: TokenSource, field: str) -> bytes:
        return self.world.read(self.namespace, source, f"{self.field}.{field}", SecretUse.CREDENTIALS)


def compile_lns(lns: Endpoint, namespace: str, world: World, now: datetime, keys: AuthorityKeys) -> Target:
    """Compile the LNS of a gateway.

    Args:
        lns: the block of the spec. With `auth.tokenByEUI`, the credentials have no token: the caller adds that of each
            gateway.
        namespace: of the resource.
        world: holds its references.
        now: the time, aware; for the expiry of certificates.
        keys: the keys of the TrustedCAs, which no gateway may get.

    Raises:
        StationkeeperError: why the spec cannot be used; the detail begins with the field.
    """
    place = _Place(world, namespace, "lns", now, keys)
    _check_uri(lns.uri, ("wss", "ws"), place)
    if lns.uri.startswith("ws://"):
        return _without_tls(lns)
    if not _has_trust(lns):
        raise StationkeeperError(Reason.TRUST_MISSING, "lns.uri is wss:// but there is neither lns.trust nor trustFrom")
    return _with_credentials(lns, place)


def compile_cups(cups: Endpoint, namespace: str, world: World, now: datetime, keys: AuthorityKeys) -> Target:
    """Compile the CUPS server that a gateway is moved to; see `compile_lns` for the arguments.

    Raises:
        StationkeeperError: as `compile_lns`.
    """
    place = _Place(world, namespace, "cups", now, keys)
    _check_uri(cups.uri, ("https",), place)
    if _has_trust(cups):
        target = _with_credentials(cups, place)
        return target if _has_auth(cups) else replace(target, notes=(*target.notes, _WITHOUT_AUTH))
    if _has_auth(cups):
        raise StationkeeperError(
            Reason.TRUST_MISSING,
            "there is cups.auth but no trust: a Basics Station replaces credentials as a whole; add cups.trustFrom",
        )
    note = "cups has no trust: the gateway keeps its CUPS credentials, so the new server must accept these"
    return Target(cups.uri, b"", (note,))


def _has_trust(endpoint: Endpoint) -> bool:
    return endpoint.trust is not None or endpoint.trust_from is not None


def _has_auth(endpoint: Endpoint) -> bool:
    return endpoint.auth is not None and endpoint.auth.ways != ()


def _is_address(uri: str) -> bool:
    host = uri.partition("://")[2].rpartition(":")[0]
    return all(part.isdigit() for part in host.split("."))


def _without_tls(lns: Endpoint) -> Target:
    if _has_auth(lns):
        raise StationkeeperError(
            Reason.URI_INVALID,
            "lns.uri is ws://, over which a Basics Station does not authenticate; write wss://host:port",
        )
    note = "lns.trust has no use with ws:// and is not delivered"
    return Target(lns.uri, b"", (note,) if _has_trust(lns) else ())


def _check_uri(uri: str, schemes: tuple[str, ...], place: _Place) -> None:
    try:
        check_uri(uri, schemes)
    except StationkeeperError as error:
        raise _at(f"{place.field}.uri", error) from None


def _with_credentials(endpoint: Endpoint, place: _Place) -> Target:
    trust = _trust(endpoint, place)
    past = expired((trust,), place.now)
    server = "LNS" if place.field == "lns" else "CUPS server"
    notes: tuple[str, ...] = (
        (f"the {server}'s trust {show(past)} has expired: gateways will refuse that {server}",) if past else ()
    )
    if _is_address(endpoint.uri):
        notes += (
            f"{place.field}.uri has an IP address: a Basics Station compares it only with DNS names of the server's "
            "certificate, never with IP addresses; give a host name",
        )
    auth = endpoint.auth or Auth()
    if len(auth.ways) > 1:
        detail = f"{place.field}.auth has {' and '.join(auth.ways)}, and needs at most one of them"
        raise StationkeeperError(Reason.INVALID_SPEC, detail)
    more: tuple[str, ...] = ()
    if auth.token is not None:
        blob, more = _token(trust, auth.token, place)
    elif auth.client_certificate is not None:
        blob, more = _client(trust, auth.client_certificate, place)
    else:
        blob = server_authentication(trust.der)
    try:
        preflight(blob)
    except StationkeeperError as error:
        raise _at(place.field, error) from None
    return Target(endpoint.uri, blob, (*notes, *more))


def _trust(endpoint: Endpoint, place: _Place) -> Certificate:
    field = f"{place.field}.trust"
    if endpoint.trust is not None and endpoint.trust_from is not None:
        raise StationkeeperError(Reason.INVALID_SPEC, f"{place.field} needs exactly one of trust and trustFrom")
    if endpoint.trust_from is not None:
        field = f"{place.field}.trustFrom"
        certificates = read_content(place.world.read(place.namespace, endpoint.trust_from, field), field)
    else:
        certificates = read_certificates(endpoint.trust or "", field, Reason.MALFORMED_PEM)
    if len(certificates) > 1:
        raise StationkeeperError(
            Reason.TRUST_AMBIGUOUS,
            f"{field} holds {len(certificates)} certificates, a Basics Station takes exactly one",
        )
    problem = _trust_problem(certificates[0])
    if problem is not None:
        raise _at(field, problem)
    return certificates[0]


def _token(trust: Certificate, source: TokenSource, place: _Place) -> tuple[bytes, tuple[str, ...]]:
    field = f"{place.field}.auth.token"
    content = place.read(source, "auth.token")
    try:
        blob = token_authentication(trust.der, parse_token(content))
    except StationkeeperError as error:
        raise _at(field, error) from None
    return blob, tuple(f"{field}: the token {note}" for note in token_notes(content))


def _client(trust: Certificate, source: ClientCertificateSource, place: _Place) -> tuple[bytes, tuple[str, ...]]:
    field = f"{place.field}.auth.clientCertificate"
    chain = _chain(source, place, field)
    key = _key_of(chain[0], place.read(source.key, "auth.clientCertificate"))
    if isinstance(key, StationkeeperError):
        raise _at(field, key)
    check_not_of_authority(chain[0], place.keys, place.namespace, field)
    blob = client_authentication(trust.der, chain[0].der, key)
    return blob, _client_notes(chain, field, place.now)


def _chain(source: ClientCertificateSource, place: _Place, field: str) -> tuple[Certificate, ...]:
    """Return the certificates of tls.crt; if it holds a key, the error says where to put the key."""
    shown = place.read(source.certificate, "auth.clientCertificate")
    if _HOLDS_KEY in shown:
        content = place.read(source.key, "auth.clientCertificate")
        swapped = b"BEGIN CERTIFICATE-----" in content and _HOLDS_KEY not in content
        cure = "swap tls.crt and tls.key" if swapped else "keep it only in tls.key"
        raise StationkeeperError(Reason.MALFORMED_PEM, f"{field}: tls.crt holds a private key; {cure}")
    return read_content(shown, f"{field} (tls.crt)")


def check_not_of_authority(certificate: Certificate, keys: AuthorityKeys, namespace: str, field: str) -> None:
    """Refuse credentials that would make a gateway a certificate authority: a CA's certificate or key.

    Args:
        certificate: the certificate for the gateway.
        keys: the keys of all TrustedCAs.
        namespace: of the resource.
        field: the field of the spec, for the message.

    Raises:
        StationkeeperError: `ClientCertificateIsCA`, `PrivateKeyOfCA`.
    """
    shown = show((certificate,))
    if certificate.is_authority:
        detail = f"{field}: {shown} is a CA certificate (CA:TRUE), and no gateway may get the key of a CA"
        raise StationkeeperError(Reason.CLIENT_CERTIFICATE_IS_CA, detail)
    if keys.has(certificate, namespace):
        detail = f"{field}: the key of {shown} is that of a TrustedCA, and no gateway may get the key of a CA"
        raise StationkeeperError(Reason.PRIVATE_KEY_OF_CA, detail)


def _client_notes(chain: tuple[Certificate, ...], field: str, now: datetime) -> tuple[str, ...]:
    """Return notes on the certificates of the chain that are not delivered, and on an expired certificate."""
    notes = []
    if len(chain) > 1:
        notes.append(
            f"{field}: tls.crt holds a chain, but only {show(chain[:1])} can be delivered to a Basics Station; "
            f"the server must know {show(chain[1:])} itself"
        )
    if expired(chain[:1], now):
        notes.append(f"{field}: {show(chain[:1])} has expired: the server will refuse it")
    return tuple(notes)


@lru_cache(maxsize=_REMEMBERED)
def _trust_problem(certificate: Certificate) -> StationkeeperError | None:
    try:
        check_trust(certificate)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        return _unforeseen(error)
    return None


@lru_cache(maxsize=_REMEMBERED)
def _key_of(certificate: Certificate, content: bytes) -> bytes | StationkeeperError:
    """Return the key as DER, if a Basics Station can use it and the certificate, and they belong together."""
    try:
        check_client(certificate)
        key = parse_private_key(content)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        return _unforeseen(error)
    if key.public == public_key(certificate):
        return key.der
    shown = show((certificate,))
    return StationkeeperError(
        Reason.PRIVATE_KEY_MISMATCH, f"tls.key does not belong to {shown}, the first certificate of tls.crt"
    )


def _unforeseen(error: Exception) -> StationkeeperError:
    """Turn an unforeseen error into a refusal, so that it does not stop the compile of all other resources."""
    return StationkeeperError(Reason.CREDENTIALS_UNUSABLE, f"they cannot be read: {type(error).__name__}")


def _at(field: str, error: StationkeeperError) -> StationkeeperError:
    return StationkeeperError(error.reason, f"{field}: {error.detail}")
