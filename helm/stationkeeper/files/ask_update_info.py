"""The program of `helm test`: ask `/update-info` as a gateway, and say what is wrong.

It runs in the image of CUPS and uses only the standard library and `cryptography`. Each finding is one line on standard
output; the exit status is 0 if all is well, else 1. It prints no key and no credential.
"""

import ipaddress
import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

TIMEOUT_SECONDS = 15.0
MAX_ANSWER = 1 << 18
SOON = timedelta(days=30)
RSA_BITS = (2048, 4096)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
EUI_BYTES = 8
HTTP_OK = 200


class Wrong(Exception):  # noqa: N818 - it is a finding, and read as one
    """The problem, its place, and what to do."""


@dataclass(frozen=True)
class Service:
    """The address of CUPS.

    Attributes:
        address: host and port.
        load_balancers: the networks whose connections must begin with a PROXY protocol header; this pod may be in one.
    """

    address: tuple[str, int]
    load_balancers: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def say(text: str) -> None:
    """Print one finding."""
    print(text, flush=True)  # noqa: T201 - this is the output


def server_chain(folder: Path, secret: str) -> list[x509.Certificate]:
    """Return the certificates of the server's Secret, its own first.

    Raises:
        Wrong: there is none, or every Basics Station would refuse it.
    """
    file = folder / "tls.crt"
    if not file.is_file():
        raise Wrong(f"the Secret {secret} has no tls.crt, so no CUPS pod is ready: make it, see the chart's NOTES")
    chain = x509.load_pem_x509_certificates(file.read_bytes())
    key = chain[0].public_key()
    taken = (isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
    )
    if not taken:
        raise Wrong(f"a Basics Station cannot use the key of the certificate in {secret}: use P-256 or RSA 2048")
    return chain


def names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names that `certificate` is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def trust(folder: Path, chain: list[x509.Certificate]) -> str | None:
    """Return the PEM text with which a gateway would verify the server; None if that is not known here."""
    file = folder / "ca.crt"
    if file.is_file() and file.stat().st_size:
        return file.read_text(encoding="ascii")
    last = chain[-1]
    return (folder / "tls.crt").read_text(encoding="ascii") if last.subject == last.issuer else None


def context(authorities: str | None, gateway: Path | None) -> ssl.SSLContext:
    """Return the TLS context of a gateway; if no CA is known, it verifies nothing."""
    made = ssl.create_default_context(cadata=authorities) if authorities else ssl.create_default_context()
    if authorities is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    # Gateways verify by the authority that they hold, often one of X.509 version 1 and without key usages.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if gateway:
        made.load_cert_chain(gateway / "tls.crt", gateway / "tls.key")
    return made


@contextmanager
def connected(service: Service, name: str, tls: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Connect and do the handshake.

    Raises:
        Wrong: there is no server, or its certificate is not one for `name`.
        ssl.SSLError: the server refused.
    """
    try:
        plain = socket.create_connection(service.address, TIMEOUT_SECONDS)
    except socket.gaierror as error:
        raise Wrong(
            f"the name {service.address[0]} cannot be resolved ({error}): does the cluster's DNS work?"
        ) from error
    except OSError as error:
        raise Wrong(
            f"{service.address[0]}:{service.address[1]} accepts no connection ({error}): no CUPS pod is ready, or a "
            "NetworkPolicy forbids it; see the pods' log"
        ) from error
    with plain:
        own = ipaddress.ip_address(plain.getsockname()[0])
        if any(own.version == each.version and own in each for each in service.load_balancers):
            plain.sendall(b"PROXY UNKNOWN\r\n")
        try:
            wrapped = tls.wrap_socket(plain, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            raise Wrong(f"a gateway would not trust the server: {error.verify_message}") from error
        with wrapped:
            yield wrapped


def ask(connection: ssl.SSLSocket, host: str, eui: bytes) -> tuple[int, bytes]:
    """Send one request as a new gateway; return status and body, 0 if the server closes without an answer."""
    groups = [f"{group:x}" for group in struct.unpack(">4H", eui)]
    body = json.dumps(
        {
            "router": ":".join(groups),
            **{"cupsUri": "", "tcUri": "", "cupsCredCrc": 0, "tcCredCrc": 0},
            **{"station": "helm test", "model": "helm test", "package": "", "keys": []},
        }
    ).encode()
    head = (
        f"POST /update-info HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(head.encode("ascii") + body)
    answer = b""
    while len(answer) < MAX_ANSWER and (part := connection.recv(1 << 16)):
        answer += part
    if not answer:
        return 0, b""
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


def lns_uri(body: bytes) -> str:
    """Return the URI of the network server in an answer, empty if there is none."""
    cups = body[0]
    return body[2 + cups : 2 + cups + body[1 + cups]].decode("ascii")


def check_without_certificate(service: Service, name: str, tls: ssl.SSLContext, *, tokens: bool) -> None:
    """Check that a client without a certificate gets nothing.

    Raises:
        Wrong: it was answered.
    """
    try:
        with connected(service, name, tls) as connection:
            status, body = ask(connection, name, bytes(EUI_BYTES))
    except (ssl.SSLError, ConnectionError) as error:
        if tokens:
            raise Wrong(
                f"cups.tokenAuthentication is on, but the handshake without a certificate fails: {error}"
            ) from error
        say("ok: a client without a certificate is refused in the handshake")
        return
    if status == HTTP_OK or (status and not tokens):
        raise Wrong(f"a client without a certificate got HTTP {status}: something else than CUPS terminates TLS there")
    say(f"ok: a client without a certificate is refused ({status}, {body[:80].decode('ascii', 'replace')})")


def check_gateway(service: Service, name: str, tls: ssl.SSLContext, eui: bytes) -> None:
    """Check that the gateway is answered.

    Raises:
        Wrong: it is refused; with the server's reason.
    """
    try:
        with connected(service, name, tls) as connection:
            status, body = ask(connection, name, eui)
    except (ssl.SSLError, ConnectionError) as error:
        raise Wrong(
            f"the gateway's certificate is refused in the handshake ({error}): is there a TrustedCA for its issuer, "
            "and is it Ready? The log of CUPS says why"
        ) from error
    if status != HTTP_OK:
        raise Wrong(
            f"the gateway is refused: HTTP {status} {body[:200].decode('ascii', 'replace')}; see docs/reasons.md"
        )
    say(f"ok: the gateway is answered with {len(body)} bytes; its network server is {lns_uri(body) or 'unchanged'}")


def run(environment: Mapping[str, str]) -> None:
    """Run all checks.

    Args:
        environment: HOST and PORT of the Service; SERVER_SECRET, its name, and SERVER_FOLDER, where it is mounted
            without its key; NAME, the DNS name that gateways use, or empty; GATEWAY_FOLDER with `tls.crt` and
            `tls.key`, or empty; EUI, 16 hex digits; TOKENS, `true` or `false`; PROXY_PROTOCOL_FROM, networks with
            commas between, or empty.

    Raises:
        Wrong: at the first check that fails.
    """
    networks = filter(None, environment["PROXY_PROTOCOL_FROM"].split(","))
    service = Service((environment["HOST"], int(environment["PORT"])), tuple(map(ipaddress.ip_network, networks)))
    folder = Path(environment["SERVER_FOLDER"])
    chain = server_chain(folder, environment["SERVER_SECRET"])
    found = names(chain[0])
    if not found:
        raise Wrong("the server's certificate has no DNS name, and a Basics Station verifies no other")
    left = chain[0].not_valid_after_utc - datetime.now(UTC)
    if left <= timedelta():
        raise Wrong(f"the server's certificate ended at {chain[0].not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it")
    say(f"ok: the server's certificate is for {', '.join(found)}")
    if left < SOON:
        say(f"warning: it ends in {left.days} days")
    name = environment["NAME"] or found[0].replace("*", "gateways")
    authorities = trust(folder, chain)
    if authorities is None:
        say("warning: the Secret holds no root and no ca.crt: not checked whether a gateway would trust the server")
    anonymous = context(authorities, None)
    check_without_certificate(service, name, anonymous, tokens=environment["TOKENS"] == "true")
    if environment["GATEWAY_FOLDER"]:
        gateway = context(authorities, Path(environment["GATEWAY_FOLDER"]))
        check_gateway(service, name, gateway, bytes.fromhex(environment["EUI"]))
    else:
        say("not checked: the answer to a gateway; helmTest.gatewaySecret and helmTest.eui name one")


def main() -> int:
    """Run the checks with the environment of the process; return the exit status."""
    try:
        run(os.environ)
    except Wrong as wrong:
        say(f"WRONG: {wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
