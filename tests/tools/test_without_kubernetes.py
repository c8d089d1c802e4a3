"""The systemd unit and the compose files of `examples/` are valid, and `serve` accepts their command lines."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from stationkeeper_tools.commands.serve_command import command

FOLDER = Path("examples/without-kubernetes")
UNIT = FOLDER / "stationkeeper.service"
COMPOSE = sorted(FOLDER.glob("*/compose.yaml"))


def options(arguments: list[str]) -> dict[str, Any]:
    """Return the parsed command line of `serve`."""
    return command.make_context("serve", list(arguments)).params


def service(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["services"]["stationkeeper"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", COMPOSE, ids=[each.parent.name for each in COMPOSE])
def test_a_compose_file_is_valid_by_the_schema_of_the_specification(path: Path) -> None:
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", COMPOSE, ids=[each.parent.name for each in COMPOSE])
def test_what_a_compose_file_mounts_is_what_its_command_reads(path: Path) -> None:
    found = service(path)
    given = options(found["command"])
    mounted = {each.split(":")[1] for each in found["volumes"]} | {f"/run/secrets/{each}" for each in found["secrets"]}

    assert {str(given[each]) for each in ("manifests", "state", "server_cert", "server_key")} == mounted
    assert found["ports"] == [f"{given['listen'].rpartition(':')[2]}:8987"]
    assert f", {given['internal_listen'].rpartition(':')[2]})" in " ".join(found["healthcheck"]["test"])


def test_the_image_of_the_compose_files_is_built_and_runs_serve() -> None:
    containerfile = Path("Containerfile").read_text()
    image = {service(path)["image"] for path in COMPOSE}

    assert {f"#   docker build --target serve    --tag {each} ." for each in image} <= set(containerfile.split("\n"))
    assert 'ENTRYPOINT ["/opt/stationkeeper/bin/stationkeeper", "serve"]' in containerfile


def test_the_command_line_of_the_unit_is_that_of_serve() -> None:
    line = re.search(r"^ExecStart=(.*?[^\\])$", UNIT.read_text(), re.MULTILINE | re.DOTALL)
    assert line is not None
    program, name, *arguments = shlex.split(line[1].replace("\\\n", " "))

    given = options(arguments)

    assert (program, name) == ("/opt/stationkeeper/bin/stationkeeper", "serve")
    assert str(given["server_key"]) == "${CREDENTIALS_DIRECTORY}/server.key"
    assert given["state"] is None, "systemd gives it by STATE_DIRECTORY"
    assert "StateDirectory=" in UNIT.read_text()
    with pytest.raises(click.NoSuchOption):
        options(["--manifest", "x"])


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("this machine has no systemd")
    text = UNIT.read_text().replace("/opt/stationkeeper/bin/stationkeeper", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)

    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
