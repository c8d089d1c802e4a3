import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from images.base_image import CONTAINERFILE, BaseImageError, base_image, check

ROOT = Path(__file__).parents[2]
PROCESSORS = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})


def index(*platforms: dict[str, str]) -> bytes:
    manifests: list[dict[str, Any]] = [{"platform": each} for each in platforms]
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


def named(content: bytes) -> str:
    return f"python:3.13-slim@sha256:{hashlib.sha256(content).hexdigest()}"


def fault(image: str, content: bytes) -> str:
    try:
        check(image, content)
    except BaseImageError as error:
        return str(error)
    return ""


def test_the_containerfile_pins_its_base_image_by_digest() -> None:
    assert base_image(CONTAINERFILE.read_text()).startswith("python:3.13-slim@sha256:")


def test_a_base_image_without_a_digest_is_reported() -> None:
    with pytest.raises(BaseImageError, match="add @sha256"):
        base_image("ARG PYTHON_IMAGE=python:3.13-slim\n")


def test_the_image_under_the_pinned_digest_is_used() -> None:
    content = index(*PROCESSORS, {"os": "unknown", "architecture": "unknown"})
    assert fault(named(content), content) == ""


@pytest.mark.parametrize("digest", ["0" * 64, hashlib.sha256(index(*PROCESSORS) + b"\n").hexdigest()])
def test_a_wrong_digest_is_reported_with_the_right_one(digest: str) -> None:
    content = index(*PROCESSORS)
    with pytest.raises(BaseImageError, match=hashlib.sha256(content).hexdigest()):
        check(f"python:3.13-slim@sha256:{digest}", content)


@pytest.mark.parametrize(
    ("content", "lacking"),
    [
        (index(PROCESSORS[0]), "linux/arm64"),
        (index(PROCESSORS[1], {"os": "windows", "architecture": "amd64"}), "linux/amd64"),
        (json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode(), "linux/amd64, linux/arm64"),
    ],
)
def test_an_image_that_not_every_processor_can_run_is_reported(content: bytes, lacking: str) -> None:
    with pytest.raises(BaseImageError, match=lacking):
        check(named(content), content)


def test_the_images_are_built_with_the_uv_of_the_makefile_by_a_hash_for_each_processor() -> None:
    pinned, makefile = (ROOT / "images/uv.txt").read_text(), (ROOT / "Makefile").read_text()
    version = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    assert re.findall(r"^uv==(\S+) ", pinned, re.MULTILINE) == version
    assert len(set(re.findall(r"--hash=sha256:[0-9a-f]{64}", pinned))) == 2
