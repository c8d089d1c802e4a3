"""What users do in a run: they apply, change and delete resources, a few seconds apart."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

from tests.simulation import fleet
from tests.simulation.api_server import ApiServer, Place, RefusedError

NAMES = ("one", "two")
BYSTANDER = "bystander"
BYSTANDER_EUI = "AA000000000000FF"
_MOST_SECONDS = 6.0


def euis(namespace: str) -> tuple[str, ...]:
    """Return the EUIs that a namespace uses."""
    digit = fleet.NAMESPACES.index(namespace) + 1
    return tuple(f"AA0000000000{digit}00{number}" for number in range(3))


class Users:
    """Of one run.

    Args:
        server: where they apply.
        chance: draws what they do.
        did: told of each action by its name.
    """

    def __init__(self, server: ApiServer, chance: random.Random, did: Callable[[str], None]) -> None:
        self._server = server
        self._chance = chance
        self._did = did
        self._deeds: tuple[Callable[[str], str], ...] = (
            self._apply_ca,
            self._apply_ca,
            self._delete_ca,
            self._change_ca,
            self._suspend_ca,
            self._apply_gateway,
            self._apply_gateway,
            self._delete_gateway,
            self._suspend_gateway,
            self._replace_ca,
            self._write_config_map,
            self._delete_config_map,
        )

    def begin(self) -> None:
        """Create what is there at first, the bystander among it, which nobody changes."""
        for document in ("bystander",):
            self._server.create(Place("trustedcas", document), _body(BYSTANDER, fleet.trusted_ca("bystander-root")))
            self._server.create(Place("gateways", document), _body(BYSTANDER, fleet.gateway(BYSTANDER_EUI)))
        for namespace in fleet.NAMESPACES:
            self._write_config_map(namespace)
            self._apply_ca(namespace)
            self._apply_gateway(namespace)

    async def run(self, seconds: float) -> None:
        """Act for some time."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends:
            await asyncio.sleep(self._chance.expovariate(1.0) * self._chance.choice((0.05, 1.0, _MOST_SECONDS)))
            self.act()

    def act(self) -> None:
        """Do one thing."""
        deed, namespace = self._chance.choice(self._deeds), self._chance.choice(fleet.NAMESPACES)
        # It is there already, or not there: a user sees an error, and nothing changes.
        with contextlib.suppress(RefusedError):
            self._did(deed(namespace))

    def _spec(self, namespace: str, name: str) -> dict[str, Any]:
        if self._chance.random() < 0.3:
            return fleet.trusted_ca_from("roots")
        return fleet.trusted_ca(*roots_of(namespace, name, self._chance))

    def _apply_ca(self, namespace: str) -> str:
        name = self._chance.choice(NAMES)
        self._server.create(Place("trustedcas", namespace), _body(name, self._spec(namespace, name)))
        return "TrustedCA created"

    def _delete_ca(self, namespace: str) -> str:
        self._server.delete(Place("trustedcas", namespace, self._chance.choice(NAMES)))
        return "TrustedCA deleted"

    def _replace_ca(self, namespace: str) -> str:
        """Delete and create in one moment: another resource of the same name."""
        name = self._chance.choice(NAMES)
        self._server.delete(Place("trustedcas", namespace, name))
        self._server.create(Place("trustedcas", namespace), _body(name, self._spec(namespace, name)))
        return "TrustedCA made again"

    def _change_ca(self, namespace: str) -> str:
        name = self._chance.choice(NAMES)
        return self._respec("trustedcas", namespace, name, self._spec(namespace, name), "TrustedCA changed")

    def _suspend_ca(self, namespace: str) -> str:
        return self._toggle("trustedcas", namespace, self._chance.choice(NAMES), "TrustedCA")

    def _apply_gateway(self, namespace: str) -> str:
        number = self._chance.randrange(3)
        body = _body(f"gateway-{number}", fleet.gateway(euis(namespace)[number]))
        self._server.create(Place("gateways", namespace), body)
        return "Gateway created"

    def _delete_gateway(self, namespace: str) -> str:
        self._server.delete(Place("gateways", namespace, f"gateway-{self._chance.randrange(3)}"))
        return "Gateway deleted"

    def _suspend_gateway(self, namespace: str) -> str:
        return self._toggle("gateways", namespace, f"gateway-{self._chance.randrange(3)}", "Gateway")

    def _write_config_map(self, namespace: str) -> str:
        text = "".join(map(fleet.pem, roots_of(namespace, "roots", self._chance)))
        place = Place("configmaps", namespace, "roots")
        self._server.apply(place, {"metadata": {"name": "roots"}, "data": {"ca.crt": text}})
        return "ConfigMap written"

    def _delete_config_map(self, namespace: str) -> str:
        self._server.delete(Place("configmaps", namespace, "roots"))
        return "ConfigMap deleted"

    def _toggle(self, plural: str, namespace: str, name: str, kind: str) -> str:
        held = self._server.get(Place(plural, namespace, name))
        suspended = not held["spec"].get("suspended", False)
        did = f"{kind} {'suspended' if suspended else 'resumed'}"
        return self._respec(plural, namespace, name, {**held["spec"], "suspended": suspended}, did)

    def _respec(self, plural: str, namespace: str, name: str, spec: dict[str, Any], did: str) -> str:
        place = Place(plural, namespace, name)
        held = self._server.get(place)
        self._server.replace(place, {**held, "spec": spec})
        return did


def roots_of(namespace: str, name: str, chance: random.Random) -> tuple[str, ...]:
    """Draw the names of one or both of the roots that a TrustedCA, or a ConfigMap, of that name may hold."""
    both = all_roots(namespace, name)
    return chance.choice((both, both[:1], both[1:]))


def all_roots(namespace: str, name: str) -> tuple[str, str]:
    """Return the names of the roots that a TrustedCA, or a ConfigMap, of that name may hold."""
    return f"{namespace}-{name}-a", f"{namespace}-{name}-b"


def _body(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}
