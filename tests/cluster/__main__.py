"""Try the chart on a real cluster, as a newcomer follows `docs/chart.md`, and measure how long changes take there.

If Docker and kind are installed, it starts a cluster of kind. Else it starts its own node, which needs root and, the
first time, half an hour to build. With `--kubeconfig` it uses that cluster, whose nodes must have the two images, or
pull them from `--registry`. The figures that need access to the node are then left out: the removal of a CA after an
outage of the API server, and after a crash of the operator. At the end it removes what it installed, unless something
failed.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from images.build import ROOT, build
from images.pack import REGISTRY, write_archive
from stationkeeper_tools.programs.binaries import ProgramPlaces, find_helm, find_kubectl
from stationkeeper_tools.progress import Progress
from tests.cluster.clusters import Cluster, Given, Kind, OwnNode, has_kind
from tests.cluster.figures import Figures
from tests.cluster.programs import node_programs
from tests.cluster.trial import Trial

FOLDER = ROOT / "build/cluster"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


def main() -> None:
    """Run all steps; an exception says what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="of a cluster to use instead")
    parser.add_argument("--registry", default=REGISTRY, help="of the images, with --kubeconfig")
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is measured (default: 5)")
    parser.add_argument("--start", action="store_true", help="only start a cluster with the images, and leave it")
    parser.add_argument("--stop", action="store_true", help="only end the cluster that --start left")
    options = parser.parse_args()
    places, progress = ProgramPlaces.of_this_process(), Progress.to(_say)
    cluster = _cluster(options.kubeconfig, places, progress)
    if options.stop:
        cluster.stop()
        return
    images = [] if options.kubeconfig else _images(cluster)
    cluster.start(images)
    if options.start:
        _say(f"It runs, with the images in {REGISTRY}. {cluster.reached_by}\n`python -m tests.cluster --stop` ends it.")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="stationkeeper-cluster-") as work:
            _try(Trial(cluster, Path(work), options.registry, _say), cluster, options.rounds)
    finally:
        cluster.stop()


def _cluster(kubeconfig: Path | None, places: ProgramPlaces, progress: Progress) -> Cluster:
    if kubeconfig is None and not has_kind():
        return OwnNode(Path("/var/tmp/stationkeeper-node"), node_programs(places, progress))  # noqa: S108 - root's
    programs = FOLDER / "bin"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(parents=True)
    for program in (find_helm(places, progress), find_kubectl(places, progress)):
        (programs / program.name).symlink_to(program)
    return Given(kubeconfig.absolute(), programs) if kubeconfig else Kind(FOLDER / "kubeconfig", programs)


def _images(cluster: Cluster) -> list[Path]:
    folder = FOLDER / "images"
    shutil.rmtree(folder, ignore_errors=True)
    images = [build(component, folder).archive for component in ("cups", "operator")]
    if isinstance(cluster, OwnNode):
        root = folder / "pause.root"
        root.mkdir()
        shutil.copy2(cluster.programs / "pause", root)
        images.append(folder / "pause.tar")
        write_archive(root, images[-1], f"{REGISTRY}/pause:1", {"Entrypoint": ["/pause"], "User": "65535:65535"})
    return images


def _try(trial: Trial, cluster: Cluster, rounds: int) -> None:
    trial.install()
    trial.helm_test()
    trial.upgrade()
    figures = Figures(trial, cluster, rounds, _say)
    for source in ("watch", "files"):
        figures.removals(source)
    if cluster.has_node_access:
        figures.outages()
        for operators in (2, 1):
            figures.crashes(operators)
    trial.remove()
    if not figures.missed:
        return
    missed = "\n".join(("a goal was missed", *figures.missed))
    # Programs that wait for a core say little about Stationkeeper.
    if os.getloadavg()[1] > (os.cpu_count() or 1):
        _say(f"{missed}\nbut this machine has more to do than it has cores: measure again when it has less")
        return
    raise AssertionError(missed)


if __name__ == "__main__":
    main()
