"""Check a server's certificates against one root as a Basics Station with mbed TLS 2.28 would.

Source: the CUPS protocol, how the client behaves; mbed TLS 2.28.
"""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.station_certificate import check_trust
from stationkeeper_core.x509.pem import parse_der_certificate
from stationkeeper_tools.server_trust.presented_chain import PresentedChain
from stationkeeper_tools.station.faults import StationError
from stationkeeper_tools.station.server_certificate import check_server_certificate


def station_problems(chain: PresentedChain, root: x509.Certificate, host: str, now: datetime) -> Iterator[str]:
    """Yield why a Station would refuse the server; nothing if it would accept it.

    Args:
        chain: the chain that the server presents.
        root: the Station's trust.
        host: the host in the URI.
        now: the time, aware.
    """
    if chain.only_tls_1_3:
        yield "the server speaks TLS 1.3 only, and a Station at most TLS 1.2: switch TLS 1.2 on"
    try:
        check_trust(parse_der_certificate(_der(root)))
    except StationkeeperError as error:
        yield f"the root: {error.detail}"
    try:
        check_server_certificate(chain.certificates, host)
    except StationError as error:
        yield error.detail
    yield from _path_problem(chain, root, now)


def _path_problem(chain: PresentedChain, root: x509.Certificate, now: datetime) -> Iterator[str]:
    """Yield why the presented certificates do not lead to the root: a missing intermediate, or an expired one."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(now.replace(tzinfo=None))
    try:
        store.add_cert(crypto.X509.from_cryptography(root))
        leaf, *others = (crypto.X509.from_cryptography(each) for each in chain.certificates)
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        hint = "; the server must send its intermediates" if "issuer" in str(error) else ""
        yield f"its chain does not lead to the root: {error}{hint}"
    except crypto.Error:
        yield "a certificate of the chain cannot be read"


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
