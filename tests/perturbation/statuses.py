"""Follow statuses and events, read from the API server without the proxy."""

import http.client
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from stationkeeper_tools.api_client import ApiClient, RequestError
from tests.perturbation.fleet import TEAM
from tests.perturbation.reference import Key

_GROUP = f"/apis/stationkeeper.io/v1alpha1/namespaces/{TEAM}"
_PATHS = {
    "trustedcas": f"{_GROUP}/trustedcas",
    "gateways": f"{_GROUP}/gateways",
    "events": f"/api/v1/namespaces/{TEAM}/events",
}
PLURALS = {"TrustedCA": "trustedcas", "Gateway": "gateways"}
_OF_VISITS = {"Expiring"}
"""Conditions that depend on visits of gateways."""
_SESSION_SECONDS = 3600


class Shown:
    """The last seen state of a resource.

    Attributes:
        uid: its uid.
        conditions: by type.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.uid = str(found["metadata"]["uid"])
        listed = (found.get("status") or {}).get("conditions") or ()
        self.conditions: dict[str, dict[str, Any]] = {each["type"]: each for each in listed}

    def says(self, condition: str, generation: int) -> bool:
        """Return whether a condition is `True` about a generation."""
        found = self.conditions.get(condition)
        return found is not None and found["status"] == "True" and found["observedGeneration"] == generation

    def speaks(self, condition: str, generation: int) -> bool:
        """Return whether a condition is about a generation, with any value."""
        found = self.conditions.get(condition)
        return found is not None and found["observedGeneration"] == generation


class Statuses:
    """The followed resources of the team, in threads.

    Args:
        api: the administrator's.
        enforced: called with a resource, its uid and generation when its status begins to say that it is enforced.
        removed: called with a resource and its uid when an event says that its removal is enforced.

    Attributes:
        shown: each existing resource.
        changed: each change of a condition, in words, except those that follow visits of gateways.
    """

    def __init__(
        self, api: ApiClient, enforced: Callable[[Key, str, int], None], removed: Callable[[Key, str], None]
    ) -> None:
        self._api = api
        self._enforced = enforced
        self._removed = removed
        self.shown: dict[Key, Shown] = {}
        self.changed: list[str] = []

    def start(self) -> None:
        """Follow from now on, until the API server ends."""
        for plural, path in _PATHS.items():
            version = self._api.get(path)["metadata"]["resourceVersion"]
            threading.Thread(target=self._follow, args=(plural, path, version), name=plural, daemon=True).start()

    def _follow(self, plural: str, path: str, version: str) -> None:
        # The API server ends, because the stage ends.
        with suppress(OSError, http.client.HTTPException, RequestError, ValueError):
            query = f"watch=1&resourceVersion={version}&timeoutSeconds={_SESSION_SECONDS}"
            for line in self._api.watch(f"{path}?{query}", _SESSION_SECONDS):
                if plural == "events":
                    self._take_in_event(line["object"])
                else:
                    self._take_in((plural, line["object"]["metadata"]["name"]), line)

    def _take_in(self, key: Key, line: Mapping[str, Any]) -> None:
        before = self.shown.get(key)
        if line["type"] == "DELETED":
            self.shown.pop(key, None)
            return
        now = Shown(line["object"])
        said = before.conditions.get("Enforced") if before is not None and before.uid == now.uid else None
        says = now.conditions.get("Enforced")
        if says is not None and says["status"] == "True" and says != said:
            self._enforced(key, now.uid, says["observedGeneration"])
        for name in now.conditions.keys() - _OF_VISITS:
            was, is_now = before.conditions.get(name) if before is not None else None, now.conditions[name]
            if was != is_now:
                self.changed.append(f"{'/'.join(key)}: {_words(was)} becomes {_words(is_now)}")
        self.shown[key] = now

    def _take_in_event(self, event: Mapping[str, Any]) -> None:
        involved = event["involvedObject"]
        if event["reason"] == "Enforced" and "its removal was" in event["message"]:
            self._removed((PLURALS[involved["kind"]], involved["name"]), involved["uid"])


def _words(condition: Mapping[str, Any] | None) -> str:
    if condition is None:
        return "nothing"
    fields = ("type", "status", "reason", "observedGeneration", "message")
    return " ".join(str(condition.get(each, "")) for each in fields)
