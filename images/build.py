"""Build an image without a container engine, as the Containerfile builds it, with its bill of materials.

    python -m images.build cups --out dist/images

Needs uv. Writes `cups.tar`, an OCI archive; `cups.cdx.json`, a CycloneDX bill of materials of what `uv.lock` pins; and
`cups.licences.txt`, each package with its licence.
"""

import argparse
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from images import materials
from images.pack import COMPONENTS, Image, pack
from images.programs import run, uv

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Built:
    """An image.

    Attributes:
        root: its root file system.
        archive: it as an OCI archive.
        digest: of its manifest.
        materials: its bill of materials.
        licences: a text file.
    """

    root: Path
    archive: Path
    digest: str
    materials: Path
    licences: Path


def build(component: str, out: Path, revision: str = "unknown", uv_options: tuple[str, ...] = ()) -> Built:
    """Build one of the images into the folder `out`.

    Args:
        component: which one.
        out: a folder; what was built there before is replaced.
        revision: the commit, for a label.
        uv_options: such as `--offline`.

    Raises:
        subprocess.CalledProcessError: a step failed; it has said why.
    """
    out.mkdir(parents=True, exist_ok=True)
    root, archive = out / f"{component}.root", out / f"{component}.tar"
    shutil.rmtree(root, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        sources, environment = Path(folder) / "src", Path(folder) / "environment"
        _lay_sources(component, sources)
        uv(
            *("sync", "--frozen", "--no-dev", "--no-editable", "--extra", COMPONENTS[component].extra, *uv_options),
            cwd=sources,
            UV_PROJECT_ENVIRONMENT=str(environment),
        )
        python = str(environment / "bin/python")
        run(
            python,
            str(ROOT / "images/rootfs.py"),
            *("--environment", str(environment), "--program", COMPONENTS[component].program, "--root", str(root)),
        )
        licences = out / f"{component}.licences.txt"
        licences.write_text(run(python, "-I", str(ROOT / "images/licences.py")), encoding="utf-8")
    digest = pack(Image(component, _version(), revision), root, archive)
    bill = materials.write(out / f"{component}.cdx.json", "--extra", COMPONENTS[component].extra, *uv_options)
    return Built(root, archive, digest, bill, licences)


def _lay_sources(component: str, target: Path) -> None:
    """Copy exactly the files that the Containerfile copies for the stage of this image."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    common = re.findall(r"^COPY (.+) \./$", text, re.MULTILINE)[0]
    stage = re.findall(rf"^FROM build AS build-{component}\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)[0]
    target.mkdir()
    for name in common.split():
        shutil.copy2(ROOT / name, target / name)
    for source, place in re.findall(r"^COPY (\S+) (\S+)$", stage, re.MULTILINE):
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / source, target / place, ignore=shutil.ignore_patterns("__pycache__"))


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("component", choices=sorted(COMPONENTS))
    parser.add_argument("--out", type=Path, default=ROOT / "dist/images")
    parser.add_argument("--revision", default="unknown")
    options = parser.parse_args()
    built = build(options.component, options.out, options.revision)
    size = built.archive.stat().st_size / 1e6
    print(f"{built.archive}: {size:.1f} MB, {built.digest}")  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
