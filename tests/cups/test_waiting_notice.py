import logging
from pathlib import Path

import pytest

from stationkeeper_cups.in_force import waiting_notice
from stationkeeper_cups.in_force.waiting_notice import WaitingNotice, secrets_of
from stationkeeper_cups.sources import file_source
from tests.cups.client import until
from tests.cups.conftest import Cups


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each for each in caplog.records if each.name == "stationkeeper.cups.waiting"]
    assert all(each.levelno == logging.WARNING for each in found)
    return [getattr(each, "fields", {})["missing"] for each in found]


def test_missing_content_is_reported_after_10_seconds_and_every_five_minutes(caplog: pytest.LogCaptureFixture) -> None:
    looks = [0.0, 0.1, 9.9, 10.0, 10.2, 300.0, 310.0, 610.0, 1000.0]
    left = {**dict.fromkeys(looks, ("trust", "server-certificate")), 610.0: ("server-certificate",), 1000.0: ()}
    times = iter(looks)
    now = [next(times)]
    notice = WaitingNotice(lambda: left[now[0]], "/documents", lambda: now[0])
    for now[0] in times:
        notice.check()
    assert said(caplog) == ["trust, server-certificate", "trust, server-certificate", "server-certificate"]


async def test_a_server_that_was_given_nothing_says_where_it_looks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, pki: object
) -> None:
    monkeypatch.setattr(waiting_notice, "FIRST_SECONDS", 0.1)
    assert file_source.INTERVAL_SECONDS < 1
    cups = Cups(tmp_path, pki)  # type: ignore[arg-type]
    cups.start()

    async def told() -> bool:
        return bool(said(caplog))

    await until(told, "it is told")
    await cups.stop()
    fields = next(each for each in caplog.records if each.name == "stationkeeper.cups.waiting").__dict__["fields"]
    assert str(tmp_path / "documents") in fields["where"]
    assert "trust" in fields["missing"]
    assert "server-certificate" in fields["missing"]
    assert "stationkeeper-server-tls (keys tls.crt and tls.key)" in fields["secrets"]
    assert "stationkeeper-trust (key trust)" in fields["secrets"]
    assert "and 14 more" in fields["secrets"]


def test_each_secret_is_named_with_its_keys() -> None:
    assert secrets_of((), "mine") == ""
    assert secrets_of(("server-certificate",), "mine") == "mine (keys tls.crt and tls.key)"
    assert secrets_of(("trust",), "mine") == "stationkeeper-trust (key trust)"
