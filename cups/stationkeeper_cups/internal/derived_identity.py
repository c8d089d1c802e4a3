"""Present the identity derived from the internal token to clients of the internal port that request it.

A client that requests another name gets the server certificate, and so does every client while there is no usable
token. The token is read at each such handshake, so that a new one acts at once.
"""

import logging
import ssl
from collections.abc import Callable

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.internal_identity import SERVER_NAME, derive_identity
from stationkeeper_cups.tls.server_credentials import ServerCredentials, server_authentication

_log = logging.getLogger("stationkeeper.cups.derived_identity")


class DerivedIdentity:
    """Chooses the TLS context of a handshake on the internal port.

    Args:
        token: reads the token.
    """

    def __init__(self, token: Callable[[], bytes]) -> None:
        self._token = token
        self._derived_from = b""
        self._context: ssl.SSLContext | None = None
        self._trouble = ""

    def attach(self, context: ssl.SSLContext) -> None:
        """Make `context` switch connections whose client requests it."""
        context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name != SERVER_NAME:
            return
        try:
            self._derive()
        except (OSError, ValueError, StationkeeperError) as error:
            self._context = None
            self._log_problem(error)
        if self._context is not None:
            connection.context = self._context

    def _derive(self) -> None:
        token = self._token().strip()
        if self._context is not None and token == self._derived_from:
            return
        identity = derive_identity(token)
        self._context = server_authentication(ServerCredentials(identity.certificate_pem, identity.key_pem))
        self._derived_from, self._trouble = token, ""

    def _log_problem(self, error: Exception) -> None:
        trouble = str(error)
        if trouble != self._trouble:
            _log.warning("the internal port has no derived identity", extra={"fields": {"detail": trouble}})
        self._trouble = trouble
