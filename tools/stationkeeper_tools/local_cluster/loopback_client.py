"""The few HTTPS requests that are needed to start a control plane, without a client library."""

import http.client
import json
import ssl
from typing import Any

_ASKING_SECONDS = 2.0
_POSTING_SECONDS = 10.0


class LoopbackClient:
    """Requests to one server on 127.0.0.1; the server's certificate is verified.

    Args:
        port: the server's.
        context: verifies the server; holds the client's certificate if the server asks for one.
        token: a bearer token to send, if any.
    """

    def __init__(self, port: int, context: ssl.SSLContext, token: str | None = None) -> None:
        self._port = port
        self._context = context
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def answers(self, path: str) -> bool:
        """Return whether the server answers a GET of `path` with status 200 now."""
        try:
            return self._exchange("GET", path, None, _ASKING_SECONDS)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Post JSON; return the status and the JSON of the answer.

        Raises:
            OSError: the server cannot be reached.
        """
        status, answer = self._exchange("POST", path, json.dumps(body), _POSTING_SECONDS)
        return status, json.loads(answer)

    def _exchange(self, method: str, path: str, body: str | None, seconds: float) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._context)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
