"""Write a bill of materials: the packages that `uv.lock` pins, in the form of CycloneDX 1.5.

    python -m images.materials dist/release/stationkeeper.cdx.json

It has no serial number and no time, so that it is the same each time. The bill of an image has the packages of one
extra; the command writes a bill of all.
"""

import argparse
import json
from pathlib import Path

from images.programs import ROOT, uv


def write(file: Path, *options: str) -> Path:
    """Write the bill of the installed packages, without those that only developers need.

    Args:
        file: where to.
        options: of `uv export`, such as `--extra cups` or `--all-extras`.

    Raises:
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    found = json.loads(uv("export", "--frozen", "--no-dev", "--format", "cyclonedx1.5", *options, cwd=ROOT))
    found.pop("serialNumber", None)
    found.get("metadata", {}).pop("timestamp", None)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return file


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    print(write(parser.parse_args().file, "--all-extras"))  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
