"""Tokens of gateways on a real API server: registered, rotated, and removed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import RequestError
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway
from tests.waiting import wait_for

EUI = "00000000000000A1"
OLD, NEW = "Bearer old-0123456789abcdef", "Bearer new-0123456789abcdef"


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("tokens")
        yield made


def spec(*names: str, **more: Any) -> dict[str, Any]:
    tokens = [{"secretKeyRef": {"name": name, "key": "token"}} for name in names]
    return gateway(EUI, **({"client": {"tokens": tokens}} if names else {}), **more)


def test_tokens_are_registered_rotated_and_removed(cluster: Release) -> None:
    def wait_for_tokens(*tokens: str) -> None:
        expected = {hashlib.sha256(each.encode()).hexdigest() for each in tokens}
        found = cluster.registered
        wait_for(
            lambda: "roof" in found() and set(found()["roof"].token_sha256s) == expected,
            f"{len(tokens)} tokens are registered",
        )

    cluster.apply("Gateway", "roof", spec("old"))
    cluster.wait_reason("Gateway", "roof", "ReferenceNotFound")
    cluster.apply_secret("old", {"token": OLD})
    wait_for_tokens(OLD)
    cluster.apply_secret("new", {"token": "Bearer short"})
    cluster.apply("Gateway", "roof", spec("old", "new"))
    cluster.wait_reason("Gateway", "roof", "TokenTooShort")
    wait_for_tokens(OLD)
    cluster.apply_secret("new", {"token": NEW})
    wait_for_tokens(OLD, NEW)
    cluster.delete_secret("old")
    cluster.wait_reason("Gateway", "roof", "ReferenceNotFound")
    wait_for_tokens(OLD, NEW)
    cluster.apply("Gateway", "roof", spec("new"))
    wait_for_tokens(NEW)
    cluster.wait_reason("Gateway", "roof", "Accepted")
    cluster.apply("Gateway", "roof", spec("new", lns={"trust": "slip"}))
    cluster.wait_reason("Gateway", "roof", "NoCertificate")
    wait_for_tokens(NEW)
    cluster.apply("Gateway", "roof", spec(lns={"trust": "slip"}))
    wait_for_tokens()


def test_more_tokens_than_can_be_compared_are_refused_at_apply(cluster: Release) -> None:
    with pytest.raises(RequestError, match="at most 4"):
        cluster.apply("Gateway", "many", spec("a", "b", "c", "d", "e"))
