"""Show the state of the manifests: in `status.json`, and as announcements of changes."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.checking.findings import Finding
from stationkeeper_tools.standalone.folder_api import FolderApi, Object
from stationkeeper_tools.standalone.folder_watch import FolderWatch
from stationkeeper_tools.standalone.manifest_files import ObjectKey
from stationkeeper_tools.standalone.state_folder import STATUS, StateFolder

Tell = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of an announcement, and its fields: `finding`, `cleared`, `status`, `event`, `more`."""

SECONDS = 0.25
MAX_EVENTS = 200

_SETTLE_SECONDS = 2.0
_MAX_REPORTED = 50
_WRITE_SHARE = 10.0
_log = logging.getLogger("stationkeeper.standalone")


class StatusBoard:
    """The status board of one process.

    Args:
        state: the folder of `status.json`.
        api: holds the statuses.
        watch: knows the file and line of each object.
        tell: called for each announcement.
        now: the time, aware.
        about: more fields of `status.json`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators
        self,
        state: StateFolder,
        api: FolderApi,
        watch: FolderWatch,
        tell: Tell,
        now: Callable[[], datetime],
        about: Mapping[str, Any],
    ) -> None:
        self._state = state
        self._api = api
        self._watch = watch
        self._tell = tell
        self._now = now
        self._about = about
        self._events: deque[Object] = deque(maxlen=MAX_EVENTS)
        self._changed: dict[ObjectKey, float] = {}
        self._reported: dict[ObjectKey, tuple[object, ...]] = {}
        self._findings: tuple[Finding, ...] = ()
        self._is_stale = True
        api.on_status, api.on_event, watch.on_findings = self._status, self._event, self.look_at_findings

    async def run(self) -> NoReturn:
        """Announce changes and write `status.json` until cancelled."""
        while True:
            began = time.monotonic()
            self._announce()
            await self.write()
            await asyncio.sleep(max(SECONDS, _WRITE_SHARE * (time.monotonic() - began)))

    async def write(self) -> None:
        """Write `status.json` if it is out of date."""
        # Until all objects are known, the file of the run before holds more.
        if not self._is_stale or not self._api.is_known:
            return
        self._is_stale = False
        content = msgspec.json.format(msgspec.json.encode(self._fields()), indent=1)
        try:
            await asyncio.to_thread(self._state.write, STATUS, content)
        except OSError as error:
            self._is_stale = True
            _log.warning("status.json cannot be written; trying again", extra={"fields": {"detail": str(error)}})

    def look_at_findings(self) -> None:
        """Announce the new findings about the folder."""
        before, self._findings = self._findings, self._watch.findings
        self._is_stale = True
        new = [each for each in self._findings if each not in before]
        for each in new[:_MAX_REPORTED]:
            self._tell("finding", _finding(each))
        if len(new) > _MAX_REPORTED:
            self._tell("more", {"count": len(new) - _MAX_REPORTED})
        if before and not self._findings:
            self._tell("cleared", {})

    def _status(self, key: ObjectKey, _resource: Object) -> None:
        self._is_stale = True
        self._changed.setdefault(key, time.monotonic())

    def _event(self, body: Object) -> None:
        involved = body["involvedObject"]
        event = {
            "time": body["lastTimestamp"],
            "type": body["type"],
            "reason": body["reason"],
            "kind": involved["kind"],
            "namespace": involved["namespace"],
            "name": involved["name"],
            "uid": involved["uid"],
            "message": body["message"],
        }
        self._events.append(event)
        self._is_stale = True
        self._tell("event", event)

    def _announce(self) -> None:
        due = time.monotonic() - _SETTLE_SECONDS
        news: list[Mapping[str, Any]] = []
        for key, since in list(self._changed.items()):
            resource = self._api.get_object(key)
            if resource is None:
                del self._changed[key]
                self._reported.pop(key, None)
                continue
            facts = _conditions(resource)
            ready, accepted = facts.get("Ready", {}), facts.get("Accepted", {})
            # A change in progress is not announced: in a moment it is done, or a reason is known.
            if ready.get("status") != "True" and accepted.get("status") != "False" and since > due:
                continue
            del self._changed[key]
            said = tuple(ready.get(field) for field in ("status", "reason", "message", "observedGeneration"))
            if self._reported.get(key) != said:
                self._reported[key] = said
                news.append(self._news(key, ready, facts.get("Enforced", {})))
        for each in news[:_MAX_REPORTED]:
            self._tell("status", each)
        if len(news) > _MAX_REPORTED:
            self._tell("more", {"count": len(news) - _MAX_REPORTED})

    def _news(self, key: ObjectKey, ready: Mapping[str, Any], enforced: Mapping[str, Any]) -> Mapping[str, Any]:
        place = self._watch.places.get(key)
        return {
            **key._asdict(),
            "file": place.file if place else "",
            "line": place.line if place else 0,
            "ready": ready.get("status") == "True",
            "reason": ready.get("reason", ""),
            "message": ready.get("message", ""),
            "enforced": enforced.get("message", "") if enforced.get("status") == "True" else "",
        }

    def _fields(self) -> dict[str, Any]:
        places = self._watch.places
        resources = []
        for resource in self._api.resources():
            metadata, spec = resource["metadata"], resource.get("spec") or {}
            key = ObjectKey(resource["kind"], metadata["namespace"], metadata["name"])
            place = places.get(key)
            fields: dict[str, Any] = {**key._asdict(), "uid": metadata["uid"], "generation": metadata["generation"]}
            if place is not None:
                fields |= {"file": place.file, "line": place.line, "keptInForce": place.is_kept}
            if key.kind in {GATEWAY, TRUSTED_CA}:
                fields["suspended"] = spec.get("suspended") is True
            if key.kind == GATEWAY:
                fields["eui"] = spec.get("eui")
            resources.append({**fields, "status": resource.get("status") or {}})
        return {
            **self._about,
            "updated": rfc3339(self._now()),
            "findings": [_finding(resource) for resource in self._findings],
            "events": list(self._events),
            "resources": resources,
        }


def statuses_of(content: bytes | None) -> dict[str, Object]:
    """Return the status of each resource in a `status.json`, by its uid; nothing if it cannot be read.

    Args:
        content: of the file; None if there is none.
    """
    if content is None:
        return {}
    try:
        listed = msgspec.json.decode(content)["resources"]
        return {each["uid"]: each["status"] for each in listed if isinstance(each["status"], dict)}
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError):
        _log.warning("status.json cannot be read; its record of earlier visits is lost")
        return {}


def _finding(each: Finding) -> dict[str, Any]:
    found = {"file": each.file, "line": each.line, "reason": str(each.reason), "message": each.message}
    return found | {"resource": each.subject}


def _conditions(resource: Object) -> dict[str, Mapping[str, Any]]:
    generation = resource["metadata"].get("generation")
    listed = (resource.get("status") or {}).get("conditions", ())
    return {each["type"]: each for each in listed if each.get("observedGeneration") == generation}
