"""Tries the chart on a real cluster, as a newcomer follows `docs/chart.md`, and measures a removal after an outage.

Where Docker and kind are, a cluster of kind; else a node of our own, which takes root and, the first time, half an hour
to build; with `--kubeconfig` the cluster that it names, whose registry has the images, and without the outage.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from stationkeeper_tools.binaries import Surroundings, find_helm, find_kubectl
from stationkeeper_tools.progress import Progress
from tests.cluster.clusters import Cluster, Given, Kind, OwnNode, has_kind
from tests.cluster.images import pack_component, pack_program
from tests.cluster.programs import node_programs
from tests.cluster.trial import Trial, described

VERSION = "0.1.0"
GOAL_MEDIAN, GOAL_LONGEST = 5.0, 10.0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


def main() -> None:
    """Run it; an exception says what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="of a cluster to use instead")
    parser.add_argument("--registry", default="localhost", help="of the images, with --kubeconfig")
    parser.add_argument("--rounds", type=int, default=5, help="how many outages (default: 5)")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stationkeeper-cluster-") as name:
        folder = Path(name)
        surroundings, progress = Surroundings.of_this_process(), Progress.to(_say)
        cluster = _cluster(options.kubeconfig, folder, surroundings, progress)
        images = [] if options.kubeconfig else _images(cluster, folder / "images")
        try:
            cluster.start(images)
            work = folder / "work"
            work.mkdir()
            _try(Trial(cluster, work, options.registry, _say), cluster, options.rounds)
        finally:
            if not options.keep:
                cluster.stop()


def _cluster(kubeconfig: Path | None, folder: Path, surroundings: Surroundings, progress: Progress) -> Cluster:
    if kubeconfig is None and not has_kind():
        return OwnNode(Path("/var/tmp/stationkeeper-node"), node_programs(surroundings, progress))  # noqa: S108 - root's
    programs = folder / "bin"
    programs.mkdir()
    for program in (find_helm(surroundings, progress), find_kubectl(surroundings, progress)):
        (programs / program.name).symlink_to(program)
    return Given(kubeconfig, programs) if kubeconfig else Kind(folder, programs)


def _images(cluster: Cluster, folder: Path) -> list[Path]:
    uv = shutil.which("uv") or ".tools/bin/uv"
    images = []
    for component in ("cups", "operator"):
        images.append(folder / f"{component}.tar")
        pack_component(
            component, str(Path(uv).absolute()), f"localhost/stationkeeper-{component}:{VERSION}", images[-1]
        )
    if isinstance(cluster, OwnNode):
        images.append(folder / "pause.tar")
        pack_program(cluster.programs / "pause", "localhost/pause:1", images[-1])
    return images


def _try(trial: Trial, cluster: Cluster, rounds: int) -> None:
    trial.install()
    trial.helm_test()
    trial.upgrade()
    if not cluster.has_api_switch:
        return
    took = trial.outage(rounds)
    _say(f"a removal after an outage of the API server: {described(took)}")
    if sorted(took)[len(took) // 2] > GOAL_MEDIAN or max(took) > GOAL_LONGEST:
        raise AssertionError(f"later than {GOAL_MEDIAN:g} s at the median, or {GOAL_LONGEST:g} s at most")


if __name__ == "__main__":
    main()
