"""What an API server says of an object that it judges and does not keep; hundreds of kubectl would take minutes."""

import json
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_tools.api_client import ApiClient


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
        self._api = ApiClient(kubeconfig, seconds=60)

    def create(self, path: str, body: object) -> Said:
        """Ask for the creation of `body` in the collection at `path`, each unknown field being an error."""
        answer = self._api.answer("POST", f"{path}?dryRun=All&fieldValidation=Strict", body)
        content = json.loads(answer.content)
        warnings = tuple(answer.headers.get_all("Warning") or ())
        return Said(answer.status, content["message"] if content["kind"] == "Status" else "", warnings)
