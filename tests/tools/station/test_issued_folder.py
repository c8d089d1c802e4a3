"""The folder of `stationkeeper issue` as the home of a Station that asks a real CUPS server."""

from pathlib import Path

import pytest

from tests.cups.conftest import Cups
from tests.cups.documents import LNS_URI, Gateway, Trusted
from tests.cups.pki import Pki
from tests.tools.command_line import stationkeeper
from tests.tools.station.gateways import token_blob
from tests.tools.station.test_command import ended, start


@pytest.mark.slow
async def test_a_station_with_the_folder_gets_its_lns(cups: Cups, pki: Pki, tmp_path: Path) -> None:
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_credentials": token_blob(pki.server_ca)})])
    await cups.loaded()
    pki.a.write(tmp_path, "ca")
    pki.server_ca.write(tmp_path, "server")
    (tmp_path / "list.csv").write_text(f"eui\n{pki.eui}\n")
    options = {"csv": "list.csv", "ca-cert": "ca.crt", "ca-key": "ca.key", "cups-trust": "server.crt", "out": "out"}
    files = [f"--{option}={tmp_path / name}" for option, name in options.items()]
    home = tmp_path / "out" / pki.eui

    issued = stationkeeper("issue", f"--cups=https://localhost:{cups.port}", *files)
    asked = await ended(await start("--eui", pki.eui, "--home", str(home), "--once"))

    assert (issued.returncode, asked[0]) == (0, 0), issued.stderr + asked[2]
    assert (home / "tc.uri").read_text() == LNS_URI
