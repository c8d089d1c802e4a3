"""Pack a root file system as an image in an OCI layout, the same bytes each time (image-spec 1.1).

    python -m images.pack --component cups --root /tmp/cups --version 0.1.0 --out cups.tar

`ctr images import`, `skopeo copy oci-archive:…`, `podman load` and `docker load` take the file.
"""

import argparse
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USER = "65532:65532"
REGISTRY = "localhost"
"""The registry in the names of images that are not pushed."""
ENVIRONMENT = {"PATH": "/opt/stationkeeper/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Component:
    """The purpose of an image.

    Attributes:
        extra: the extra of the package `stationkeeper` that it contains.
        program: the program that it runs.
        ports: the ports on which it listens.
        description: a description for people.
        arguments: the arguments that the program always gets.
        defaults: the default arguments, which a user's arguments replace.
    """

    extra: str
    program: str
    ports: tuple[int, ...]
    description: str
    arguments: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()


COMPONENTS = {
    "cups": Component(
        *("cups", "stationkeeper-cups", (8987, 8080, 8988)),
        "A CUPS server for LoRa Basics Station gateways, over mutual TLS",
    ),
    "operator": Component(
        *("operator", "stationkeeper-operator", (8081,)),
        "Publishes TrustedCAs and Gateways to the CUPS server of Stationkeeper",
    ),
    "serve": Component(
        *("tools", "stationkeeper", (8987, 8080)),
        "Stationkeeper on a folder of manifests, without Kubernetes",
        ("serve",),
        ("--manifests", "/manifests", "--state", "/state"),
    ),
}


@dataclass(frozen=True)
class Image:
    """The name of an image.

    Attributes:
        component: one of `COMPONENTS`.
        version: of Stationkeeper.
        revision: the commit.
    """

    component: str
    version: str
    revision: str = "unknown"

    @property
    def name(self) -> str:
        """The name under which a node finds it, once it is imported there."""
        return f"{REGISTRY}/stationkeeper-{self.component}:{self.version}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the image-spec, the same as in the Containerfile."""
        said = {
            "title": f"stationkeeper-{self.component}",
            "description": COMPONENTS[self.component].description,
            "vendor": "Stationkeeper",
            "licenses": "Apache-2.0",
            "version": self.version,
            "revision": self.revision,
        }
        return {f"org.opencontainers.image.{name}": value for name, value in said.items()}


def pack(image: Image, root: Path, out: Path) -> str:
    """Write the image of a component's root file system as a tar file; return the digest of its manifest."""
    component = COMPONENTS[image.component]
    config = {
        "User": USER,
        "ExposedPorts": {f"{port}/tcp": {} for port in component.ports},
        "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
        "Entrypoint": [f"/opt/stationkeeper/bin/{component.program}", *component.arguments],
        "Cmd": list(component.defaults),
        "WorkingDir": "/",
        "Labels": image.labels,
    }
    return write_archive(root, out, image.name, config)


def write_archive(root: Path, out: Path, name: str, config: Mapping[str, Any]) -> str:
    """Write a root file system as an OCI archive.

    The layer is not compressed: how a compressor writes its bytes changes with its version.

    Args:
        root: the root file system.
        out: the tar file to write.
        name: of the image, with its tag. containerd imports it as this, and so does Docker.
        config: how to run it, as the image-spec has it; its `Labels` are the manifest's annotations as well.

    Returns:
        The digest of the manifest.
    """
    layer = out.with_suffix(".layer")
    try:
        with layer.open("wb") as file:
            _write(file, ((path, str(path.relative_to(root))) for path in sorted(root.rglob("*"))))
        with layer.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        described = _json(_described(config, digest))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, described),
                "layers": [{"mediaType": _LAYER, "digest": digest, "size": layer.stat().st_size}],
                "annotations": config.get("Labels", {}),
            }
        )
        index = _descriptor(_MANIFEST, manifest) | {
            "platform": {"architecture": _architecture(), "os": "linux"},
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": name.rpartition(":")[2],
            },
        }
        with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [index]}))
            for blob in (described, manifest):
                _add(archive, _place(_digest(blob)), blob)
            entry = tarfile.TarInfo(_place(digest))
            entry.size = layer.stat().st_size
            with layer.open("rb") as file:
                archive.addfile(entry, file)
    finally:
        layer.unlink(missing_ok=True)
    return _digest(manifest)


def _described(config: Mapping[str, Any], layer: str) -> dict[str, Any]:
    return {
        "architecture": _architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "images/pack.py"}],
    }


def _write(file: io.BufferedWriter, entries: Iterator[tuple[Path, str]]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, name in entries:
            entry = archive.gettarinfo(path, name)
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            # Files with one content may be linked to each other on one machine and not on another.
            if path.is_file() and not path.is_symlink():
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
                entry.mode = 0o755 if entry.mode & 0o111 else 0o644
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _architecture() -> str:
    return _MACHINES.get(platform.machine(), platform.machine())


def main() -> None:
    """Run the command: print the digest and the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--component", choices=sorted(COMPONENTS), required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", default="unknown")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    digest = pack(Image(options.component, options.version, options.revision), options.root, options.out)
    print(f"{digest} {options.out.stat().st_size / 1e6:.1f} MB")  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
