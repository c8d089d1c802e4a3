"""The trusted proxies: each connects from a configured network and proves a configured name by a configured CA.

A network alone is not enough: the proxies of a cluster share their networks with its other pods. And a client that
counts as a proxy can act as any gateway, because certificates are not secret.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.before_tls import Opening
from stationkeeper_cups.accepting.peer_address import Networks
from stationkeeper_cups.forwarded.headers import Form
from stationkeeper_cups.tls.connection import Verdict

_log = logging.getLogger("stationkeeper.cups.forwarded")


@dataclass(frozen=True)
class TrustedProxies:
    """The configured trusted proxies.

    Attributes:
        form: the form of their header.
        networks: their source networks.
        authorities: the PEM file with the CAs of their certificates.
        names: their names: DNS names or URIs in their certificates.
    """

    form: Form
    networks: Networks
    authorities: Path
    names: frozenset[str]


class OnlyFrom:
    """Accepts connections only from some networks; they begin with TLS.

    Args:
        trusted: the networks of the proxies.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted = trusted

    def names_client(self, _source: str) -> bool:
        """Return false: no connection begins with a client address, because each is the proxy's own."""
        return False

    def __call__(self, source: str, _received: bytes) -> Opening | None:
        """Return how a connection begins.

        Raises:
            StationkeeperError: `ProxyNotTrusted`.
        """
        if source not in self._trusted:
            raise StationkeeperError(Reason.PROXY_NOT_TRUSTED, "a connection from outside of the proxies' networks")
        return Opening(source, 0)


class ProxyIdentity:
    """Judges the certificates of proxies.

    Args:
        authorities: the PEM file with the CAs of the proxies. It is read again at each handshake.
        names: the names of the proxies in the SubjectAltName of their certificates: DNS names or URIs.
        clock: returns the time, aware.

    Raises:
        StationkeeperError: `ProxyNotTrusted`, the file cannot be read.
    """

    def __init__(self, authorities: Path, names: frozenset[str], clock: Callable[[], datetime]) -> None:
        self._authorities = authorities
        self._names = names
        self._clock = clock
        self._text = b""
        self._store = self._read(authorities.read_bytes())

    def judge(self, presented: tuple[bytes, ...]) -> Verdict:
        """Return whether the presented certificates (DER, the client's own first) are those of a proxy."""
        try:
            leaf, *others = map(x509.load_der_x509_certificate, presented)
            verifier = PolicyBuilder().store(self._current()).time(self._clock()).build_client_verifier()
            subjects = verifier.verify(leaf, others).subjects or []
        except (ValueError, VerificationError) as error:
            return _refused(f"not a certificate of a proxy: {' '.join(str(error).split())[:256]}")
        found = {each.value for each in subjects if isinstance(each, x509.DNSName | x509.UniformResourceIdentifier)}
        if not found & self._names:
            return _refused(f"its names are {', '.join(sorted(found))[:256]!a}, and none of them is a proxy's")
        return Verdict(None)

    def _current(self) -> Store:
        try:
            text = self._authorities.read_bytes()
            if text != self._text:
                self._store = self._read(text)
        except (OSError, StationkeeperError) as error:
            _log.warning("the CAs of proxies stay as they were", extra={"fields": {"detail": str(error)}})
        return self._store

    def _read(self, text: bytes) -> Store:
        try:
            store = Store(x509.load_pem_x509_certificates(text))
        except ValueError as error:
            detail = f"{self._authorities} has no CA of proxies: {error}"
            raise StationkeeperError(Reason.PROXY_NOT_TRUSTED, detail) from None
        self._text = text
        return store


def _refused(detail: str) -> Verdict:
    return Verdict(StationkeeperError(Reason.PROXY_NOT_TRUSTED, detail))
