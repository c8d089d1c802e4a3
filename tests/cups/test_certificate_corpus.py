"""Each row of the corpus over real TLS; the openssl program's verdict on its chain is a second opinion."""

import re
import ssl
import subprocess
from collections.abc import Awaitable
from functools import cache
from pathlib import Path

import pytest

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import format_id6, parse_hex
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.certificate_corpus import ACCEPTED, EUI, Row
from tests.cups.certificate_corpus import CORPUS as ORDINARY_CORPUS
from tests.cups.client import Answer
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.odd_corpus import ODD_CORPUS

CORPUS = {**ORDINARY_CORPUS, **ODD_CORPUS}
PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"


@cache
def _row(title: str) -> Row:
    return CORPUS[title]()


@pytest.mark.slow
@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("title", CORPUS)
async def test_a_gateway_meets_what_the_table_says(
    cups: Cups, caplog: pytest.LogCaptureFixture, title: str, tls: ssl.TLSVersion
) -> None:
    row, eui = _row(title), _eui(_row(title).gateway)
    first, *others = row.anchors
    options: dict[str, object] = {"weak_signatures": row.weak}
    vendor = Trusted("vendor", first, row.intermediates, other_anchors=tuple(others), options=options)
    cups.publish([vendor], [Gateway(eui)])
    await cups.loaded()
    client = cups.client(None, tls=tls)
    client.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    client.load(row.gateway, row.presented)

    assert await _outcome(client.ask(_request(eui)), caplog) == row.outcome


@pytest.mark.parametrize("title", CORPUS)
def test_openssl_is_of_the_same_opinion(tmp_path: Path, title: str) -> None:
    row = _row(title)
    trusted, untrusted, leaf = tmp_path / "trusted", tmp_path / "untrusted", tmp_path / "leaf"
    trusted.write_bytes(b"".join(each.certificate_pem for each in row.anchors))
    untrusted.write_bytes(b"".join(each.certificate_pem for each in (*row.intermediates, *row.presented)))
    leaf.write_bytes(row.gateway.certificate_pem)
    options: list[str | Path] = ["-partial_chain", "-purpose", "sslclient", "-auth_level", "2", "-trusted", trusted]
    helpers: list[str | Path] = ["-untrusted", untrusted] if untrusted.stat().st_size else []

    done = subprocess.run(["openssl", "verify", *options, *helpers, leaf], capture_output=True, text=True, check=False)

    assert (done.returncode == 0) == row.openssl_accepts, done.stderr


def test_the_page_for_users_has_each_row_with_its_outcome() -> None:
    rows = dict(re.findall(r"^\| (.+?) \| (accepted|`\w+`) \|", PAGE.read_text(), re.MULTILINE))

    expected = {title: _row(title).outcome for title in CORPUS}

    assert {title: rows.get(title, "missing").strip("`").replace("accepted", ACCEPTED) for title in CORPUS} == expected


async def _outcome(asked: Awaitable[Answer], caplog: pytest.LogCaptureFixture) -> str:
    try:
        answer = await asked
    except OSError:
        return str(next(each.fields["reason"] for each in caplog.records if each.getMessage() == "handshake refused"))  # type: ignore[attr-defined]
    return answer.reason if answer.status != 200 else ACCEPTED


def _eui(pair: KeyPair) -> str:
    try:
        found = parse_certificate(ssl.PEM_cert_to_DER_cert(pair.certificate_pem.decode())).common_names[0]
    except StationkeeperError:
        return EUI
    return EUI if parse_hex(found) is None else found.upper()


def _request(eui: str) -> bytes:
    found = parse_hex(eui)
    assert found is not None
    return f'{{"router":"{format_id6(found)}"}}'.encode()
