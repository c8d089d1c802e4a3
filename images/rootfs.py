r"""Assemble the root file system of an image: this interpreter, the libraries it needs, and one installed environment.

Nothing else is there: no shell, no package manager, no other package. Runs in the build stage of the Containerfile, and
on any Linux machine without a container engine. Modules that no program of Stationkeeper imports are left out; lists
below name them.

    /opt/stationkeeper/bin/python images/rootfs.py --environment /opt/stationkeeper --program stationkeeper-cups \
        --root /rootfs
"""

import argparse
import compileall
import fnmatch
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

# Files of the standard library: graphical programs, tests, installers, and tools to build extensions.
_STANDARD_LIBRARY = (
    *(
        "test",
        "idlelib",
        "turtledemo",
        "tkinter",
        "turtle.py",
        "ensurepip",
        "venv",
        "lib2to3",
        "pydoc_data",
        "config-*",
    ),
    *("site-packages", "lib-dynload/_tkinter*", "lib-dynload/_test*", "lib-dynload/_xx*", "lib-dynload/_ctypes_test*"),
    *("*/test", "*/tests"),
)
# Files of packages. `kubernetes` has a module for each kind and each API, and imports it by name when a program asks
# for it; here it only reads credentials. The rest is source of extensions, types and tests.
_PACKAGES = (
    *("kubernetes/client/models/*.py", "kubernetes/client/api/*.py"),
    *("kubernetes/aio/client/models/*.py", "kubernetes/aio/client/api/*.py"),
    *("*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.c", "*.h", "*.so.hash", "*/tests", "*/test"),
    *("_virtualenv.*", "pip", "pip-*.dist-info", "setuptools", "setuptools-*.dist-info"),
)
# The place from which the environment was installed: of no use later, and different each time.
_TRACES = ("*.dist-info/RECORD", "*.dist-info/direct_url.json", "*.dist-info/uv_*.json", "*.dist-info/REQUESTED")
PLACE = Path("/opt/stationkeeper")
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755, "etc": 0o755}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_LIBRARY = re.compile(r"(?:=> |^\s+)(/\S+) \(0x", re.MULTILINE)
_ELF = b"\x7fELF"


def assemble(environment: Path, program: str, root: Path) -> None:
    """Create the root file system, in which the environment is at `PLACE`.

    Args:
        environment: a complete environment of the present interpreter.
        program: the program of the image.
        root: a folder that does not exist yet.
    """
    root.mkdir(parents=True)
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name, text in _FILES.items():
        (root / name).write_text(text, encoding="ascii")
    library, packages = Path(sysconfig.get_path("stdlib")), _site_packages(PLACE)
    _copy(library, _under(root, library), _STANDARD_LIBRARY)
    _copy(_site_packages(environment), _under(root, packages), (*_PACKAGES, *_TRACES))
    _programs(environment, program, root)
    _libraries(root)
    for folder in (library, packages):
        _compile(_under(root, folder), folder)


def _programs(environment: Path, name: str, root: Path) -> None:
    """Copy the interpreter to its place, and make the program use it."""
    interpreter = Path(os.path.realpath(sys.executable))
    target, folder = _under(root, interpreter), _under(root, PLACE / "bin")
    for each in (target.parent, folder):
        each.mkdir(parents=True, exist_ok=True)
    shutil.copy2(interpreter, target)
    for link in ("python", "python3"):
        (folder / link).symlink_to(interpreter)
    home = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    (folder.parent / "pyvenv.cfg").write_text(home, encoding="utf-8")
    text = (environment / "bin" / name).read_text(encoding="utf-8")
    (folder / name).write_text(text.replace(str(environment), str(PLACE)), encoding="utf-8")
    (folder / name).chmod(0o755)


def _libraries(root: Path) -> None:
    """Copy the shared libraries that the loader finds for all files so far."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and _is_elf(path)]
    listed = subprocess.run(["ldd", *found], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607
    for name in sorted(set(_LIBRARY.findall(listed))):
        library, target = Path(name), _under(root, Path(name))
        if library.is_relative_to(root) or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath(library), target)


def _copy(folder: Path, target: Path, left_out: Sequence[str]) -> None:
    def ignored(place: str, names: list[str]) -> set[str]:
        inner = Path(place).relative_to(folder)
        return {
            name
            for name in names
            if name == "__pycache__" or any(fnmatch.fnmatch(str(inner / name), each) for each in left_out)
        }

    shutil.copytree(folder, target, symlinks=True, ignore=ignored)
    # A package that imports its modules on demand is still one.
    for each in {Path(name).parent / "__init__.py" for name in left_out if name.endswith("/*.py")}:
        if (folder / each).exists():
            shutil.copy2(folder / each, target / each)


def _compile(folder: Path, place: Path) -> None:
    """Write bytecode that is never compared with its source: on a read-only file system it could not be updated."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, stripdir=folder, prependdir=place, invalidation_mode=mode)


def _site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))


def _under(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--root", type=Path, required=True)
    options = parser.parse_args()
    assemble(options.environment.absolute(), options.program, options.root.absolute())


if __name__ == "__main__":
    main()
