"""The programs of a node, built once with Go from what `go/` pins, and kept in the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_tools.programs.binaries import (
    KUBERNETES_VERSION,
    ProgramPlaces,
    find_helm,
    find_kubectl,
    obtain_control_plane,
)
from stationkeeper_tools.progress import Progress

_MODULES = Path(__file__).parent / "go"
_CONTAINERD, _PLUGINS = "github.com/containerd/containerd/v2", "github.com/containernetworking/plugins/plugins"
_VERSIONS = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")

_PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

// The first process of a node, and of each pod: it waits, and takes the status of those that ended.
func main() {
	told := make(chan os.Signal, 64)
	signal.Notify(told, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for each := range told {
		if each != syscall.SIGCHLD {
			return
		}
		for {
			if child, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || child <= 0 {
				break
			}
		}
	}
}
"""


@dataclass(frozen=True)
class _Module:
    """The programs to build from one `go.mod`.

    Attributes:
        packages: the import paths of the programs, which are called as these end.
        flags: more arguments of `go build`.
        needs_c: whether cgo is needed.
    """

    packages: tuple[str, ...]
    flags: tuple[str, ...] = ()
    needs_c: bool = False


def _modules() -> Mapping[str, _Module]:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    version = " ".join(f"-X {package}.{name}={value}" for package in _VERSIONS for name, value in values.items())
    kubernetes = ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    containerd = ("containerd", "containerd-shim-runc-v2", "ctr")
    return {
        "runc": _Module(("github.com/opencontainers/runc",), ("-tags", "seccomp"), needs_c=True),
        "cni": _Module(tuple(f"{_PLUGINS}/{each}" for each in ("main/bridge", "main/loopback", "ipam/host-local"))),
        "containerd": _Module(
            tuple(f"{_CONTAINERD}/cmd/{each}" for each in containerd), ("-tags", "no_btrfs no_devmapper no_zfs")
        ),
        "kubernetes": _Module(
            tuple(f"k8s.io/kubernetes/cmd/{each}" for each in kubernetes), ("-ldflags", f"-s -w {version}")
        ),
    }


def node_programs(places: ProgramPlaces, progress: Progress) -> Path:
    """Return the folder with all programs of a node, built if need be; that takes half an hour the first time.

    Raises:
        ToolError: the control plane or helm cannot be obtained.
        CalledProcessError: a program cannot be built; Go has said why.
    """
    folder = places.cache / f"node-{KUBERNETES_VERSION}-{places.platform}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in _modules().items():
        lacking = [each for each in module.packages if not (folder / each.rpartition("/")[2]).exists()]
        if lacking:
            progress.say(f"Building {name} with Go")
            _build(name, module, lacking, folder)
    if not (folder / "pause").exists():
        source = folder / "pause.go"
        source.write_text(_PAUSE)
        _go(["build", "-ldflags", "-s -w", "-o", str(folder / "pause"), str(source)], folder, needs_c=False)
    control_plane = obtain_control_plane(places, progress)
    found = {"etcd": control_plane.etcd, "kube-apiserver": control_plane.kube_apiserver}
    found |= {"kubectl": find_kubectl(places, progress), "helm": find_helm(places, progress)}
    for name, program in found.items():
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return folder


def _build(name: str, module: _Module, packages: list[str], folder: Path) -> None:
    work = folder / "build"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(_MODULES / name, work)
    flags = module.flags if "-ldflags" in module.flags else ("-ldflags", "-s -w", *module.flags)
    # One package at a time: the compilers of a Kubernetes together want more memory than a small machine has.
    _go(["build", "-p", "1", *flags, "-o", f"{folder}/", *packages], work, needs_c=module.needs_c)
    shutil.rmtree(work)


def _go(arguments: list[str], folder: Path, *, needs_c: bool) -> None:
    settings = {"CGO_ENABLED": str(int(needs_c)), "GOWORK": "off", "GO111MODULE": "on"}
    environment = {**os.environ, **settings, "GOFLAGS": "-trimpath -buildvcs=false"}
    subprocess.run(["go", *arguments], cwd=folder, env=environment, check=True)
