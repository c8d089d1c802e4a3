"""Faults on a real API server: after them, the state converges, and removed trust stays removed."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS, TRUST, Published, TrustDocument, encode, encode_payload
from tests.controlplane.behind_proxy import proxy_of, start_behind
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.perturbation.plan import Kind, Perturbation, Plan
from tests.waiting import wait_for

FLEET, PASSED = 64, 5


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Any) -> Path:
    path: Path = control_plane.admin_kubeconfig
    install_crds(path)
    return path


@pytest.fixture
def cluster(kubeconfig: Path, tmp_path: Path) -> Iterator[Release]:
    with release(kubeconfig, tmp_path) as made:
        yield made


def trust_two(cluster: Release) -> None:
    for name in ("kept", "dropped"):
        cluster.apply("TrustedCA", name, trusted_ca(name))
    cluster.wait_ready("TrustedCA/kept", "TrustedCA/dropped")


def drop(cluster: Release) -> None:
    cluster.delete("TrustedCA", "dropped")
    wait_for(lambda: cluster.trusted() == {f"{cluster.team}/kept"}, "what was removed is gone")


def published_by(operator: OperatorProcess) -> list[str]:
    return [document for document, _ in written_by(operator)]


def written_by(operator: OperatorProcess) -> list[tuple[str, int]]:
    """Return the documents that it wrote, with their generations."""
    return [(line["document"], line["generation"]) for line in operator.lines() if line["event"] == "published"]


def test_a_follower_that_has_not_seen_a_removal_yet_does_not_undo_it_as_it_takes_over(cluster: Release) -> None:
    first = cluster.start_leading("first")
    trust_two(cluster)
    second = cluster.start("second")
    wait_for(lambda: second.answers("/readyz") == 200, "the follower has listed")
    second.pause()
    drop(cluster)
    first.terminate()
    second.resume()
    wait_for(lambda: cluster.holder() == "second", "the follower took over")
    cluster.apply("Gateway", "proof", gateway("00000000000000A1"))
    cluster.wait_ready("Gateway/proof")
    assert TRUST not in published_by(second)
    assert cluster.trusted() == {f"{cluster.team}/kept"}


def test_a_leader_that_wakes_up_after_its_lease_expired_overwrites_nothing(cluster: Release) -> None:
    first = cluster.start_leading("first")
    trust_two(cluster)
    apply_fleet(cluster, suspended=False)
    second = cluster.start("second")
    wait_for(lambda: second.answers("/readyz") == 200, "the follower has listed")
    # The work that waits for the first leader. When it wakes up, all of this work is out of date.
    for number in range(FLEET):
        cluster.apply("Gateway", f"waiting-{number}", gateway(f"{number + 0xA0000:016X}"))
    first.pause()
    for number in range(FLEET):
        cluster.delete("Gateway", f"waiting-{number}")
    cluster.delete("TrustedCA", "dropped")
    cluster.delete("Gateway", "gw-0")
    apply_fleet(cluster, suspended=True, begin=1)
    wait_for(lambda: cluster.holder() == "second", "the follower took over")
    wait_for(lambda: has_converged(cluster, suspended=True, size=FLEET - 1), "the follower works")
    held = generations(cluster)
    first.resume()
    wait_for(lambda: any(line["event"] == "no longer leading" for line in first.lines()), "the first one stands back")
    cluster.apply("TrustedCA", "proof", trusted_ca("proof"))
    cluster.wait_ready("TrustedCA/proof")
    # It may log now what it wrote just before it was paused; that is what the second one began with.
    assert [each for each in written_by(first) if each[1] > held[each[0]]] == []
    assert {**generations(cluster), TRUST: 0} == {**held, TRUST: 0}
    assert cluster.holder() == "second"


def generation(cluster: Release, document: str) -> int:
    found = cluster.published(document)
    return 0 if found is None else found.header.generation


def encoded(found: Published, generation: int) -> bytes:
    return encode(TRUST, generation, encode_payload(found.content))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda found: encoded(found, found.header.generation)[:-20], id="truncated"),
        pytest.param(lambda found: encoded(found, found.header.generation)[::-1], id="reordered"),
        pytest.param(lambda found: encoded(found, 1), id="replayed"),
        pytest.param(lambda found: b"", id="emptied"),
    ],
)
def test_a_spoilt_secret_is_repaired_and_brings_back_nothing(
    cluster: Release, spoil: Callable[[Published], bytes]
) -> None:
    cluster.start_leading()
    trust_two(cluster)
    old = cluster.published(TRUST)
    assert old is not None
    assert isinstance(old.content, TrustDocument)
    drop(cluster)
    before = generation(cluster, TRUST)
    cluster.overwrite_document(TRUST, spoil(old))
    wait_for(lambda: generation(cluster, TRUST) > before, "it is repaired")
    assert cluster.trusted() == {f"{cluster.team}/kept"}


class HeldBack(Plan):
    """Lets the marks of a new leader pass, one for each Secret, and some of its writes after them; holds the others."""

    def __init__(self) -> None:
        super().__init__(0, 0.0)
        self.kills = {}

    def draw(self, traffic: str, number: int, kinds: Collection[Kind]) -> Perturbation | None:
        is_it = traffic == "PATCH secrets" and number > len(DOCUMENTS) + PASSED
        return Perturbation(Kind.DELAYED, 600.0, 0.0) if is_it else None


def test_the_next_operator_continues_after_a_kill_between_two_writes(
    cluster: Release, control_plane: Any, tmp_path: Path
) -> None:
    settled = cluster.start_leading()
    for name in ("kept", "dropped"):
        cluster.apply("TrustedCA", name, trusted_ca(name))
    apply_fleet(cluster, suspended=False)
    cluster.wait_ready("TrustedCA/dropped")
    wait_for(lambda: has_converged(cluster, "dropped", suspended=False), "all is published")
    settled.terminate()
    cluster.delete("TrustedCA", "dropped")
    apply_fleet(cluster, suspended=True)

    # All documents are out of date now, and the operator that writes them is killed when some are written.
    before, contents = generations(cluster), cluster.secret_contents()
    with proxy_of(control_plane, tmp_path) as proxy:
        proxy.begin(HeldBack())
        writing = start_behind(proxy, cluster, tmp_path)
        wait_for(lambda: len(changed_since(cluster, contents)) == PASSED, "some are written")
        writing.kill()
    cluster.give_up_lease()
    assert sum(value > before[each] for each, value in generations(cluster).items()) == PASSED

    cluster.start()
    wait_for(lambda: has_converged(cluster, suspended=True), "it converges")
    after = generations(cluster)
    assert all(after[each] > before[each] for each in DOCUMENTS)


def changed_since(cluster: Release, contents: dict[str, Any]) -> list[str]:
    """Return the Secrets that have another content than they had; a mark changes none."""
    return [name for name, found in cluster.secret_contents().items() if found != contents[name]]


def apply_fleet(cluster: Release, *, suspended: bool, begin: int = 0) -> None:
    """Apply Gateways in every bucket."""
    for number in range(begin, FLEET):
        cluster.apply("Gateway", f"gw-{number}", gateway(f"{number:016X}", suspended=suspended))


def has_converged(cluster: Release, *others: str, suspended: bool, size: int = FLEET) -> bool:
    gateways = cluster.registered().values()
    trusted = {f"{cluster.team}/{each}" for each in ("kept", *others)}
    return (
        cluster.trusted() == trusted and len(gateways) == size and all(each.suspended == suspended for each in gateways)
    )


def generations(cluster: Release) -> dict[str, int]:
    return {document: generation(cluster, document) for document in DOCUMENTS}


def test_a_removal_overtakes_a_flood_of_edits(cluster: Release) -> None:
    operator = cluster.start_leading()
    trust_two(cluster)
    for number in range(300):
        cluster.apply("Gateway", f"gw-{number}", gateway(f"{number:016X}"))
    begun = len(published_by(operator))
    drop(cluster)
    wait_for(lambda: TRUST in published_by(operator)[begun:], "the log tells of it")
    wait_for(lambda: len(cluster.registered()) == 300, "the flood is worked off")


def test_a_ca_removed_right_after_an_outage_is_removed(cluster: Release, control_plane: Any) -> None:
    cluster.start_leading()
    trust_two(cluster)
    control_plane.stop_api_server()
    control_plane.start_api_server()
    drop(cluster)
