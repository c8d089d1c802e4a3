"""The page as a part of `serve`: it soon shows a change in the folder, and a gateway's visit."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from stationkeeper_tools.ports import free_port
from tests.tools.command_line import process
from tests.tools.manifest_files import EUI, gateway, trusted_ca
from tests.tools.standalone.serving import Serving

TOKEN = "0123456789abcdef0123456789abcdef"


class Page:
    """A browser's requests for pages, with a token as the password."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def text(self, path: str, token: str = TOKEN) -> str:
        asked = urllib.request.Request(f"{self._base}/{path}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - its own URL
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - its own URL
            found: str = answer.read().decode()
        return " ".join(found.split())

    def shows(self, path: str, text: str) -> bool:
        try:
            return text in self.text(path)
        except (urllib.error.URLError, ConnectionError):
            return False


@pytest.mark.slow
def test_resources_of_the_folder_are_on_the_page_with_their_visits(serving: Serving, tmp_path: Path) -> None:
    token = tmp_path / "page.token"
    token.write_text(TOKEN)
    port = free_port()
    page = Page(port)
    serving.put("ca.yaml", trusted_ca())
    serving.put("gateway.yaml", gateway())
    serving.start("--page", f"127.0.0.1:{port}", "--page-token-file", str(token))
    serving.until_enforced("Gateway", "gateway-1")
    serving.until(lambda: page.shows("", "1 gateway"), "the gateway is on the page")
    serving.until(
        lambda: page.shows("gateway?namespace=radio&name=gateway-1", "Accepted"), "its conditions are on the page"
    )
    serving.asks()
    serving.until(
        lambda: page.shows("gateway?namespace=radio&name=gateway-1", "it came by radio/vendor"),
        "its visit is on the page",
    )
    assert EUI in page.text("gateways")
    serving.put("gateway.yaml", gateway(suspended=True))
    serving.until(lambda: page.shows("enforcement", "it was suspended"), "what a person did is on the page")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        page.text("", token="wrong" * 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--page", "0.0.0.0:8090"), "would be open to everybody"),
        (("--page", "8090"), "set it to host:port"),
        (("--page-token-file", "token"), "goes with --page"),
    ],
)
def test_a_page_that_cannot_be_meant_is_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    tmp_path.joinpath("manifests").mkdir()
    where = ("--manifests", str(tmp_path / "manifests"), "--state", str(tmp_path / "state"))
    done = process("serve", *where, *options)
    assert done.returncode == 2
    assert told in done.stderr
