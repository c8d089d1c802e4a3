"""Images without Docker: this machine's Python and the locked packages, in one layer each, for trials here."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_NOT_NEEDED = shutil.ignore_patterns(
    "test", "tests", "__pycache__", "idlelib", "turtledemo", "tkinter", "ensurepip", "site-packages", "config-3*", "*.a"
)
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")
_HOME = Path("opt/stationkeeper")


def pack_component(component: str, uv: str, image: str, target: Path) -> None:
    """Write the image of `cups` or `operator`, called `image`, as a tar that containerd and kind import.

    Raises:
        CalledProcessError: uv cannot install the packages.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        _lay_python(root)
        packages = root / _HOME / "site"
        (root / _HOME / "bin").mkdir(parents=True)
        # As in the images of the Containerfile: `helm test` runs it.
        (root / _HOME / "bin/python").symlink_to(_interpreter())
        locked = subprocess.run(
            [uv, "export", "--frozen", "--no-dev", "--extra", component, "--no-emit-project", "--no-hashes", "--quiet"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        (root / "requirements.txt").write_text(locked)
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", str(packages)]
        subprocess.run([*install, "--requirements", str(root / "requirements.txt"), str(ROOT)], cwd=ROOT, check=True)
        (root / "requirements.txt").unlink()
        _compile(root)
        _lay_libraries(root)
        module = f"stationkeeper_{component}.entry"
        entry = [_interpreter().as_posix(), "-c", f"from {module} import main; main()"]
        environment = [
            f"PYTHONPATH=/{_HOME}/site",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "PATH=/usr/bin:/bin",
        ]
        _pack(root, image, {"Entrypoint": entry, "Env": environment, "User": "65532:65532"}, target)


def pack_program(program: Path, image: str, target: Path) -> None:
    """Write an image of one static program."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        shutil.copy2(program, Path(name) / program.name)
        _pack(Path(name), image, {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"}, target)


def _interpreter() -> Path:
    return Path(os.path.realpath(sys.executable))


def _lay_python(root: Path) -> None:
    """The interpreter where it is on this machine, since it looks for its library beside itself."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path(os.path.realpath(sys.base_prefix)) / "lib"
    shutil.copytree(library / version, _in(root, library / version), symlinks=True, ignore=_NOT_NEEDED)
    for shared in (*library.glob("libpython3*.so*"), _interpreter()):
        _copy(root, shared)
    for folder, mode in (("tmp", 0o1777), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755)):
        (root / folder).mkdir(exist_ok=True)
        (root / folder).chmod(mode)
    (root / "etc/passwd").write_text("nonroot:x:65532:65532::/:/sbin/nologin\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")


def _compile(root: Path) -> None:
    """Lay the bytecode, as in the images of the Containerfile: without it, each start compiles everything anew."""
    command = [sys.executable, "-m", "compileall", "-q", "-s", str(root), "-p", "/"]
    # Some packages hold templates that are no Python.
    subprocess.run(
        [*command, "--invalidation-mode", "unchecked-hash", str(root)], stdout=subprocess.DEVNULL, check=False
    )


def _lay_libraries(root: Path) -> None:
    """The shared libraries of this machine that the files in `root` need."""
    programs = [each for each in root.rglob("*") if each.is_file() and not each.is_symlink() and _is_elf(each)]
    needed: set[str] = set()
    for start in range(0, len(programs), 50):
        told = subprocess.run(
            ["ldd", *programs[start : start + 50]], capture_output=True, text=True, check=False
        ).stdout
        needed |= set(_LIBRARY.findall(told))
    for library in needed:
        if not library.startswith(str(root)):
            _copy(root, Path(library))


def _copy(root: Path, file: Path) -> None:
    target = _in(root, file)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath(file), target)


def _in(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _pack(root: Path, image: str, config: dict[str, Any], target: Path) -> None:
    layer = _layer(root)
    described = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = {"config": json.dumps(described, sort_keys=True).encode(), "layer": layer}
    media = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": _descriptor(f"{media}.config.v1+json", blobs["config"]),
        "layers": [_descriptor(f"{media}.layer.v1.tar", layer)],
    }
    blobs["manifest"] = json.dumps(manifest, sort_keys=True).encode()
    annotations = {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image.rpartition(":")[2]}
    listed = _descriptor(f"{media}.manifest.v1+json", blobs["manifest"]) | {"annotations": annotations}
    index = {"schemaVersion": 2, "mediaType": f"{media}.index.v1+json", "manifests": [listed]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    files |= {f"blobs/sha256/{_digest(each)[7:]}": each for each in blobs.values()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as archive:
        for name, content in files.items():
            _add(archive, name, content)


def _layer(root: Path) -> bytes:
    """The files, sorted, of nobody in particular and without a time, so that the same files give the same layer."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in _sorted(root.rglob("*")):
            about = archive.gettarinfo(each, str(each.relative_to(root)))
            about.uid = about.gid = about.mtime = 0
            about.uname = about.gname = ""
            if about.isreg():
                with each.open("rb") as opened:
                    archive.addfile(about, opened)
            else:
                archive.addfile(about)
    return written.getvalue()


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda each: each.parts)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), 0o644
    archive.addfile(about, io.BytesIO(content))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
