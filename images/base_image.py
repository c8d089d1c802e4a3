"""Check in the registry that the base image of the Containerfile has the given digest, for each processor.

    python -m images.base_image

It needs docker with buildx, and a network. CI runs it before any build on the image: only the registry can confirm a
digest, and here the error names a wrong one, instead of a failed build.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

CONTAINERFILE = Path(__file__).parents[1] / "Containerfile"
ARCHITECTURES = ("amd64", "arm64")

_IMAGE = re.compile(r"^ARG PYTHON_IMAGE=(\S+:\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)


class BaseImageError(Exception):
    """The base image is not what the Containerfile says; the message says what is wrong, and what to do."""


def base_image(containerfile: str) -> str:
    """Return the base image that the text of a Containerfile names, with its tag and digest.

    Raises:
        BaseImageError: it names none in this way.
    """
    found = _IMAGE.search(containerfile)
    if not found:
        raise BaseImageError("the Containerfile names no PYTHON_IMAGE with a tag and a digest: add @sha256:…")
    return found[1]


def check(image: str, index: bytes) -> None:
    """Check what the registry has under the digest of an image.

    Args:
        image: with its digest.
        index: the bytes that the registry has: an image index (image-spec 1.1), or Docker's manifest list.

    Raises:
        BaseImageError: these are other bytes, or they lead to no image for one of the processors.
    """
    digest = f"sha256:{hashlib.sha256(index).hexdigest()}"
    if not image.endswith(f"@{digest}"):
        raise BaseImageError(f"the registry has {digest} for {image}: correct the digest in the Containerfile")
    manifests = json.loads(index).get("manifests", [])
    platforms = [each.get("platform", {}) for each in manifests]
    there = {each.get("architecture") for each in platforms if each.get("os") == "linux"}
    if lacking := [each for each in ARCHITECTURES if each not in there]:
        detail = f"{image} has no image for linux/{', linux/'.join(lacking)}"
        raise BaseImageError(f"{detail}: take the digest of its index, not that of one processor")


def _of_the_registry(image: str) -> bytes:
    command = ("docker", "buildx", "imagetools", "inspect", "--raw", image)
    try:
        done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - a fixed command
    except OSError as error:
        raise BaseImageError(f"docker is needed to ask the registry for {image}: {error}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise BaseImageError(f"`{' '.join(command)}` fails: {said}") from error
    return done.stdout


def main() -> None:
    """Run the command."""
    try:
        image = base_image(CONTAINERFILE.read_text(encoding="utf-8"))
        check(image, _of_the_registry(image))
    except BaseImageError as error:
        sys.exit(str(error))
    print(f"{image} is there, for {' and '.join(ARCHITECTURES)}")  # noqa: T201 - this is the output


if __name__ == "__main__":
    main()
