"""Helm 3, for tests of the chart with it: `make helm-3` downloads it, or builds it with Go, once.

A build takes minutes, so tests that need it are skipped if it is not in the cache.
"""

from collections.abc import Mapping
from pathlib import Path

from stationkeeper_tools.programs.binaries import KUBERNETES_VERSION, ProgramPlaces, obtain_helm
from stationkeeper_tools.programs.go_build import GoModule
from stationkeeper_tools.progress import Progress

HELM_3_VERSION = "3.22.0"
MODULES = Path(__file__).parent / "go"

# Without these it takes every cluster for Kubernetes 1.20 if it only renders.
_KUBERNETES = {"k8sVersionMajor": "1", "k8sVersionMinor": KUBERNETES_VERSION.split(".")[1]}
_LINKED: Mapping[str, str] = {
    "helm.sh/helm/v3/internal/version.version": f"v{HELM_3_VERSION}",
    **{
        f"helm.sh/helm/v3/pkg/{package}.{name}": value
        for package in ("chartutil", "lint/rules")
        for name, value in _KUBERNETES.items()
    },
}
_MODULE = GoModule("helm3", {"helm": "helm.sh/helm/v3/cmd/helm"}, _LINKED, MODULES)


def cached_helm_3() -> Path | None:
    """Return the path of helm 3; None if it is not in the cache."""
    program = ProgramPlaces.of_this_process().helm_folder(HELM_3_VERSION) / "helm"
    return program if program.exists() else None


def main() -> None:
    """Obtain it."""
    progress = Progress.to(lambda line: print(line, flush=True))  # noqa: T201 - this is a command
    print(obtain_helm(HELM_3_VERSION, _MODULE, ProgramPlaces.of_this_process(), progress))  # noqa: T201


if __name__ == "__main__":
    main()
