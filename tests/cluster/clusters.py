"""The clusters that the chart is tried on: where commands run, how images get there, how the API server is stopped."""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

_NODE = Path(__file__).with_name("node.sh")
KIND = "stationkeeper-test"
_MANIFEST = "kube-apiserver.yaml"


class Cluster(ABC):
    """One cluster.

    Attributes:
        prefix: what a command begins with, so that it runs where the cluster's network is.
        environment: of such commands; `KUBECONFIG` is in it.
    """

    prefix: Sequence[str] = ()
    environment: Mapping[str, str]

    @abstractmethod
    def start(self, images: Sequence[Path]) -> None:
        """Start it with the images."""

    @abstractmethod
    def stop(self) -> None:
        """End it, if it was started here."""

    @property
    def has_api_switch(self) -> bool:
        """Whether its API server can be stopped."""
        return True

    def stop_api(self) -> None:
        """End the API server at once."""
        raise NotImplementedError

    def start_api(self) -> None:
        """Start the API server again; it may get ready later."""
        raise NotImplementedError


class OwnNode(Cluster):
    """A node made by `node.sh`.

    Args:
        folder: of its own, for all that it writes; ended with it.
        programs: the folder of the programs.

    Attributes:
        programs: as given.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self.programs = programs
        own = {"NODE": str(folder), "BIN": str(programs), "PYTHON": sys.executable}
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = {**os.environ, **own, "KUBECONFIG": str(folder / "admin.kubeconfig"), "PATH": path}
        self.prefix = (str(_NODE), "run")

    def start(self, images: Sequence[Path]) -> None:
        """Start it."""
        held = self._folder / "images"
        held.mkdir(parents=True)
        for image in images:
            shutil.copy2(image, held / image.name)
        self._do("up")

    def stop(self) -> None:
        """End all of it."""
        self._do("down")

    def stop_api(self) -> None:
        """Kill the API server."""
        self._do("api-stop")

    def start_api(self) -> None:
        """Start it, and wait until it is ready."""
        self._do("api-start")

    def _do(self, what: str) -> None:
        subprocess.run([_NODE, what], env=self.environment, check=True)


class Kind(Cluster):
    """A cluster of kind, of one node.

    Args:
        folder: where its kubeconfig is written.
        programs: the folder of helm and kubectl.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "PATH": path}

    def start(self, images: Sequence[Path]) -> None:
        """Create it, and load the images."""
        self._do("kind", "create", "cluster", "--name", KIND, "--wait", "180s")
        for image in images:
            self._do("kind", "load", "image-archive", str(image), "--name", KIND)

    def stop(self) -> None:
        """Delete it."""
        self._do("kind", "delete", "cluster", "--name", KIND)

    def stop_api(self) -> None:
        """Take its manifest from the kubelet."""
        self._do("docker", "exec", f"{KIND}-control-plane", "mv", f"/etc/kubernetes/manifests/{_MANIFEST}", "/root/")

    def start_api(self) -> None:
        """Give its manifest back to the kubelet."""
        self._do("docker", "exec", f"{KIND}-control-plane", "mv", f"/root/{_MANIFEST}", "/etc/kubernetes/manifests/")

    def _do(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True)


class Given(Cluster):
    """The cluster of a kubeconfig, whose registry has the images already.

    Args:
        kubeconfig: with the rights to install the chart.
        programs: the folder of helm and kubectl.
    """

    def __init__(self, kubeconfig: Path, programs: Path) -> None:
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path}

    def start(self, images: Sequence[Path]) -> None:
        """It runs."""

    def stop(self) -> None:
        """It runs on."""

    @property
    def has_api_switch(self) -> bool:
        """Its API server is not ours."""
        return False


def has_kind() -> bool:
    """Whether Docker runs here, and kind is there."""
    if not (shutil.which("kind") and shutil.which("docker")):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
