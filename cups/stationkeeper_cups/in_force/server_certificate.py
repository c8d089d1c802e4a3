"""The server certificate: whether gateways accept it, its root, and its end.

The end is a metric, and a warning in the log once per stage and load.
"""

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Callable
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.server_chain import check_server, check_times, has_root_of, root_name
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_core.x509.keys import public_key_der
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.tls.server_credentials import ServerCredentials

CHECK_SECONDS = 600.0
OFFER_SECONDS = 30.0
"""The pause after which a source offers its pair again: a refused pair may be accepted later."""

_LABEL = rb"(?:X509 )?CERTIFICATE-----"
_BLOCK = re.compile(rb"-----BEGIN " + _LABEL + rb"([^-]*)-----END " + _LABEL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_log = logging.getLogger("stationkeeper.cups.server_certificate")


class ServerCertificate:
    """The certificate of one server.

    Args:
        metrics: the metrics.
        now: returns the time, aware.
        root_may_change: whether a chain to another root is accepted at once.

    Attributes:
        not_before, not_after: its begin and end, aware; None before there is one.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], datetime], *, root_may_change: bool = False) -> None:
        self._metrics = metrics
        self._now = now
        self._root_may_change = root_may_change
        self._reported: Stage | None = None
        self._in_force: tuple[Certificate, ...] = ()
        self.not_before: datetime | None = None
        self.not_after: datetime | None = None

    def admit(self, credentials: ServerCredentials) -> None:
        """Refuse credentials that gateways would not accept, while they accept those in force.

        If gateways do not accept the credentials in force either, all credentials are admitted.

        Raises:
            StationkeeperError: `ServerCertificateInvalid` if the certificate is not valid now; `ServerRootChanged`.
        """
        chain = _chain(credentials)
        if not self._in_force or not self._is_valid():
            return
        try:
            check_times(chain, self._now())
        except StationkeeperError as error:
            raise _refusal(error) from None
        if not self._root_may_change and not has_root_of(self._in_force, chain):
            raise StationkeeperError(
                Reason.SERVER_ROOT_CHANGED,
                f"tls.crt ends in the root {root_name(chain)!a}, and the certificate in force in another one, "
                f"{root_name(self._in_force)!a}: gateways that have that root would never connect again. The "
                f"certificate in force stays until it ends on {rfc3339(self._in_force[0].not_after)}",
            )

    def loaded(self, credentials: ServerCredentials) -> None:
        """Take in the new pair in force, which `check_for_stations` and `admit` have accepted."""
        self._in_force, self._reported = _chain(credentials), None
        leaf = self._in_force[0]
        self.not_before, self.not_after = leaf.not_before, leaf.not_after
        self._metrics.server_certificate_begins.set(leaf.not_before.timestamp())
        self._metrics.server_certificate_expires.set(leaf.not_after.timestamp())
        if self._now() < leaf.not_before:
            fields = {"not_before": rfc3339(leaf.not_before)}
            _log.warning("the server's certificate is not valid yet: gateways refuse it", extra={"fields": fields})
        self.check()

    def check(self) -> None:
        """Warn about a new stage before the end."""
        leaf = self._in_force[0] if self._in_force else None
        stage = stage_of(leaf.not_before, leaf.not_after, self._now()) if leaf else None
        if stage is None or stage is self._reported or self.not_after is None:
            return
        self._reported = stage
        fields = {"reason": stage.value, "not_after": rfc3339(self.not_after)}
        _log.warning("renew the server's certificate: gateways refuse it once expired", extra={"fields": fields})

    async def run(self) -> None:
        """Check from time to time until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.check()

    def _is_valid(self) -> bool:
        try:
            check_times(self._in_force, self._now())
        except StationkeeperError:
            return False
        return True


def server_credentials(certificates: bytes, key: bytes) -> ServerCredentials:
    """Return the pair from two files or keys of a Secret.

    Args:
        certificates: the content of `tls.crt`. A byte order mark, which editors on Windows write, is removed, because
                OpenSSL would skip the certificate behind it.
        key: the content of `tls.key`; a byte order mark is removed from it too.
    """
    return ServerCredentials(certificates.removeprefix(_BYTE_ORDER_MARK), key.removeprefix(_BYTE_ORDER_MARK))


def check_for_stations(credentials: ServerCredentials) -> None:
    """Refuse a chain that no Basics Station accepts, and a key of another certificate.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    chain = _chain(credentials)
    key = _key_sha256(credentials.key)
    if key is not None and key != chain[0].key_sha256:
        detail = (
            f"tls.key does not belong to {chain[0].subject[:100]!a}, the first certificate of tls.crt: the server's "
            "own certificate must come first; put its key into tls.key"
        )
        raise StationkeeperError(Reason.SERVER_CERTIFICATE_INVALID, detail)
    try:
        check_server(chain)
    except StationkeeperError as error:
        raise _refusal(error) from None


def _chain(credentials: ServerCredentials) -> tuple[Certificate, ...]:
    """Return all certificates of tls.crt, at least one."""
    try:
        chain = tuple(parse_certificate(base64.b64decode(each)) for each in _BLOCK.findall(credentials.certificates))
    except (ValueError, StationkeeperError) as error:
        chain, problem = (), str(error)
    else:
        problem = _form_of(credentials.certificates)
    if not chain:
        detail = f"tls.crt is not a chain of PEM certificates: {problem}"
        raise StationkeeperError(Reason.SERVER_CERTIFICATE_INVALID, detail)
    return chain


def _form_of(content: bytes) -> str:
    """Return the actual form of `content`, if known, and what to do."""
    if not content.strip():
        return "it is empty"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:2].count(0) == 1:
        return "it is UTF-16 text; save it as ASCII"
    if content.startswith(b"\x30\x82"):
        return "it is DER; convert it with: openssl x509 -inform DER -in FILE"
    return "it has none"


def _key_sha256(key: bytes) -> str | None:
    """Return the digest as in `Certificate.key_sha256`; None if the key cannot be read: OpenSSL then judges it."""
    try:
        public = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return hashlib.sha256(public_key_der(public)).hexdigest()


def _refusal(error: StationkeeperError) -> StationkeeperError:
    return StationkeeperError(Reason.SERVER_CERTIFICATE_INVALID, f"gateways would not connect any more: {error.detail}")
