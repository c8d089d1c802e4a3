"""The actions of users on the real API server, and their reports to the reference."""

import base64
import random
import threading
from collections.abc import Callable
from typing import Any

from stationkeeper_core.eui64 import format_hex
from stationkeeper_tools.api_client import ApiClient, RequestError
from tests.perturbation import fleet
from tests.perturbation.fleet import TEAM
from tests.perturbation.plan import Deed
from tests.perturbation.reference import Reference

_GROUP = "stationkeeper.io/v1alpha1"
_KINDS = {"trustedcas": "TrustedCA", "gateways": "Gateway"}
_MISSING = 404


class Users:
    """The users of one stage.

    Args:
        api: the administrator's.
        reference: gets each change.
        lock: held from before a change until the reference has it.
    """

    def __init__(self, api: ApiClient, reference: Reference, lock: threading.RLock) -> None:
        self._api = api
        self._reference = reference
        self._lock = lock
        self._tokens = 0
        self._deeds: dict[str, Callable[[random.Random], None]] = {
            "create CA": self._apply_ca,
            "change CA": self._apply_ca,
            "suspend or resume CA": lambda chance: self._toggle("trustedcas", chance.choice(fleet.CA_NAMES)),
            "delete CA": lambda chance: self._delete("trustedcas", chance.choice(fleet.CA_NAMES)),
            "replace CA": self._replace_ca,
            "create Gateway": self._apply_gateway,
            "change Gateway": self._apply_gateway,
            "suspend or resume Gateway": lambda chance: self._toggle("gateways", chance.choice(list(fleet.EUIS_OF))),
            "delete Gateway": lambda chance: self._delete("gateways", chance.choice(list(fleet.EUIS_OF))),
            "replace Gateway": self._replace_gateway,
            "renew roots": self._renew_roots,
            "renew token": self._renew_token,
        }

    def begin(self) -> None:
        """Create the Secrets that resources name."""
        chance = random.Random(0)  # noqa: S311 - reproducible, not secret
        self._renew_roots(chance)
        self._renew_token(chance)

    def do(self, deed: Deed) -> None:
        """Do one action."""
        chance = random.Random(deed.choice)  # noqa: S311 - reproducible, not secret
        with self._lock:
            self._deeds[deed.what](chance)

    def clear(self) -> None:
        """Delete all resources."""
        with self._lock:
            for plural in _KINDS:
                for name, _ in list(self._reference.present(plural)):
                    self._delete(plural, name)

    def _apply_ca(self, chance: random.Random) -> None:
        name = chance.choice(fleet.CA_NAMES)
        both = fleet.ROOTS_OF[name]
        roots = chance.choice((both, both[:1], both[1:]))
        answer = self._apply("trustedcas", name, fleet.ca_spec(name, roots))
        is_secret = name == fleet.FROM_SECRET
        allows = frozenset[str]() if is_secret else frozenset(roots)
        self._reference.apply(("trustedcas", name), answer, allows, secret=is_secret)

    def _replace_ca(self, chance: random.Random) -> None:
        state = chance.getstate()
        self._delete("trustedcas", chance.choice(fleet.CA_NAMES))
        chance.setstate(state)
        self._apply_ca(chance)

    def _apply_gateway(self, chance: random.Random) -> None:
        name = chance.choice(list(fleet.EUIS_OF))
        eui, port = format_hex(chance.choice(fleet.EUIS_OF[name])), chance.choice((8887, 8888))
        held = self._api.find(self._path("gateways", name))
        # An EUI cannot be changed; a Gateway that is made again may have another one.
        eui = eui if held is None else held["spec"]["eui"]
        answer = self._apply("gateways", name, fleet.gateway_spec(eui, port))
        self._reference.apply(("gateways", name), answer, frozenset((eui,)))

    def _replace_gateway(self, chance: random.Random) -> None:
        state = chance.getstate()
        self._delete("gateways", chance.choice(list(fleet.EUIS_OF)))
        chance.setstate(state)
        self._apply_gateway(chance)

    def _toggle(self, plural: str, name: str) -> None:
        path = self._path(plural, name)
        held = self._api.find(path)
        if held is None:
            return
        suspended = not held["spec"].get("suspended", False)
        answer = self._api.merge(path, {"spec": {"suspended": suspended}})
        spec = answer["spec"]
        if plural == "gateways":
            allows = frozenset[str]() if suspended else frozenset((spec["eui"],))
            self._reference.apply((plural, name), answer, allows)
            return
        of_it = frozenset(each for each in fleet.ROOTS if fleet.pem(each) in spec.get("certificates", ""))
        is_secret = name == fleet.FROM_SECRET and not suspended
        self._reference.apply((plural, name), answer, frozenset() if suspended else of_it, secret=is_secret)

    def _delete(self, plural: str, name: str) -> None:
        try:
            self._api.delete(self._path(plural, name))
        except RequestError as error:
            if error.status != _MISSING:
                raise
            return
        self._reference.delete((plural, name))

    def _renew_roots(self, chance: random.Random) -> None:
        both = fleet.ROOTS_OF[fleet.FROM_SECRET]
        roots = chance.choice((both, both[:1], both[1:]))
        self._secret(fleet.TRUST_SECRET, "trust", fleet.ROOTS_KEY, fleet.pem(*roots))
        self._reference.renew(frozenset(roots))

    def _renew_token(self, _chance: random.Random) -> None:
        self._tokens += 1
        token = f"Bearer token-{self._tokens:06d}"
        self._secret(fleet.TOKEN_SECRET, "credentials", fleet.TOKEN_KEY, token)
        self._reference.token = token

    def _secret(self, name: str, label: str, key: str, text: str) -> None:
        metadata = {"name": name, "labels": {f"stationkeeper.io/{label}": "true"}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
        body["data"] = {key: base64.b64encode(text.encode()).decode()}
        self._api.apply(f"/api/v1/namespaces/{TEAM}/secrets/{name}", body)

    def _apply(self, plural: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": _GROUP, "kind": _KINDS[plural], "metadata": {"name": name}, "spec": spec}
        answer: dict[str, Any] = self._api.apply(self._path(plural, name), body)
        return answer

    def _path(self, plural: str, name: str) -> str:
        return f"/apis/{_GROUP}/namespaces/{TEAM}/{plural}/{name}"
