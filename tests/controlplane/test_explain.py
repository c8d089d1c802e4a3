"""`stationkeeper explain` of a running release gives the decision of its CUPS server, and the facts of the statuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.eui64 import EUI64, format_id6
from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.controlplane.demo_process import Demo
from tests.tools.command_line import Done, stationkeeper
from tests.tools.manifest_files import gateway, resource, root, trusted_ca
from tests.tools.test_explain import NOW
from tests.waiting import wait_for

EUI = "A840410000000099"
ROUTER = format_id6(EUI64(int(EUI, 16)))


@pytest.fixture(scope="module")
def demo(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(kubectl, tmp_path_factory.mktemp("demo")) as running:
        yield running


class Person:
    """A person who asks about the gateway as the operator, and asks CUPS as the gateway."""

    def __init__(self, demo: Demo, folder: Path, pair: KeyPair) -> None:
        self.demo = demo
        self.files = pair.write(folder, "gateway")

    def apply(self, *objects: dict[str, Any]) -> None:
        namespace = self.demo.ready["namespace"]
        self.demo.apply(*({**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in objects))

    def explain(self, *options: str) -> Done:
        place = ("--kubeconfig", self.demo.ready["kubeconfig"], "--release-namespace", self.demo.ready["namespace"])
        return stationkeeper("explain", EUI, *place, "--output", "json", *options)

    def by_certificate(self) -> str:
        """Return the decision of `explain` on the certificate: `200`, or the reason."""
        return str(self.explain("--cert", str(self.files[0])).json["reason"] or "200")

    def asks(self) -> str:
        """Return CUPS' answer to the gateway."""
        return self.demo.curl(*self.files, f'{{"router":"{ROUTER}"}}').outcome

    def both_say(self, reason: str) -> None:
        said: list[tuple[str, str]] = []

        def agree() -> bool:
            explained = self.by_certificate()
            said.append((self.asks(), explained))
            return said[-1] == (reason, reason)

        try:
            wait_for(agree, reason)
        except AssertionError:
            raise AssertionError(f"CUPS and explain say {said[-1]}, not {reason}") from None


@pytest.fixture
def person(demo: Demo, tmp_path: Path) -> Iterator[Person]:
    yield Person(demo, tmp_path, make_gateway(EUI, root("vendor"), NOW))
    demo.delete("gateway", "explained")
    demo.delete("trustedca", "vendor")


def test_it_says_what_cups_does_and_when_it_was_asked(person: Person) -> None:
    person.apply(trusted_ca(), gateway("explained", EUI))
    person.both_say("200")
    wait_for(lambda: "lastSeen" in person.explain().json["gateways"][0], "the visit is told")

    person.apply(gateway("explained", EUI, suspended=True))
    person.both_say("GatewaySuspended")
    wait_for(lambda: "lastRefusal" in person.explain().json["gateways"][0], "the refusal is told")
    done = person.explain()
    assert (done.returncode, done.json["reason"]) == (1, "GatewaySuspended")
    assert done.json["gateways"][0]["lastRefusal"]["reason"] == "GatewaySuspended"

    person.apply(gateway("explained", EUI), trusted_ca(euiRanges=["FF00000000000000/8"]))
    person.both_say("EUIOutOfRange")


def test_a_gateway_that_is_not_accepted_is_reported_with_its_reason(person: Person) -> None:
    lns = {"uri": "wss://lns.example.org:8887"}
    person.apply(trusted_ca(), resource("Gateway", "explained", {"eui": EUI, "lns": lns}))

    wait_for(lambda: "TrustMissing" in person.explain().json["next"], "the reason is told")
    assert person.explain().json["reason"] == "GatewayNotRegistered"


def test_a_release_that_is_not_there_is_reported(person: Person) -> None:
    options = ("--kubeconfig", person.demo.ready["kubeconfig"], "--release-namespace", "elsewhere")
    done = stationkeeper("explain", EUI, *options, "--output", "json")

    assert (done.returncode, done.json["error"]["reason"]) == (3, "ClusterRefused")
    assert "--release-namespace" in done.json["error"]["message"]
