"""Requests to an API server as its administrator, as plain JSON."""

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class RequestError(Exception):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"{status}: {content[:500]!r}")
        self.status = status


class RawApi:
    """One API server, with the bearer token of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        where = urlsplit(cluster["server"])
        self._where = (where.hostname, where.port)
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        self._authorization = f"Bearer {content['users'][0]['user']['token']}"

    def get(self, path: str) -> Any:
        return self.send("GET", path)

    def find(self, path: str) -> Any:
        """The object at `path`, None where there is none."""
        try:
            return self.get(path)
        except RequestError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def items(self, path: str) -> list[Any]:
        listed: list[Any] = self.get(path)["items"]
        return listed

    def create(self, path: str, body: object) -> Any:
        return self.send("POST", path, body)

    def apply(self, path: str, body: object) -> Any:
        return self.send("PATCH", f"{path}?fieldManager=user&force=true", body, "application/apply-patch+yaml")

    def merge(self, path: str, body: object) -> Any:
        return self.send("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path)

    def send(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        host, port = self._where
        assert host is not None
        connection = http.client.HTTPSConnection(host, port, timeout=10, context=self._context)
        headers = {"Authorization": self._authorization, "Content-Type": content_type, "Accept": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise RequestError(answer.status, content)
        return json.loads(content)
