"""Pack the chart for a registry: with the names of the published images, the same bytes each time.

    python -m release.chart --out dist/release --registry ghcr.io/stationkeeper --digests dist/digests

The folder of digests has a file for each image (`cups`, `operator`) with the digest of what was pushed. Without the two
options the chart is packed as it is.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from helm import document_values
from release.versions import ROOT, version
from stationkeeper_tools.programs.binaries import ProgramPlaces, find_helm
from stationkeeper_tools.progress import Progress

CHART = ROOT / "helm/stationkeeper"
IMAGES = ("operator", "cups")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MODIFIED = 315532800
"""1980-01-01: helm keeps the times of files in the archive."""


class ChartError(ValueError):
    """The chart cannot be packed; the message says why."""


def package(out: Path, registry: str = "", digests: Mapping[str, str] | None = None) -> Path:
    """Check and pack the chart; return the archive.

    Args:
        out: a folder.
        registry: where the images are, as `ghcr.io/stationkeeper`; empty: the chart names them as its sources do.
        digests: the digests of the images, by `IMAGES`; the packed chart names each image by its digest.

    Raises:
        ChartError: a digest is none.
        subprocess.CalledProcessError: helm refused the chart, and has said why.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / CHART.name
        shutil.copytree(CHART, chart)
        if registry:
            _name_images(chart, registry, digests or {})
        for path in chart.rglob("*"):
            os.utime(path, (_MODIFIED, _MODIFIED))
        _helm("lint", "--strict", "--quiet", chart)
        _helm("package", chart, "--destination", out)
    return out / f"{CHART.name}-{version()}.tgz"


def with_images(values: str, registry: str, digests: Mapping[str, str]) -> str:
    """Return the text of a `values.yaml` whose images are those of a registry.

    Raises:
        ChartError: a digest is none, or the text does not name an image in the way that is expected.
    """
    for image in IMAGES:
        name, digest = f"stationkeeper-{image}", digests.get(image, "")
        if not _DIGEST.fullmatch(digest):
            raise ChartError(f"the digest of the image {image} is {digest!r}: give sha256: and 64 hexadecimal digits")
        written = f'repository: {registry}/{name}\\g<rest>digest: "{digest}"'
        values, count = re.subn(rf'repository: {name}(?P<rest>\n(?:.*\n)*?\s+)digest: ""', written, values)
        if count != 1:
            raise ChartError(
                f"values.yaml names the image {name} {count} times as `repository`, with an empty `digest`"
            )
    return values


def _name_images(chart: Path, registry: str, digests: Mapping[str, str]) -> None:
    values, readme = chart / "values.yaml", chart / "README.md"
    text = with_images(values.read_text(encoding="utf-8"), registry, digests)
    values.write_text(text, encoding="utf-8")
    table = document_values.with_table(readme.read_text(encoding="utf-8"), document_values.documented(text))
    readme.write_text(table, encoding="utf-8")


def _helm(*arguments: str | Path) -> None:
    program = find_helm(ProgramPlaces.of_this_process(), Progress())
    subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the commands are above


def main() -> None:
    """Run the command: print the place of the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist/release")
    parser.add_argument("--registry", default="")
    parser.add_argument("--digests", type=Path)
    options = parser.parse_args()
    digests = (
        {each.name: each.read_text(encoding="utf-8").strip() for each in options.digests.iterdir()}
        if options.digests
        else {}
    )
    print(package(options.out, options.registry, digests))  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
