"""The certificates of a stage, and the specs that users write; made once, because RSA keys take time."""

from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.gateway_client import Identity
from stationkeeper_tools.sample_pki import make_gateway
from tests.controlplane.operator_resources import TOKEN, gateway, root

RELEASE, TEAM, CALM = "stationkeeper", "team", "calm"
CA_NAMES = ("one", "two", "three")
FROM_SECRET = "three"
"""The TrustedCA whose roots are in a Secret."""
ROOTS_OF = {name: (f"{name}-a", f"{name}-b") for name in CA_NAMES}
ROOTS = tuple(each for both in ROOTS_OF.values() for each in both)
EUIS_OF = {
    "roof": (EUI64(0xA840_4100_0000_0001),),
    "mast": (EUI64(0xA840_4100_0000_0002), EUI64(0xA840_4100_0000_0003)),
}
EUIS = tuple(each for some in EUIS_OF.values() for each in some)
BYSTANDER, BYSTANDER_EUI = "bystander", EUI64(0xA840_4100_0000_00FF)
TRUST_SECRET, TOKEN_SECRET = "roots", "lns-token"
TOKEN_KEY, ROOTS_KEY = "token", "ca.crt"


def pem(*roots: str) -> str:
    """Return those roots as PEM."""
    return "".join(root(each).certificate_pem.decode() for each in roots)


def ca_spec(name: str, roots: tuple[str, ...]) -> dict[str, Any]:
    """Return the spec of a TrustedCA; `roots` does not matter for the one whose roots are in a Secret."""
    if name == FROM_SECRET:
        found: dict[str, Any] = {"certificatesFrom": {"secretKeyRef": {"name": TRUST_SECRET, "key": ROOTS_KEY}}}
    else:
        found = {"certificates": pem(*roots)}
    return found | {"suspended": False}


def gateway_spec(eui: str, port: int) -> dict[str, Any]:
    """Return the spec of a Gateway with the port of its LNS and the token in the Secret."""
    lns = {"uri": f"wss://lns.example.com:{port}", "auth": {"token": TOKEN}}
    return gateway(eui, lns=lns, suspended=False)


class Identities:
    """The certificates of gateways: one for each root and EUI.

    Args:
        folder: for files.
        server_ca: a PEM file that verifies CUPS.
    """

    def __init__(self, folder: Path, server_ca: Path) -> None:
        self._folder = folder
        self._server_ca = server_ca
        folder.mkdir()
        pairs = (*product(ROOTS, EUIS), (BYSTANDER, BYSTANDER_EUI))
        self._known = {pair: self._make(*pair) for pair in pairs}

    def of(self, name: str, eui: EUI64) -> Identity:
        """Return the certificate of a gateway with an EUI, from a root."""
        return self._known[name, eui]

    def _make(self, name: str, eui: EUI64) -> Identity:
        pair = _gateway(name, eui)
        certificate, key = pair.write(self._folder, f"{name}-{format_hex(eui)}")
        return Identity(certificate, key, self._server_ca)


@cache
def _gateway(name: str, eui: EUI64) -> Any:
    return make_gateway(format_hex(eui), root(name), datetime.now(UTC))
