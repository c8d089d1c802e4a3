"""Gateways of two namespaces, each with its own token Secret or the default LNS."""

from typing import Any

from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, SECRET, TRUSTED_CA, Key, Reference
from tests.operator.changing_world import LNS, RELEASE, ROOTS, URI, Event, made, secret


def fleet(number: int) -> list[Event]:
    """Return that many Gateways of two namespaces, each with its own token Secret or the default LNS."""
    found: list[Event] = [
        made(GATEWAY_DEFAULTS, "a", "default", {"lns": {"uri": URI, "trust": LNS}}),
        made(TRUSTED_CA, RELEASE, "c0", {"certificates": ROOTS[0], "serves": [{"namespace": "*"}]}),
    ]
    for each in range(number):
        found.append(made(*member(each), spec_of(each)))
        if each % 2:
            found.append(secret(Reference(SECRET, "b", f"token-{each}"), {"token": b"Bearer ONE"}))
    return found


def member(number: int) -> Key:
    return Key(GATEWAY, "b" if number % 2 else "a", f"m{number}")


def spec_of(number: int) -> dict[str, Any]:
    token = {"token": {"secretKeyRef": {"name": f"token-{number}", "key": "token"}}}
    lns = {"lns": {"uri": URI, "trust": LNS, "auth": token}} if number % 2 else {}
    return {"eui": f"{0xA840410000000000 + number:016X}", **lns}
