"""The few requests that a control plane's start needs of its own API server, without any client library."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stationkeeper_tools.tool_errors import ToolError, ToolFault

_TIMEOUT_SECONDS = 10.0


class AdminClient:
    """Requests to one API server on 127.0.0.1.

    Args:
        port: the server's.
        ca_file: verifies its certificate.
        token: the bearer token.
    """

    def __init__(self, port: int, ca_file: Path, token: str) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def answers(self, path: str) -> bool:
        """Whether the server answers a GET of `path` with status 200 now."""
        try:
            return self._exchange("GET", path, None)[0] == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def service_account_token(self, namespace: str, name: str, seconds: int) -> str:
        """A token of that ServiceAccount, valid for so many seconds.

        Raises:
            ToolError: `APIRefused`, for example because there is no such ServiceAccount.
            OSError: the server cannot be reached.
        """
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(name, safe='')}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        status, body = self._exchange("POST", path, request | {"spec": {"expirationSeconds": seconds}})
        answer: Any = json.loads(body)
        if status != http.client.CREATED:
            detail = f"no token for ServiceAccount {namespace}/{name}: {answer.get('message', status)}"
            raise ToolError(ToolFault.API_REFUSED, detail)
        return str(answer["status"]["token"])

    def _exchange(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS, context=self._context
        )
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
