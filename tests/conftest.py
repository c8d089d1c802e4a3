"""For all tests: one real control plane a session, and settings of hypothesis.

The programs are obtained after collection, outside any test's time limit, since that can take minutes the first time.
What a property test finds does not depend on how busy the machine is; in CI it tries the same examples every time, so
that a change is judged by what it changed, and people's own runs go on to explore.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from stationkeeper_tools.binaries import (
    ControlPlaneBinaries,
    Surroundings,
    find_helm,
    find_kubectl,
    obtain_control_plane,
)
from stationkeeper_tools.control_plane import ControlPlane
from stationkeeper_tools.progress import Progress

settings.register_profile("stationkeeper", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("stationkeeper")

OBTAINED: Mapping[str, Callable[[Surroundings, Progress], object]] = {
    "control_plane_binaries": obtain_control_plane,
    "kubectl": find_kubectl,
    "helm": find_helm,
}
FAILURES = pytest.StashKey[dict[str, Exception]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Obtains what the fixtures of the collected tests need, and tells the terminal of it."""
    failures = session.config.stash.setdefault(FAILURES, {})
    if session.config.option.collectonly:
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    progress = Progress(terminal.write_line) if terminal else Progress()
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for name in OBTAINED.keys() & needed:
        try:
            OBTAINED[name](Surroundings.of_this_process(), progress)
        except Exception as error:
            failures[name] = error


def raise_if_failed(config: pytest.Config, name: str) -> None:
    if failure := config.stash[FAILURES].get(name):
        raise failure


@pytest.fixture(scope="session")
def control_plane_binaries(pytestconfig: pytest.Config) -> ControlPlaneBinaries:
    raise_if_failed(pytestconfig, "control_plane_binaries")
    return obtain_control_plane(Surroundings.of_this_process(), Progress())


@pytest.fixture(scope="session")
def kubectl(pytestconfig: pytest.Config) -> Path:
    """The program."""
    raise_if_failed(pytestconfig, "kubectl")
    return find_kubectl(Surroundings.of_this_process(), Progress())


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config) -> Path:
    """The program."""
    raise_if_failed(pytestconfig, "helm")
    return find_helm(Surroundings.of_this_process(), Progress())


@pytest.fixture(scope="session")
def control_plane(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A running one, shared: tests work in namespaces of their own, and leave the API server running."""
    with ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("control-plane")) as running:
        yield running
