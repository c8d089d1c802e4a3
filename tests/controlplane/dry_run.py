"""Ask an API server about an object by a dry run; hundreds of kubectl processes would take minutes."""

import json
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_tools.api_client import ApiClient


@dataclass(frozen=True)
class Said:
    """An answer of the API server.

    Attributes:
        status: of HTTP.
        message: of a refusal; empty if there is none.
        warnings: what the answer warns of.
    """

    status: int
    message: str
    warnings: tuple[str, ...]


class DryRun:
    """An API server, used with a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = ApiClient(kubeconfig, seconds=60)

    def create(self, path: str, body: object) -> Said:
        """Request the creation of `body` in the collection at `path`; each unknown field is an error."""
        answer = self._api.answer("POST", f"{path}?dryRun=All&fieldValidation=Strict", body)
        content = json.loads(answer.content)
        warnings = tuple(answer.headers.get_all("Warning") or ())
        return Said(answer.status, content["message"] if content["kind"] == "Status" else "", warnings)
