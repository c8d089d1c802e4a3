"""`stationkeeper station` as a process, with a real CUPS server."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.ports import free_port
from tests.cups.conftest import Cups
from tests.cups.documents import LNS_URI, Gateway, Trusted
from tests.cups.pki import Pki
from tests.tools.station.gateways import credentials, token_blob, written
from tests.waiting import EVENTUALLY

pytestmark = pytest.mark.slow


async def start(*arguments: str) -> Process:
    program = "from stationkeeper_tools.cli import main; main()"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "station", *arguments, stdout=PIPE, stderr=PIPE
    )


async def ended(process: Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), EVENTUALLY)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def options(pki: Pki, port: int, folder: Path) -> list[str]:
    boot = written(folder, credentials(pki.a_gateway, pki.server_ca))
    return ["--cups", f"https://localhost:{port}", "--eui", pki.eui, "--home", str(folder / "home"), *boot]


async def test_once_it_gets_its_lns_and_without_the_files_of_the_boot_set_it_goes_on(
    cups: Cups, pki: Pki, tmp_path: Path
) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_credentials": token_blob(pki.server_ca)})])
    await cups.loaded()

    status, out, err = await ended(await start(*options(pki, cups.port, tmp_path), "--once"))
    home = str(tmp_path / "home")
    again = await ended(await start("--eui", pki.eui, "--home", home, "--once"))

    assert (status, err) == (0, "")
    assert f"LNS URI: {LNS_URI}" in out
    assert "NNSXS" not in out
    assert (tmp_path / "home" / "tc.uri").read_text() == LNS_URI
    assert again[0] == 0
    assert "nothing to change" in again[1]


async def test_once_refused_it_exits_with_1_and_says_why_as_json(cups: Cups, pki: Pki, tmp_path: Path) -> None:
    cups.publish([Trusted("a", pki.a)], [])
    await cups.loaded()

    status, out, _ = await ended(await start(*options(pki, cups.port, tmp_path), "--once", "--json"))

    assert status == 1
    events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert [each["event"] for each in events] == ["outcome", "outcome", "request", "outcome"]
    assert (events[-1]["result"], events[-1]["status"]) == ("Rejected", 404)
    assert events[-1]["refusal"].startswith("GatewayNotRegistered")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_while_it_waits(
    cups: Cups, pki: Pki, tmp_path: Path, number: signal.Signals
) -> None:
    process = await start(*options(pki, cups.port, tmp_path), "--retry", "0.01", "--json")
    assert process.stdout is not None
    async with asyncio.timeout(EVENTUALLY):
        while json.loads(await process.stdout.readline()).get("result") != "Answered":
            pass

    process.send_signal(number)

    status, _, err = await ended(process)
    assert (status, err) == (0, "")


async def test_a_count_of_failures_ends_with_1(pki: Pki, tmp_path: Path) -> None:
    process = await start(*options(pki, free_port(), tmp_path), "--retry", "0.01", "--count", "2", "--json")

    status, out, _ = await ended(process)

    events = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [each["faults"][0]["fault"] for each in events if each.get("result") == "Failed"] == ["ConnectFailed"] * 2


async def test_with_a_bad_uri_in_its_folder_it_does_not_start_as_a_station_does_not(pki: Pki, tmp_path: Path) -> None:
    arguments = options(pki, free_port(), tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cups.uri").write_text("https://cups.example.org:8987/path")

    status, out, err = await ended(await start(*arguments, "--once"))

    assert (status, out) == (1, "")
    assert "BadURI: cups.uri" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--cups", "https://a"], "is not http(s)://host:port"),
        (["--cups", "https://a:1"], "--trust is needed"),
        (["--cups", "https://a:1", "--trust", "missing", "--cert", "missing"], "--cert and --key go together"),
        (["--cups", "https://a:1", "--trust", "missing"], "missing: No such file"),
        (["--eui", "102:304:506"], "is not an EUI: write 16 hex digits"),
        (["--fresh"], "--fresh deletes all sets: give --cups"),
        (["--retry", "nan"], "is not a number of seconds"),
        (["--once", "--count", "2"], "not allowed with"),
    ],
)
async def test_a_wrong_use_exits_with_2_and_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    process = await start("--eui", "0102030405060708", "--home", str(tmp_path / "home"), *arguments)

    status, _, err = await ended(process)

    assert status == 2
    assert problem in err


async def test_a_used_folder_reports_ignored_options_and_starts_again_on_request(
    cups: Cups, pki: Pki, tmp_path: Path
) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await cups.loaded()
    arguments = options(pki, cups.port, tmp_path)
    closed = ["--eui", pki.eui, "--home", str(tmp_path / "home"), "--cups", f"https://localhost:{free_port()}"]
    await ended(await start(*closed, "--trust", str(tmp_path / "trust"), "--once"))

    ignoring = await ended(await start(*arguments, "--once"))
    anew = await ended(await start(*arguments, "--once", "--fresh"))
    again = await ended(await start(*arguments, "--once"))

    assert ignoring[0] == 1
    assert "not what is given by --cert, --key, --cups: ignored; --fresh starts anew" in ignoring[2]
    assert (anew[0], anew[2]) == (0, "")
    assert (again[0], again[2]) == (0, "")


async def test_a_regular_set_that_is_asked_first_is_reported(cups: Cups, pki: Pki, tmp_path: Path) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await cups.loaded()
    arguments = options(pki, cups.port, tmp_path)
    await ended(await start(*arguments, "--once"))
    (tmp_path / "home" / "cups.uri").write_text("https://elsewhere.example.org:8987")

    _, _, err = await ended(await start(*arguments, "--once", "--timeout", "1"))

    assert "REG set with another CUPS server, 'https://elsewhere.example.org:8987', which is asked first" in err


async def test_there_is_one_block_for_each_answer(cups: Cups, pki: Pki, tmp_path: Path) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await cups.loaded()
    once = await ended(await start(*options(pki, cups.port, tmp_path), "--once"))
    process = await start(
        *options(pki, cups.port, tmp_path), "--fresh", "--retry", "0", "--interval", "0", "--count", "2"
    )
    _, twice, _ = await ended(process)

    (block,) = once[1].split("\n\n")
    assert block.startswith("Asking localhost")
    assert "without a URI, skipped: REG, BAK" in block
    assert "Answered with status 200" in block
    first, second = twice.split("\n\n")
    assert first.startswith("The REG set has no URI; next: BAK set in 0 s; REG -> BAK\n")
    assert [each.count("Answered with status 200") for each in (first, second)] == [1, 1]
    assert "NoURI" not in once[1] + twice
