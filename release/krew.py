"""Make the files that krew, the package manager of kubectl plugins, installs: an archive and its manifest.

    python -m release.krew --out dist/release

The archive holds a shell script that runs the program `stationkeeper`, which pipx or uv has installed. It is not a
bundle of Python packages. cryptography, msgspec and PyYAML are machine code, so each system, processor and version of
Python would need its own bundle of about 40 MB, which keeps its OpenSSL until the next release.
"""

import argparse
import gzip
import hashlib
import io
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import yaml

from release.versions import ROOT, version

PLUGIN = "stationkeeper"
PROGRAM = f"kubectl-{PLUGIN}"
SCRIPT = ROOT / "release" / PROGRAM
_SYSTEMS = ["darwin", "linux"]
_DESCRIPTION = """\
Why can a gateway not connect? Who is silent, who is refused? This plugin
answers from the TrustedCA and Gateway resources of Stationkeeper, a CUPS
server for gateways that run LoRa Basics Station; and it suspends, revokes and
rotates, and waits until every pod of the server enforces that.
"""
_CAVEATS = """\
The plugin runs the program stationkeeper, which is a Python package. Install
it first, with one of:
  pipx install 'stationkeeper[tools]=={version}'
  uv tool install 'stationkeeper[tools]=={version}'
"""


class _Blocks(yaml.SafeDumper):
    """Writes a text of several lines as a block, as people do."""


def _text(dumper: _Blocks, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def archive(out: Path) -> Path:
    """Write the archive, the same bytes each time; return its place."""
    said = version()
    script = SCRIPT.read_text(encoding="utf-8").replace("@VERSION@", said)
    files = {PROGRAM: (script.encode(), 0o755), "LICENSE": ((ROOT / "LICENSE").read_bytes(), 0o644)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    out.mkdir(parents=True, exist_ok=True)
    place = out / f"{PROGRAM}-{said}.tar.gz"
    place.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return place


def manifest(packed: Path) -> dict[str, Any]:
    """Return the manifest of an archive for `krew-index` (krew.googlecontainertools.github.com/v1alpha2)."""
    said = version()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"]
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": PLUGIN},
        "spec": {
            "version": f"v{said}",
            "homepage": repository,
            "shortDescription": "Look after LoRa Basics Station gateways",
            "description": _DESCRIPTION,
            "caveats": _CAVEATS.format(version=said),
            "platforms": [
                {
                    "selector": {"matchExpressions": [{"key": "os", "operator": "In", "values": _SYSTEMS}]},
                    "uri": f"{repository}/releases/download/v{said}/{packed.name}",
                    "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
                    "bin": PROGRAM,
                }
            ],
        },
    }


def write(out: Path) -> Path:
    """Write the archive and its manifest; return the manifest's place."""
    place = out / f"{PLUGIN}.yaml"
    place.write_text(yaml.dump(manifest(archive(out)), Dumper=_Blocks, sort_keys=False), encoding="utf-8")
    return place


def main() -> None:
    """Run the command: print the place of the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist/release")
    print(write(parser.parse_args().out))  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
