"""Find or obtain the programs of a real Kubernetes control plane, and helm.

`kube-apiserver`, `etcd` and `kubectl` come, as one set, from the first of: the folder `KUBEBUILDER_ASSETS`, our cache,
`PATH`, the archive that controller-runtime's envtest uses, a build with Go. `helm` comes from: our cache, `PATH`, its
publisher's archive, a build with Go. Programs that were obtained stay in the cache, with a file `SOURCE` that says
where they came from.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stationkeeper_tools.programs import go_build, tool_cache
from stationkeeper_tools.programs.envtest_archive import EnvtestServer, fetch_control_plane
from stationkeeper_tools.programs.go_build import GoModule
from stationkeeper_tools.programs.helm_archive import HelmServer, fetch_helm
from stationkeeper_tools.programs.tool_platform import Platform
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault

KUBERNETES_VERSION = "1.37.2"
ETCD_VERSION = "3.7.0"
HELM_VERSION = "4.3.1"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"

_REQUIRED = ("kube-apiserver", "etcd")
_OBTAINED = (*_REQUIRED, "kubectl")


def _version_variables(version: str) -> dict[str, str]:
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}


_CONTROL_PLANE_MODULE = GoModule(
    "control_plane",
    {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    },
    _version_variables(KUBERNETES_VERSION),
)
_HELM_MODULE = GoModule(
    "helm",
    {"helm": "helm.sh/helm/v4/cmd/helm"},
    {"helm.sh/helm/v4/internal/version.version": f"v{HELM_VERSION}"},
)


@dataclass(frozen=True)
class ProgramPlaces:
    """The places that programs come from.

    Attributes:
        environment: the variables of the process.
        cache: the folder that holds our folders of programs.
        platform: the operating system and processor that the programs are for.
        envtest: the server of the archives of the control plane.
        helm: the server of the archives of helm.
    """

    environment: Mapping[str, str]
    cache: Path
    platform: Platform
    envtest: EnvtestServer = field(default_factory=EnvtestServer)
    helm: HelmServer = field(default_factory=HelmServer)

    @classmethod
    def of(cls, environment: Mapping[str, str], home: Path) -> "ProgramPlaces":
        """Return the places of a user; the cache is where the XDG Base Directory Specification puts it."""
        configured = Path(environment.get("XDG_CACHE_HOME", ""))
        root = configured if configured.is_absolute() else home / ".cache"
        return cls(environment, root / "stationkeeper", Platform.current())

    @classmethod
    def of_this_process(cls) -> "ProgramPlaces":
        """Return the places for this process, by its environment and home folder."""
        return cls.of(os.environ, Path.home())

    @property
    def search_path(self) -> str:
        """`PATH`, or the system's default if it is empty; never the current folder."""
        return self.environment.get("PATH") or os.defpath

    @property
    def control_plane_folder(self) -> Path:
        """The folder of our cache for the control plane's programs; it may not exist yet."""
        return self.cache / f"control-plane-{KUBERNETES_VERSION}-{self.platform}"

    def helm_folder(self, version: str) -> Path:
        """Return where our cache has, or will have, that version of helm."""
        return self.cache / f"helm-{version}-{self.platform}"


@dataclass(frozen=True)
class ControlPlaneBinaries:
    """Absolute paths of one set of programs; `kubectl` is None if the set has none."""

    kube_apiserver: Path
    etcd: Path
    kubectl: Path | None


def obtain_control_plane(places: ProgramPlaces, progress: Progress) -> ControlPlaneBinaries:
    """Return the control plane's programs; download or build them if need be.

    Raises:
        ToolError: no source has them (the message says why, for each source), or the cache cannot be written.
    """
    found = (
        _from_assets(places, progress)
        or _set_in(places.control_plane_folder, _OBTAINED)
        or _from_search_path(places.search_path)
    )
    if found:
        return found
    sources = {
        "the envtest archive": lambda folder: _fill_from_envtest(places, folder, progress),
        "a build with Go": lambda folder: _fill_by_go(_CONTROL_PLANE_MODULE, places, folder, progress),
    }
    _obtain(places.control_plane_folder, _OBTAINED, sources, progress)
    return _programs(places.control_plane_folder)


def find_kubectl(places: ProgramPlaces, progress: Progress) -> Path:
    """Return the control plane's own `kubectl`, or, if its set has none, that of the cache or of `PATH`.

    Raises:
        ToolError: there is none, or the control plane's programs cannot be obtained.
    """
    own = obtain_control_plane(places, progress).kubectl
    cached = places.control_plane_folder / "kubectl"
    found = own or (cached if tool_cache.is_program(cached) else _which("kubectl", places.search_path))
    if found is None:
        raise ToolError(ToolFault.PROGRAM_NOT_FOUND, "neither the control plane in use nor PATH has `kubectl`")
    return found


def find_helm(places: ProgramPlaces, progress: Progress) -> Path:
    """Return the path of helm; download or build it if need be.

    Raises:
        ToolError: no source has it (the message says why, for each source), or the cache cannot be written.
    """
    if not tool_cache.holds(places.helm_folder(HELM_VERSION), ("helm",)):
        in_path = _which("helm", places.search_path)
        if in_path:
            return in_path
    return obtain_helm(HELM_VERSION, _HELM_MODULE, places, progress)


def obtain_helm(version: str, module: GoModule, places: ProgramPlaces, progress: Progress) -> Path:
    """Return the path of just this version of helm in our cache; download or build it if need be.

    Args:
        version: `4.3.1`.
        module: to build it from.
        places: the places that it can come from.
        progress: shows the progress.

    Raises:
        ToolError: no source has it (the message says why, for each source), or the cache cannot be written.
    """
    folder, platform = places.helm_folder(version), places.platform
    if not tool_cache.holds(folder, ("helm",)):
        sources = {
            "the publisher's archive": lambda new: fetch_helm(places.helm, version, platform, new, progress),
            "a build with Go": lambda new: _fill_by_go(module, places, new, progress),
        }
        _obtain(folder, ("helm",), sources, progress)
    return folder / "helm"


def _from_assets(places: ProgramPlaces, progress: Progress) -> ControlPlaneBinaries | None:
    configured = places.environment.get(ASSETS_VARIABLE)
    if not configured:
        return None
    found = _set_in(Path(configured).absolute(), _REQUIRED)
    if found is None:
        progress.say(f"{ASSETS_VARIABLE}={configured} does not hold kube-apiserver and etcd; looking elsewhere")
    return found


def _set_in(folder: Path, required: tuple[str, ...]) -> ControlPlaneBinaries | None:
    return _programs(folder) if tool_cache.holds(folder, required) else None


def _programs(folder: Path) -> ControlPlaneBinaries:
    kubectl = folder / "kubectl"
    return ControlPlaneBinaries(
        folder / "kube-apiserver", folder / "etcd", kubectl if tool_cache.is_program(kubectl) else None
    )


def _from_search_path(search_path: str) -> ControlPlaneBinaries | None:
    api_server, etcd = _which("kube-apiserver", search_path), _which("etcd", search_path)
    return ControlPlaneBinaries(api_server, etcd, _which("kubectl", search_path)) if api_server and etcd else None


def _which(program: str, search_path: str) -> Path | None:
    found = shutil.which(program, path=search_path)
    return Path(found).absolute() if found else None


def _obtain(
    folder: Path, programs: tuple[str, ...], sources: Mapping[str, Callable[[Path], str]], progress: Progress
) -> None:
    def fill(new: Path) -> None:
        refusals = []
        for name, source in sources.items():
            attempt = new / "attempt"
            attempt.mkdir()
            try:
                described = source(attempt)
            except ToolError as error:
                progress.say(f"Not from {name}: {str(error).partition(chr(10))[0]}")
                refusals.append(f"from {name}: {error}")
                shutil.rmtree(attempt)
                continue
            for program in programs:
                (attempt / program).rename(new / program)
            shutil.rmtree(attempt)
            (new / "SOURCE").write_text(f"{described}\n", encoding="utf-8")
            return
        raise ToolError(
            ToolFault.PROGRAM_NOT_FOUND, f"{', '.join(programs)} cannot be obtained:\n" + "\n".join(refusals)
        )

    try:
        tool_cache.install(folder, programs, fill, progress)
    except OSError as error:
        detail = f"{folder} cannot be written: {error}; XDG_CACHE_HOME can name another place than {folder.parents[1]}"
        raise ToolError(ToolFault.CACHE_NOT_WRITABLE, detail) from error


def _fill_from_envtest(places: ProgramPlaces, folder: Path, progress: Progress) -> str:
    release = fetch_control_plane(places.envtest, KUBERNETES_VERSION, places.platform, folder, progress)
    return f"Kubernetes {release.version}, {release.url}, {release.digest.algorithm} {release.digest.value}"


def _fill_by_go(module: GoModule, places: ProgramPlaces, folder: Path, progress: Progress) -> str:
    go_build.build(module, folder, places.search_path, places.environment, progress)
    return f"built with Go from {', '.join(module.packages.values())}"
