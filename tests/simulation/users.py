"""The users in a run: they apply, change and delete resources, a few seconds apart, or several at once."""

import asyncio
import base64
import contextlib
import random
from collections.abc import Callable
from typing import Any

from tests.simulation import fleet
from tests.simulation.api_server import ApiServer, Place, RefusedError

NAMES = ("one", "two")
GATEWAYS = tuple(f"gateway-{number}" for number in range(3))
BYSTANDER = "bystander"
BYSTANDER_EUI = "AA000000000000FF"
SHARED_EUI = "AA000000000000EE"
"""The EUIs that both namespaces use."""
_MOST_SECONDS = 6.0


def euis(namespace: str) -> tuple[str, ...]:
    """Return the EUIs that a namespace uses."""
    digit = fleet.NAMESPACES.index(namespace) + 1
    return (*(f"AA0000000000{digit}00{number}" for number in range(3)), SHARED_EUI)


class Users:
    """The users of one run.

    Args:
        server: the API server.
        chance: draws their actions.
        did: called with the name of each action.
        is_left_out: returns whether the next action is left out.
    """

    def __init__(
        self,
        server: ApiServer,
        chance: random.Random,
        did: Callable[[str], None],
        is_left_out: Callable[[], bool] = lambda: False,
    ) -> None:
        self._server = server
        self._chance = chance
        self._did = did
        self._is_left_out = is_left_out
        deeds: dict[Callable[[str], str], int] = {
            self._apply_ca: 2,
            self._delete_ca: 1,
            self._change_ca: 2,
            self._suspend_ca: 2,
            self._flap_ca: 1,
            self._replace_ca: 1,
            self._apply_gateway: 2,
            self._delete_gateway: 1,
            self._replace_gateway: 1,
            self._suspend_gateway: 1,
            self._change_eui: 1,
            self._change_tokens: 1,
            self._write_config_map: 1,
            self._delete_config_map: 1,
            self._write_tokens: 1,
            self._delete_tokens: 1,
        }
        self._deeds = [deed for deed, weight in deeds.items() for _ in range(weight)]
        # In half of the runs all that is done is done to a few resources.
        self._namespaces = chance.choice((fleet.NAMESPACES, fleet.NAMESPACES[:1]))
        self._names = chance.choice((NAMES, NAMES[:1]))
        self._gateways = chance.choice((GATEWAYS, GATEWAYS[:1]))
        self._pace = chance.choice((0.5, 1.0, 1.0, 2.0))

    def begin(self) -> None:
        """Create the first resources, also the bystander, which nobody changes."""
        self._server.create(Place("trustedcas", BYSTANDER), _body(BYSTANDER, fleet.trusted_ca("bystander-root")))
        self._server.create(Place("gateways", BYSTANDER), _body(BYSTANDER, fleet.gateway(BYSTANDER_EUI)))
        for namespace in fleet.NAMESPACES:
            self._write_config_map(namespace)
            self._write_tokens(namespace)
            self._apply_ca(namespace)
            self._apply_gateway(namespace)

    async def run(self, seconds: float) -> None:
        """Act for some time."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while loop.time() < ends:
            pause = self._chance.expovariate(1.0) * self._chance.choice((0.05, 1.0, _MOST_SECONDS))
            await asyncio.sleep(pause / self._pace)
            self.act()

    def act(self) -> None:
        """Do one action. A left out action draws the same random numbers, so that the others do not change."""
        chance, self._chance = self._chance, random.Random(self._chance.getrandbits(64))  # noqa: S311 - reproducible
        try:
            if not self._is_left_out():
                self._act()
        finally:
            self._chance = chance

    def _act(self) -> None:
        deed, namespace = self._chance.choice(self._deeds), self._chance.choice(self._namespaces)
        # It is there already, or not there: a user sees an error, and nothing changes.
        with contextlib.suppress(RefusedError):
            self._did(deed(namespace))

    def _ca(self, namespace: str) -> Place:
        return Place("trustedcas", namespace, self._chance.choice(self._names))

    def _gateway(self, namespace: str) -> Place:
        return Place("gateways", namespace, self._chance.choice(self._gateways))

    def _spec(self, place: Place) -> dict[str, Any]:
        if self._chance.random() < 0.3:
            return fleet.trusted_ca_from("roots")
        roots = roots_of(place.namespace, place.name, self._chance)
        revocation: dict[str, Any] = self._chance.choice(
            ({}, {}, {"serials": [fleet.SERIAL]}, {"crl": fleet.crl(roots[0])})
        )
        return fleet.trusted_ca(*roots, **({"revocation": revocation} if revocation else {}))

    def _create(self, place: Place, spec: dict[str, Any]) -> None:
        self._server.create(Place(place.plural, place.namespace), _body(place.name, spec))

    def _apply_ca(self, namespace: str) -> str:
        place = self._ca(namespace)
        self._create(place, self._spec(place))
        return "TrustedCA created"

    def _delete_ca(self, namespace: str) -> str:
        self._server.delete(self._ca(namespace))
        return "TrustedCA deleted"

    def _replace_ca(self, namespace: str) -> str:
        """Delete and create in one moment: another resource of the same name."""
        place = self._ca(namespace)
        self._server.delete(place)
        self._create(place, self._spec(place))
        return "TrustedCA made again"

    def _change_ca(self, namespace: str) -> str:
        place = self._ca(namespace)
        return self._respec(place, self._spec(place), "TrustedCA changed")

    def _suspend_ca(self, namespace: str) -> str:
        return self._toggle(self._ca(namespace), "TrustedCA")

    def _flap_ca(self, namespace: str) -> str:
        """Allow and remove, or the other way round, before anything can react."""
        place = self._ca(namespace)
        for _ in range(self._chance.choice((2, 3))):
            self._toggle(place, "TrustedCA")
        return "TrustedCA suspended and resumed"

    def _gateway_spec(self, place: Place, eui: str) -> dict[str, Any]:
        if self._chance.random() < 0.5:
            return fleet.gateway(eui)
        return fleet.gateway(eui, client={"tokens": [{"secretKeyRef": {"name": "tokens", "key": place.name}}]})

    def _apply_gateway(self, namespace: str) -> str:
        place = self._gateway(namespace)
        self._create(place, self._gateway_spec(place, self._eui(place)))
        return "Gateway created"

    def _delete_gateway(self, namespace: str) -> str:
        self._server.delete(self._gateway(namespace))
        return "Gateway deleted"

    def _replace_gateway(self, namespace: str) -> str:
        place = self._gateway(namespace)
        self._server.delete(place)
        self._create(place, self._gateway_spec(place, self._eui(place)))
        return "Gateway made again"

    def _suspend_gateway(self, namespace: str) -> str:
        return self._toggle(self._gateway(namespace), "Gateway")

    def _change_eui(self, namespace: str) -> str:
        place = self._gateway(namespace)
        spec = self._server.get(place)["spec"]
        return self._respec(place, {**spec, "eui": self._chance.choice(euis(namespace))}, "Gateway given another EUI")

    def _change_tokens(self, namespace: str) -> str:
        place = self._gateway(namespace)
        spec = self._server.get(place)["spec"]
        return self._respec(place, self._gateway_spec(place, spec["eui"]), "Gateway given other tokens")

    def _eui(self, place: Place) -> str:
        """Return the EUI of that Gateway; sometimes another one, which another Gateway may have."""
        every = euis(place.namespace)
        return self._chance.choice(every) if self._chance.random() < 0.2 else every[GATEWAYS.index(place.name)]

    def _write_config_map(self, namespace: str) -> str:
        text = "".join(map(fleet.pem, roots_of(namespace, "roots", self._chance)))
        place = Place("configmaps", namespace, "roots")
        self._server.apply(place, {"metadata": {"name": "roots"}, "data": {"ca.crt": text}})
        return "ConfigMap written"

    def _delete_config_map(self, namespace: str) -> str:
        self._server.delete(Place("configmaps", namespace, "roots"))
        return "ConfigMap deleted"

    def _write_tokens(self, namespace: str) -> str:
        drawn = {name: self._chance.choice(tokens(namespace)) for name in GATEWAYS}
        data = {name: base64.b64encode(token.encode()).decode() for name, token in drawn.items()}
        metadata = {"name": "tokens", "labels": {"stationkeeper.io/credentials": "true"}}
        self._server.apply(Place("secrets", namespace, "tokens"), {"metadata": metadata, "data": data})
        return "tokens written"

    def _delete_tokens(self, namespace: str) -> str:
        self._server.delete(Place("secrets", namespace, "tokens"))
        return "tokens deleted"

    def _toggle(self, place: Place, kind: str) -> str:
        held = self._server.get(place)
        suspended = not held["spec"].get("suspended", False)
        did = f"{kind} {'suspended' if suspended else 'resumed'}"
        return self._respec(place, {**held["spec"], "suspended": suspended}, did)

    def _respec(self, place: Place, spec: dict[str, Any], did: str) -> str:
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


def tokens(namespace: str) -> tuple[str, str]:
    """Return the tokens that the Gateways of a namespace have."""
    return f"Bearer {namespace}-first-token-of-the-simulation", f"Bearer {namespace}-other-token-of-the-simulation"


def _body(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}
