"""Describe what a Station did, as JSON objects and as lines for people, from the same fields.

The fields are a contract, written down in docs/station.md.
"""

import json
from typing import Any

from stationkeeper_core.eui64 import format_id6
from stationkeeper_tools.station.answer import Answer
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.description import describe
from stationkeeper_tools.station.state import Server
from stationkeeper_tools.station.state_machine import Attempt, Outcome, Received, Result

_REFUSAL_BYTES = 500
_NAMES = {Server.CUPS: "CUPS", Server.LNS: "LNS"}


def event(happened: Attempt | Outcome, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return the fields of an attempt or outcome; without tokens, unless `show_secrets` is true."""
    if isinstance(happened, Attempt):
        return _attempt(happened, show_secrets=show_secrets)
    return _outcome(happened, show_secrets=show_secrets)


def json_line(fields: dict[str, Any]) -> str:
    """Return the fields as one line of JSON."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def text(fields: dict[str, Any]) -> str:
    """Return the fields as lines for people."""
    return "\n".join(_attempt_lines(fields) if fields["event"] == "request" else _outcome_lines(fields))


class Blocks:
    """The lines for people: one block for each request and its outcome.

    A set without a URI has no block. The block of the next request names it; if the Station waits before that request,
    the set gets a line of its own.

    Args:
        waits: whether it waits between a set without a URI and the next set.
    """

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self._begun = False
        self._passed_over: list[str] = []

    def next(self, fields: dict[str, Any]) -> str:
        """Return the text to print for these fields; empty for nothing."""
        if fields["event"] == "outcome" and fields["result"] == Result.NOT_CONFIGURED:
            if self._waits:
                return f"The {fields['set']} set has no URI; {_next(fields)}"
            self._passed_over.append(fields["set"])
            return ""
        begins = fields["event"] == "request"
        gap = "\n" if begins and self._begun else ""
        self._begun = True
        lines = text(fields)
        if begins and self._passed_over:
            lines += f"\n  without a URI, skipped: {', '.join(self._passed_over)}"
            self._passed_over.clear()
        return gap + lines


def _attempt(attempt: Attempt, *, show_secrets: bool) -> dict[str, Any]:
    report = attempt.report
    return {
        "event": "request",
        "set": attempt.set_name.label,
        "server": attempt.address.authority,
        "tls": attempt.address.tls,
        "credentials": describe(attempt.credentials, show_secrets=show_secrets),
        "router": format_id6(report.eui),
        "cupsUri": _decoded(report.cups_uri),
        "tcUri": _decoded(report.tc_uri),
        "cupsCredCrc": report.cups_credentials_crc,
        "tcCredCrc": report.tc_credentials_crc,
        "station": report.station,
        "model": report.model,
        "package": _decoded(report.package),
        "keys": list(report.keys),
    }


def _outcome(outcome: Outcome, *, show_secrets: bool) -> dict[str, Any]:
    received = outcome.received or Received(0)
    answer = received.answer or Answer()
    return {
        "event": "outcome",
        "result": str(outcome.result),
        "set": outcome.set_name.label,
        "status": outcome.received and outcome.received.status,
        "refusal": _decoded(received.refusal[:_REFUSAL_BYTES].strip() or None),
        "cupsUri": _decoded(answer.cups_uri or None),
        "tcUri": _decoded(answer.tc_uri or None),
        "cupsCredentials": _credentials(
            answer.cups_credentials, received.credentials.get(Server.CUPS), show_secrets=show_secrets
        ),
        "tcCredentials": _credentials(
            answer.tc_credentials, received.credentials.get(Server.LNS), show_secrets=show_secrets
        ),
        "update": _update(received, answer),
        "faults": [{"fault": str(each.fault), "detail": each.detail} for each in outcome.faults],
        "crcsBefore": _crcs(outcome.crcs_before),
        "crcsAfter": _crcs(outcome.crcs_after),
        "backedUp": received.backed_up,
        "reconnects": outcome.reconnects,
        "restartsLNS": outcome.restarts_lns,
        "nextSet": outcome.next_set.label,
        "nextSeconds": outcome.next_seconds,
    }


def _credentials(blob: bytes, accepted: CredentialSet | None, *, show_secrets: bool) -> dict[str, Any] | None:
    if not blob:
        return None
    described = describe(accepted, show_secrets=show_secrets) if accepted else None
    return {"bytes": len(blob), "accepted": accepted is not None, "set": described}


def _update(received: Received, answer: Answer) -> dict[str, Any] | None:
    if not answer.update:
        return None
    verdict = received.update
    return {
        "bytes": len(answer.update),
        "signed": bool(answer.signature),
        "keyCrc": answer.key_crc if answer.signature else None,
        "wouldRun": verdict is not None and verdict.would_run,
        "why": verdict.why if verdict else "it is not complete",
    }


def _crcs(crcs: dict[Server, int]) -> dict[str, int]:
    return {str(server): value for server, value in crcs.items()}


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _attempt_lines(fields: dict[str, Any]) -> list[str]:
    credentials = {key: value for key, value in fields["credentials"].items() if value}
    return [
        f"Asking {_plain(fields['server'])} with the {fields['set']} set: {_listed(credentials)}",
        f"  router {fields['router']}, CUPS {_plain(fields['cupsUri'])} CRC {fields['cupsCredCrc']}, "
        f"LNS {_plain(fields['tcUri'])} CRC {fields['tcCredCrc']}, package {_plain(fields['package'])}, "
        f"{len(fields['keys'])} signature keys",
    ]


def _outcome_lines(fields: dict[str, Any]) -> list[str]:
    status = f" with status {fields['status']}" if fields["status"] is not None else ""
    lines = [f"{fields['result']}{status}" + (f": {_plain(fields['refusal'])}" if fields["refusal"] else "")]
    for server, name in _NAMES.items():
        if fields[f"{server}Uri"]:
            lines.append(f"  {name} URI: {_plain(fields[f'{server}Uri'])}")
        if credentials := fields[f"{server}Credentials"]:
            described = {key: value for key, value in (credentials["set"] or {"not": "accepted"}).items() if value}
            lines.append(f"  {name} credentials, {credentials['bytes']} bytes: {_listed(described)}")
    if update := fields["update"]:
        runs = "would run it" if update["wouldRun"] else "would not run it"
        lines.append(f"  update, {update['bytes']} bytes, not executed; a Station {runs}: {update['why']}")
    if fields["status"] == 200 and len(lines) == 1:  # noqa: PLR2004 - OK
        lines.append("  nothing to change")
    lines += [f"  {fault['fault']}: {_plain(fault['detail'])}" for fault in fields["faults"]]
    for server, name in _NAMES.items():
        before, after = fields["crcsBefore"][server], fields["crcsAfter"][server]
        if before != after:
            lines.append(f"  {name} CRC: {before} -> {after}")
    lines += _consequences(fields)
    return lines


def _consequences(fields: dict[str, Any]) -> list[str]:
    said = {
        "backedUp": "the REG set worked: it is now the BAK set as well",
        "restartsLNS": "a Station restarts its LNS connection",
        "reconnects": "a Station asks CUPS again with its new configuration",
    }
    return [
        *(f"  {sentence}" for key, sentence in said.items() if fields[key]),
        f"  {_next(fields)}",
    ]


def _next(fields: dict[str, Any]) -> str:
    rotated = f"; {fields['set']} -> {fields['nextSet']}" if fields["set"] != fields["nextSet"] else ""
    return f"next: {fields['nextSet']} set in {fields['nextSeconds']:g} s{rotated}"


def _listed(fields: dict[str, str]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in fields.items()) or "none"


def _plain(value: str | None) -> str:
    """Return the text without characters that control a terminal, since a server may send any."""
    return "none" if value is None else "".join(each if each.isprintable() else "�" for each in value)
