"""For all tests: one real control plane a process, layers as markers, and settings of hypothesis.

The programs are obtained after collection, outside any test's time limit, since that can take minutes the first time.
What a property test finds does not depend on how busy the machine is; in CI it tries the same examples every time, so
that a change is judged by what it changed, and people's own runs go on to explore. `--hypothesis-profile=fast` tries a
tenth of the examples.
"""

import fcntl
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stationkeeper_tools import sample_pki
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import (
    ControlPlaneBinaries,
    ProgramPlaces,
    find_helm,
    find_kubectl,
    obtain_control_plane,
)
from stationkeeper_tools.progress import Progress
from tests.examples import DEFAULT, FAST
from tests.sample_keys import SampleKeys

# No time limits for an example or for making it: a busy machine may be slow.
COMMON = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.register_profile("stationkeeper", COMMON, max_examples=DEFAULT)
settings.register_profile("fast", COMMON, max_examples=FAST)
settings.load_profile("stationkeeper")
pytest.MonkeyPatch().setattr(sample_pki, "_rsa_key", SampleKeys())

TESTS = Path(__file__).parent
LAYERS = sorted(folder.name for folder in TESTS.iterdir() if any(folder.glob("**/test_*.py")))
OBTAINED: Mapping[str, Callable[[ProgramPlaces, Progress], object]] = {
    "control_plane_binaries": obtain_control_plane,
    "kubectl": find_kubectl,
    "helm": find_helm,
}
OBJECTS_BETWEEN_COLLECTIONS = 20_000
LONGEST = ("simulation", "controlplane", "pages", "browser")
"""The layers with the longest files."""
GARBAGE = ("GOGC", "400")
"""Programs in Go (helm, kubectl, API servers) collect garbage less often: a run of helm takes a quarter less CPU."""
FAILURES = pytest.StashKey[dict[str, Exception]]()
SHARED = pytest.StashKey[ControlPlane]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare a marker for each layer of tests, which is a folder of `tests/`."""
    for folder in LAYERS:
        config.addinivalue_line("markers", f"{folder}: the tests in tests/{folder}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude tests and modules, which stay until the end, from garbage collections, and collect less often.

    A test makes thousands of objects, and collecting after each 700 took a fiftieth of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its layer; if several processes share the tests, begin with the longest ones.

    A test that needs a program of another project is slow: each run of it takes a good part of a second. The files
    without a slow test come last, so that all processes end at about the same time.
    """
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])
        if OBTAINED.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: [*(layer not in item.path.parts for layer in LONGEST), item.path not in long])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Obtain the programs for the fixtures of the collected tests, and report that on the terminal."""
    failures = session.config.stash.setdefault(FAILURES, {})
    if session.config.option.collectonly:
        return
    needed = OBTAINED.keys() & {name for item in session.items for name in getattr(item, "fixturenames", ())}
    progress = Progress(partial(say, session.config))
    with one_process_at_a_time():
        for name in needed:
            try:
                OBTAINED[name](ProgramPlaces.of_this_process(), progress)
            except Exception as error:
                failures[name] = error
    # Only now: a build of these programs would take several times the memory.
    os.environ.setdefault(*GARBAGE)


def say(config: pytest.Config, line: str) -> None:
    """Print a line, also from a process of pytest-xdist, which has no terminal reporter."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        sys.stderr.write(f"{line}\n")


@contextmanager
def one_process_at_a_time() -> Iterator[None]:
    """Let one process of a run obtain the programs; the others wait for it."""
    with (Path(tempfile.gettempdir()) / f"stationkeeper-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def raise_if_failed(config: pytest.Config, name: str) -> None:
    if failure := config.stash[FAILURES].get(name):
        raise failure


@pytest.fixture(scope="session")
def control_plane_binaries(pytestconfig: pytest.Config) -> ControlPlaneBinaries:
    raise_if_failed(pytestconfig, "control_plane_binaries")
    return obtain_control_plane(ProgramPlaces.of_this_process(), Progress())


@pytest.fixture(scope="session")
def kubectl(pytestconfig: pytest.Config) -> Path:
    """Return the path of kubectl."""
    raise_if_failed(pytestconfig, "kubectl")
    return find_kubectl(ProgramPlaces.of_this_process(), Progress())


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config) -> Path:
    """Return the path of helm."""
    raise_if_failed(pytestconfig, "helm")
    return find_helm(ProgramPlaces.of_this_process(), Progress())


@pytest.fixture(scope="module")
def control_plane(
    pytestconfig: pytest.Config, control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> ControlPlane:
    """Return a running control plane; it is shared: tests use their own namespaces, and do not stop the API server."""
    if SHARED not in pytestconfig.stash:
        made = ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("control-plane"))
        pytestconfig.stash[SHARED] = made.__enter__()
    return pytestconfig.stash[SHARED]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End the shared control plane after the last test of a folder: at rest it takes a fiftieth of a core."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path.parent != item.path.parent:
            end_shared_control_plane(item.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the shared control plane of a run that was interrupted."""
    end_shared_control_plane(session.config)


def end_shared_control_plane(config: pytest.Config) -> None:
    if SHARED in config.stash:
        config.stash[SHARED].stop()
        del config.stash[SHARED]
