"""Read the certificates that a gateway presented to a proxy, from the proxy's header.

There are three forms: Envoy's `x-forwarded-client-cert`, Traefik's `X-Forwarded-Tls-Client-Cert`, and `ssl-client-cert`
of nginx and ingress-nginx (`$ssl_client_escaped_cert`). A server accepts one of them. Ambiguous headers are refused:
a header that is there twice, headers of two forms, or certificates of several clients.

Bytes in, certificates out; no decision on trust.
"""

import binascii
import ipaddress
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.client_certificate import MAX_PRESENTED
from stationkeeper_cups.accepting.peer_address import peer_address

# A chain of four certificates with RSA keys of 4096 bits, escaped, and once more its first one as Envoy sends it.
MAX_FIELD_BYTES = 32 * 1024

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END CERTIFICATE-----(?:\r?\n|\Z)")
_SEQUENCE = 0x30
# One pair of `x-forwarded-client-cert`: a value in quotation marks may contain the separators.
_PAIR = re.compile(rb'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))')
_FORWARDED_FOR = b"x-forwarded-for"

Headers = Sequence[tuple[bytes, bytes]]


class Form(StrEnum):
    """The header form of a proxy for a client's certificates."""

    ENVOY = "envoy"
    TRAEFIK = "traefik"
    NGINX = "nginx"


NAMES = {
    Form.ENVOY: b"x-forwarded-client-cert",
    Form.TRAEFIK: b"x-forwarded-tls-client-cert",
    Form.NGINX: b"ssl-client-cert",
}
_ALL_NAMES = frozenset(NAMES.values())


def forwarded_names(headers: Headers) -> tuple[str, ...]:
    """Return the names of the headers that belong to any form, one for each header."""
    return tuple(name.decode("ascii") for name in (each.lower() for each, _ in headers) if name in _ALL_NAMES)


def presented(form: Form, headers: Headers) -> tuple[bytes, ...]:
    """Return the certificates that a gateway presented, DER, its own first; empty without a header.

    Args:
        form: the form of the proxies in use.
        headers: the raw headers of one request.

    Raises:
        StationkeeperError: `ForwardedCertificateInvalid`.
    """
    names = forwarded_names(headers)
    if not names:
        return ()
    wanted = NAMES[form].decode("ascii")
    if set(names) != {wanted}:
        raise _invalid(f"the headers are {', '.join(sorted(set(names)))}; only {wanted} is accepted")
    if len(names) > 1:
        raise _invalid(f"{wanted} is there {len(names)} times")
    value = next(value for name, value in headers if name.lower() == NAMES[form])
    if len(value) > MAX_FIELD_BYTES:
        raise _invalid(f"{wanted} has {len(value)} bytes; the maximum is {MAX_FIELD_BYTES}")
    return _READERS[form](value)


def client_address(headers: Headers, proxy: str) -> str:
    """Return the address of a gateway: the last one in `X-Forwarded-For`, or the address of the proxy.

    Only limits and the log use it, so an unreadable address refuses nothing.
    """
    last = [value for name, value in headers if name.lower() == _FORWARDED_FOR][-1:]
    text = b"".join(last).rpartition(b",")[2].strip().decode("ascii", "replace")
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return proxy
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return peer_address(str(mapped or found))


def _of_envoy(value: bytes) -> tuple[bytes, ...]:
    cert: tuple[bytes, ...] = ()
    chain: tuple[bytes, ...] = ()
    seen: set[bytes] = set()
    for name, text in _pairs(value):
        if name not in (b"Cert", b"Chain"):
            continue
        if name in seen:
            raise _invalid(f"{name.decode('ascii')} is there twice")
        seen.add(name)
        if name == b"Cert":
            cert = (_single(_escaped(text)),)
        else:
            chain = _escaped(text)
    if not seen:
        raise _invalid("neither Cert nor Chain is there; set `set_current_client_cert_details`")
    if cert and chain and chain[0] != cert[0]:
        raise _invalid("Cert is not the first certificate of Chain")
    return chain or cert


def _pairs(value: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Return the names and values of the only element (Envoy appends one element for each proxy on the way)."""
    place, pairs = 0, []
    while True:
        pair = _PAIR.match(value, place)
        if pair is None:
            raise _invalid("it is not a list of pairs")
        pairs.append((pair[1], pair[3] if pair[2] is None else re.sub(rb"\\(.)", rb"\1", pair[2])))
        place = pair.end()
        if place == len(value):
            return pairs
        if value[place : place + 1] == b",":
            raise _invalid("it has several clients; set `forward_client_cert_details: SANITIZE_SET`")
        if value[place : place + 1] != b";":
            raise _invalid("it is not a list of pairs")
        place += 1


def _of_traefik(value: bytes) -> tuple[bytes, ...]:
    """Read base64 without PEM lines, with commas between certificates; percent-encoded before Traefik 3."""
    texts = unquote_to_bytes(value).split(b",") if b"%" in value else value.split(b",")
    return _bounded(_der(text) for text in texts)


def _of_nginx(value: bytes) -> tuple[bytes, ...]:
    return (_single(_escaped(value)),)


def _escaped(value: bytes) -> tuple[bytes, ...]:
    """Read percent-encoded PEM."""
    text, place, certificates = unquote_to_bytes(value), 0, []
    while place < len(text):
        block = _PEM.match(text, place)
        if block is None:
            raise _invalid("it is not PEM with only certificates")
        certificates.append(_der(block[1].replace(b"\r", b"").replace(b"\n", b"")))
        place = block.end()
    return _bounded(certificates)


def _der(text: bytes) -> bytes:
    try:
        found = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise _invalid("a certificate is not base64") from None
    if found[:1] != bytes([_SEQUENCE]):
        raise _invalid("a certificate is not DER")
    return found


def _bounded(found: Iterable[bytes]) -> tuple[bytes, ...]:
    certificates = tuple(found)
    # The end-entity certificate, and the maximum of other certificates.
    if not 1 <= len(certificates) <= MAX_PRESENTED + 1:
        raise _invalid(f"it has {len(certificates)} certificates; 1 to {MAX_PRESENTED + 1} are accepted")
    return certificates


def _single(found: tuple[bytes, ...]) -> bytes:
    if len(found) != 1:
        raise _invalid(f"there are {len(found)} certificates; only the client's own is expected")
    return found[0]


_READERS = {Form.ENVOY: _of_envoy, Form.TRAEFIK: _of_traefik, Form.NGINX: _of_nginx}


def _invalid(detail: str) -> StationkeeperError:
    return StationkeeperError(Reason.FORWARDED_CERTIFICATE_INVALID, detail)
