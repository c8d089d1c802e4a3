"""What an API server says of an object that it judges and does not keep; hundreds of kubectl would take minutes."""

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True)
class Said:
    """An answer.

    Attributes:
        status: of HTTP.
        message: of a refusal; empty where there is none.
        warnings: what the answer warns of.
    """

    status: int
    message: str
    warnings: tuple[str, ...]


class DryRun:
    """One API server, asked as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self._netloc = urlsplit(cluster["server"]).netloc
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        self._authorization = f"Bearer {content['users'][0]['user']['token']}"

    def create(self, path: str, body: object) -> Said:
        """Ask for the creation of `body` in the collection at `path`, each unknown field being an error."""
        connection = http.client.HTTPSConnection(self._netloc, timeout=60, context=self._context)
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        try:
            connection.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", json.dumps(body), headers)
            answer = connection.getresponse()
            content = json.load(answer)
        finally:
            connection.close()
        warnings = tuple(answer.headers.get_all("Warning") or ())
        return Said(answer.status, content["message"] if content["kind"] == "Status" else "", warnings)
