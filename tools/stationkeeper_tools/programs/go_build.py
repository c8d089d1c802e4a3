"""Build programs with the user's Go toolchain, from modules that the `go.mod` and `go.sum` beside this file pin.

The checksums in `go.sum` verify the sources, from any module proxy. The user chooses the module proxy and the toolchain
(`GOPROXY`, `GOTOOLCHAIN`, `GOCACHE`). Settings that would change the programs are fixed here.
"""

import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from stationkeeper_tools.processes import ManagedProcess
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.tool_errors import ToolError, ToolFault

MINIMUM_GO = (1, 26)
BUILD_SECONDS = 3600.0

_SETTINGS = {
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GO111MODULE": "on",
    "GOWORK": "off",
    "CGO_ENABLED": "0",
    "GOOS": "",
    "GOARCH": "",
}
_POLL_SECONDS = 0.1
_GO_VERSION = re.compile(r"\bgo(\d{1,4})\.(\d{1,4})")
_INSTALL_GO = f"install Go {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer (https://go.dev/dl/)"


@dataclass(frozen=True)
class GoModule:
    """The program to build.

    Attributes:
        name: the folder that holds `go.mod` and `go.sum`.
        packages: from a program's name to the import path of its main package.
        linked_strings: from the full name of a Go variable to the string that the linker sets it to.
        modules: where that folder is.
    """

    name: str
    packages: Mapping[str, str]
    linked_strings: Mapping[str, str]
    modules: Traversable = field(default_factory=lambda: files("stationkeeper_tools.programs") / "go")


class BuildCounter:
    """Counts packages and modules in the output of `go list -deps` and then of `go build -v`.

    Args:
        packages: the import paths that can occur; empty while they are not known.
    """

    def __init__(self, packages: frozenset[str] = frozenset()) -> None:
        self.compiled = 0
        self.fetched = 0
        self.listed: set[str] = set()
        self._packages = packages
        self._rest = b""

    def feed(self, output: bytes) -> None:
        """Take the next piece of the output; it may end within a line."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace").strip()
            if line.startswith("go: downloading "):
                self.fetched += 1
            elif line in self._packages:
                self.compiled += 1
            elif line and " " not in line and ":" not in line:
                self.listed.add(line)


def build(module: GoModule, folder: Path, search_path: str, environment: Mapping[str, str], progress: Progress) -> None:
    """Build the programs of `module` into `folder`.

    Args:
        module: what to build.
        folder: exists; the build's own files are in it too, and are removed after success.
        search_path: where `go` is looked for, as `PATH`.
        environment: the user's.
        progress: shows the progress.

    Raises:
        ToolError: `GoMissing`, `GoTooOld` or `BuildFailed`.
    """
    go = shutil.which("go", path=search_path)
    if go is None:
        raise ToolError(ToolFault.GO_MISSING, f"there is no `go` in PATH to build the programs with: {_INSTALL_GO}")
    work = folder / "build"
    work.mkdir()
    for name in ("go.mod", "go.sum"):
        (work / name).write_bytes((module.modules / module.name / name).read_bytes())
    toolchain = _Toolchain(go, work, dict(environment) | _SETTINGS)
    toolchain.check_version()
    begin = time.monotonic()
    names = ", ".join(module.packages)
    progress.say(f"Building {names} with Go; the first time takes several minutes")
    try:
        packages = toolchain.list_packages(module, progress)
        toolchain.compile(module, folder, packages, progress)
    finally:
        progress.end()
    shutil.rmtree(work)
    progress.say(f"Built {names} in {time.monotonic() - begin:.0f} s")


@dataclass(frozen=True)
class _Toolchain:
    go: str
    work: Path
    environment: Mapping[str, str]

    def check_version(self) -> None:
        process = self._run(["env", "GOVERSION"], "version", lambda _: None)
        output = process.log.read_text(errors="replace").strip()
        match = _GO_VERSION.search(output)
        if process.exit_status != 0 or match is None:
            raise ToolError(ToolFault.GO_TOO_OLD, f"{self.go} says: {output[-500:]}; {_INSTALL_GO}")
        if (int(match[1]), int(match[2])) < MINIMUM_GO:
            raise ToolError(ToolFault.GO_TOO_OLD, f"{self.go} is {output}; {_INSTALL_GO}")

    def list_packages(self, module: GoModule, progress: Progress) -> frozenset[str]:
        counter = BuildCounter()

        def told(output: bytes) -> None:
            counter.feed(output)
            progress.show(f"  {counter.fetched} Go modules downloaded")

        self._check_exit(self._run(["list", "-deps", *module.packages.values()], "list", told))
        return frozenset(counter.listed)

    def compile(self, module: GoModule, folder: Path, packages: frozenset[str], progress: Progress) -> None:
        flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in module.linked_strings.items())])
        counter = BuildCounter(packages)
        begin = time.monotonic()

        def told(output: bytes) -> None:
            counter.feed(output)
            seconds = time.monotonic() - begin
            progress.show(f"  {counter.compiled} of at most {len(packages)} packages compiled, {seconds:.0f} s")

        for program, package in module.packages.items():
            target = folder / program
            arguments = ["build", "-v", "-ldflags", flags, "-o", str(target), package]
            self._check_exit(self._run(arguments, f"build-{program}", told))
            target.chmod(0o755)

    def _run(self, arguments: list[str], name: str, take_output: Callable[[bytes], None]) -> ManagedProcess:
        log = self.work / f"{name}.log"
        process = ManagedProcess(f"go {arguments[0]}", [self.go, *arguments], log, self.environment, self.work)
        ends = time.monotonic() + BUILD_SECONDS
        try:
            process.start()
            with log.open("rb") as output:
                while not process.wait(_POLL_SECONDS):
                    take_output(output.read())
                    if time.monotonic() > ends:
                        detail = f"`go {arguments[0]}` took longer than {BUILD_SECONDS:g} s"
                        raise ToolError(ToolFault.BUILD_FAILED, f"{detail}\n{process.log_tail()}")
                take_output(output.read())
        finally:
            process.stop()
        return process

    def _check_exit(self, process: ManagedProcess) -> None:
        if process.exit_status != 0:
            detail = f"`{process.name}` failed; can the module proxy (GOPROXY) be reached?"
            raise ToolError(ToolFault.BUILD_FAILED, f"{detail}\n{process.log_tail()}")
