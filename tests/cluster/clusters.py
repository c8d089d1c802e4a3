"""The clusters for the chart: where commands run, how images get there, and how to stop what runs there."""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

_NODE, _KILL = (Path(__file__).with_name(name) for name in ("node.sh", "kill.sh"))
KIND = "stationkeeper-test"
_KIND_NODE = f"{KIND}-control-plane"
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
        """Start it with the images; stop it again if that fails. A cluster that already runs is not changed.

        Raises:
            CalledProcessError: it cannot be started.
            FileExistsError: it runs already.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop it, if it was started here."""

    @property
    def reached_by(self) -> str:
        """Return the instructions for a person to use it."""
        return f"KUBECONFIG={self.environment['KUBECONFIG']}"

    @property
    def has_node_access(self) -> bool:
        """Whether its API server, and programs of its pods, can be killed."""
        return True

    def stop_api(self) -> None:
        """Stop the API server at once."""
        raise NotImplementedError

    def start_api(self) -> None:
        """Start the API server again; it may get ready later."""
        raise NotImplementedError

    def kill(self, pod: str, program: str) -> None:
        """Kill the program in the pod with SIGKILL."""
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

    @property
    def reached_by(self) -> str:
        """Return how to run commands in its network."""
        settings = " ".join(f"{name}={self.environment[name]}" for name in ("NODE", "BIN", "KUBECONFIG"))
        return f"Its network is its own: {settings} {_NODE} run COMMAND"

    def start(self, images: Sequence[Path]) -> None:
        """Start it."""
        held = self._folder / "images"
        held.mkdir(parents=True)
        try:
            for image in images:
                shutil.copy2(image, held / image.name)
            self._do("up")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all of it."""
        self._do("down")

    def stop_api(self) -> None:
        """Kill the API server."""
        self._do("api-stop")

    def start_api(self) -> None:
        """Start it, and wait until it is ready."""
        self._do("api-start")

    def kill(self, pod: str, program: str) -> None:
        """Kill it on the node."""
        self._do("inside", str(_KILL), pod, program)

    def _do(self, *what: str) -> None:
        subprocess.run([_NODE, *what], env=self.environment, check=True)


class Kind(Cluster):
    """A cluster of kind with one node.

    The arguments follow the sources of kind (v0.33, `pkg/cmd/kind`): where we develop there is no Docker to run it.

    Args:
        kubeconfig: the file that kind writes.
        programs: the folder of helm and kubectl.
    """

    def __init__(self, kubeconfig: Path, programs: Path) -> None:
        path = f"{programs}:{os.environ['PATH']}"
        own = {"KUBECONFIG": str(kubeconfig), "KIND_EXPERIMENTAL_PROVIDER": "docker", "PATH": path}
        self.environment = {**os.environ, **own}

    def start(self, images: Sequence[Path]) -> None:
        """Create it, and load the images."""
        self._do("kind", "create", "cluster", "--name", KIND, "--wait", "180s")
        try:
            for image in images:
                self._do("kind", "load", "image-archive", str(image), "--name", KIND)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Delete it."""
        self._do("kind", "delete", "cluster", "--name", KIND)

    def stop_api(self) -> None:
        """Take its manifest from the kubelet."""
        self._do("docker", "exec", _KIND_NODE, "mv", f"/etc/kubernetes/manifests/{_MANIFEST}", "/root/")

    def start_api(self) -> None:
        """Give its manifest back to the kubelet."""
        self._do("docker", "exec", _KIND_NODE, "mv", f"/root/{_MANIFEST}", "/etc/kubernetes/manifests/")

    def kill(self, pod: str, program: str) -> None:
        """Kill it in the container that is the node."""
        script = _KILL.read_text()
        self._do("docker", "exec", "--interactive", _KIND_NODE, "bash", "-s", "--", pod, program, stdin=script)

    def _do(self, *command: str, stdin: str | None = None) -> None:
        subprocess.run(command, env=self.environment, input=stdin, text=True, check=True)


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
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Do nothing: it stays."""

    @property
    def has_node_access(self) -> bool:
        """Return false: its nodes are not ours."""
        return False


def has_kind() -> bool:
    """Return whether Docker runs here and kind is installed."""
    if not (shutil.which("kind") and shutil.which("docker")):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
