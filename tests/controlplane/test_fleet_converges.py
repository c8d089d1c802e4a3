"""A fleet of simulated Stations and the whole product: after each change, every gateway gets its configuration."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_root
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.files import MemoryFiles
from stationkeeper_tools.station.runner import ask_once
from stationkeeper_tools.station.state import Server, SetName, StationState
from stationkeeper_tools.station.state_machine import Outcome, Result, Station
from tests.controlplane.demo_process import Demo, gateway, token_secret, trusted_ca
from tests.waiting import EVENTUALLY, wait_for

SIZE = 12

_FIRST = 0xA840_41FF_0000_0001
_LNS, _OTHER_LNS = "wss://lns-1.example.org:8887", "wss://lns-2.example.org:8887"
_NOW = datetime.now(UTC)


class Fleet:
    """Some gateways with certificates of their vendor, all with one default LNS."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.uri = f"https://localhost:{demo.cups_port}"
        self.server_ca = Path(demo.ready["serverCa"]).read_bytes()
        self.vendor = make_root("Fleet vendor", _NOW)
        self.euis = [EUI64(_FIRST + number) for number in range(SIZE)]
        self.stations = [self.station(eui, self.vendor) for eui in self.euis]

    def station(self, eui: EUI64, vendor: KeyPair, files: MemoryFiles | None = None) -> Station:
        pair = make_gateway(format_hex(eui), vendor, _NOW)
        state = StationState(MemoryFiles() if files is None else files)
        state.seed(self.uri, CredentialSet(self.server_ca, pair.certificate_pem, pair.key_pem))
        return Station(eui, state)

    def default(self, uri: str) -> dict[str, Any]:
        trust = self.vendor.certificate_pem.decode()
        auth = {"token": {"secretKeyRef": {"name": "fleet-lns", "key": "token"}}}
        metadata = {"name": "default"}
        spec = {"lns": {"uri": uri, "trust": trust, "auth": auth}}
        api_version = "stationkeeper.io/v1alpha1"
        return {"apiVersion": api_version, "kind": "GatewayDefaults", "metadata": metadata, "spec": spec}

    async def ask(self) -> list[Outcome]:
        outcomes = await asyncio.gather(*(ask_once(each) for each in self.stations))
        assert {each.result for each in outcomes} == {Result.ANSWERED}
        return outcomes

    async def converges(self, holds: Callable[[Station], bool]) -> None:
        """Ask as a fleet does until each gateway has its configuration; later answers change nothing."""
        deadline = time.monotonic() + EVENTUALLY
        while not all(holds(each) for each in self.stations):
            assert time.monotonic() < deadline, f"{sum(map(holds, self.stations))} of {SIZE} converged"
            await self.ask()
        assert not any(each.restarts_lns or each.reconnects for each in await self.ask())


def _has_lns(uri: str, token: str) -> Callable[[Station], bool]:
    def holds(station: Station) -> bool:
        held = station.state.credentials(Server.LNS, SetName.REGULAR)
        return (station.state.uri(Server.LNS, SetName.REGULAR), held.key) == (
            uri.encode(),
            f"Authorization: {token}\r\n".encode(),
        )

    return holds


@pytest.fixture(scope="module")
def demo(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(kubectl, tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(demo: Demo) -> Fleet:
    made = Fleet(demo)
    demo.apply(
        trusted_ca("fleet-vendor", certificates=made.vendor.certificate_pem.decode()),
        token_secret("fleet-lns", "Bearer FIRST"),
        made.default(_LNS),
        *(_gateway(eui) for eui in made.euis),
    )
    return made


def _gateway(eui: EUI64, **spec: Any) -> dict[str, Any]:
    document = gateway(_name(eui), format_hex(eui), {}, **spec)
    del document["spec"]["lns"]
    return document


def _name(eui: EUI64) -> str:
    return f"fleet-{format_hex(eui).lower()}"


async def test_a_fleet_converges_after_each_change(demo: Demo, fleet: Fleet) -> None:
    wait_for(lambda: all(_is_ready(demo, eui) for eui in fleet.euis), "the fleet is registered")
    await fleet.converges(_has_lns(_LNS, "Bearer FIRST"))

    wait_for(lambda: _deliveries(demo, fleet.euis) == {"Delivered"}, "every delivery is reported")

    demo.apply(fleet.default(_OTHER_LNS))
    wait_for(lambda: _deliveries(demo, fleet.euis) == {"Pending"}, "nobody is said to have it yet")
    await fleet.converges(_has_lns(_OTHER_LNS, "Bearer FIRST"))

    demo.apply(token_secret("fleet-lns", "Bearer SECOND"))
    await fleet.converges(_has_lns(_OTHER_LNS, "Bearer SECOND"))

    successor = make_root("Fleet vendor's successor", _NOW)
    pairs = {eui: make_gateway(format_hex(eui), successor, _NOW) for eui in fleet.euis}
    demo.apply(
        trusted_ca("fleet-successor", certificates=successor.certificate_pem.decode()),
        *(_tls_secret(eui, pair) for eui, pair in pairs.items()),
        *(_gateway(eui, cups=_cups(fleet, eui)) for eui in fleet.euis),
    )
    await fleet.converges(lambda station: _has_certificate(station, pairs[station.eui]))

    demo.delete("trustedca", "fleet-vendor")
    # Ask as a new gateway each time: a gateway that is answered before the removal is in force gets the successor's
    # certificate.
    await _until_refused(lambda: fleet.station(fleet.euis[0], fleet.vendor))
    await fleet.converges(_has_lns(_OTHER_LNS, "Bearer SECOND"))
    wait_for(lambda: _deliveries(demo, fleet.euis) == {"Delivered"}, "every delivery is reported")


async def test_a_gateway_that_forgets_its_configuration_is_reported_as_not_converging(demo: Demo, fleet: Fleet) -> None:
    eui, vendor = EUI64(_FIRST + SIZE), make_root("Vendor of forgetful gateways", _NOW)
    demo.apply(trusted_ca("forgetful", certificates=vendor.certificate_pem.decode()), _gateway(eui))
    wait_for(lambda: _is_ready(demo, eui), "it is registered")
    files = MemoryFiles()
    forgetful = fleet.station(eui, vendor, files)
    as_delivered = dict(files)

    told = []
    for _ in range(6):
        outcome = await ask_once(forgetful)
        told.append(outcome.restarts_lns)
        files.clear()
        files.update(as_delivered)

    assert all(told), "it has no LNS, so that it is told each time"
    wait_for(lambda: _deliveries(demo, [eui]) == {"NotConverging"}, "its status says so")
    wait_for(lambda: "NotConverging" in _events(demo, eui), "an event says so")


def _cups(fleet: Fleet, eui: EUI64) -> dict[str, Any]:
    auth = {"clientCertificate": {"secretRef": {"name": _name(eui)}}}
    return {"uri": fleet.uri, "trust": fleet.server_ca.decode(), "auth": auth}


def _tls_secret(eui: EUI64, pair: KeyPair) -> dict[str, Any]:
    labels = {"stationkeeper.io/credentials": "true"}
    data = {"tls.crt": pair.certificate_pem.decode(), "tls.key": pair.key_pem.decode()}
    metadata = {"name": _name(eui), "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "stringData": data}


def _has_certificate(station: Station, pair: KeyPair) -> bool:
    held = station.state.credentials(Server.CUPS, SetName.REGULAR)
    return held.certificate == pair.x509.public_bytes(Encoding.DER)


async def _until_refused(station: Callable[[], Station]) -> None:
    deadline = time.monotonic() + EVENTUALLY
    while (await ask_once(station())).result is Result.ANSWERED:
        assert time.monotonic() < deadline, "a certificate of the removed CA still opens"


def _is_ready(demo: Demo, eui: EUI64) -> bool:
    return demo.condition("gateway", _name(eui), "Ready")[0] == "True"


def _deliveries(demo: Demo, euis: Iterable[EUI64]) -> set[str]:
    found = demo.resources("gateway")
    return {found[_name(eui)].get("status", {}).get("delivery", {}).get("state", "") for eui in euis}


def _events(demo: Demo, eui: EUI64) -> str:
    field = f"involvedObject.name={_name(eui)}"
    return demo.kubectl("get", "events", "--field-selector", field, "-o", "jsonpath={.items[*].reason}").stdout
