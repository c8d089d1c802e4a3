"""Requests to an API server with the bearer token of a kubeconfig, as plain JSON."""

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from stationkeeper_tools.kept_connections import KeptConnections

FIELD_MANAGER = "stationkeeper-tools"

_TIMEOUT_SECONDS = 10.0
_APPLY, _JSON = "application/apply-patch+yaml", "application/json"


class RequestError(Exception):
    """The API server refused.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"the API server answered {status}: {content[:500].decode('utf-8', 'replace')}")
        self.status = status


class Answer(NamedTuple):
    """An answer of the API server: its HTTP status, headers and content."""

    status: int
    headers: Message
    content: bytes


class ApiClient:
    """One API server, as the user of a kubeconfig.

    Args:
        kubeconfig: with one cluster, its CA inline, and one user with a token.
        seconds: the longest time to wait for an answer.
    """

    def __init__(self, kubeconfig: Path, seconds: float = _TIMEOUT_SECONDS) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self._netloc = urlsplit(cluster["server"]).netloc
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        self._authorization = f"Bearer {content['users'][0]['user']['token']}"
        self._kept = KeptConnections(self._netloc, self._context, seconds)

    def get(self, path: str) -> Any:
        """Return the JSON at `path`.

        Raises:
            RequestError: the API server refused; the same for every method here.
            OSError: it cannot be reached; the same for every method here.
        """
        return self.send("GET", path)

    def find(self, path: str) -> Any:
        """Return the object at `path`, None if there is none."""
        try:
            return self.get(path)
        except RequestError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def items(self, path: str) -> list[Any]:
        """Return the objects of the collection at `path`."""
        listed: list[Any] = self.get(path)["items"]
        return listed

    def create(self, path: str, body: object) -> Any:
        """Create `body` in the collection at `path`."""
        return self.send("POST", path, body)

    def apply(self, path: str, body: object) -> Any:
        """Apply `body` to the object at `path` (server-side apply)."""
        return self.send("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", body, _APPLY)

    def merge(self, path: str, body: object) -> Any:
        """Merge `body` into the object at `path` (JSON merge patch)."""
        return self.send("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> Any:
        """Delete the object, or all objects of the collection, at `path`."""
        return self.send("DELETE", path)

    def watch(self, path: str, seconds: float) -> Iterator[Any]:
        """Yield the events of the watch at `path` as they come.

        Args:
            path: with the query that makes it a watch.
            seconds: the longest time to wait for an event.

        Raises:
            TimeoutError: none came in time.
        """
        connection = http.client.HTTPSConnection(self._netloc, timeout=seconds, context=self._context)
        try:
            connection.request("GET", path, headers={"Authorization": self._authorization, "Accept": _JSON})
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise RequestError(answer.status, answer.read())
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()

    def send(self, method: str, path: str, body: object = None, content_type: str = _JSON) -> Any:
        """Send a request and return the JSON of its answer."""
        answer = self.answer(method, path, body, content_type)
        if answer.status >= http.client.BAD_REQUEST:
            raise RequestError(answer.status, answer.content)
        return json.loads(answer.content)

    def answer(self, method: str, path: str, body: object = None, content_type: str = _JSON) -> Answer:
        """Send a request and return its answer, a refusal too."""
        headers = {"Authorization": self._authorization, "Content-Type": content_type, "Accept": _JSON}
        if method == "GET" and body is None:
            read, content = self._kept.get(path, headers)
            return Answer(read.status, read.headers, content)
        written = None if body is None else json.dumps(body)
        read, content = self._kept.send_once(method, path, headers, written)
        return Answer(read.status, read.headers, content)
