import asyncio
import ssl
from dataclasses import dataclass

import pytest

from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.client import exchange
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki
from tests.weak_pki import WeakPki

ANY = "ALL:@SECLEVEL=0"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ALLOW: dict[str, object] = {"weak_signatures": True}


@dataclass(frozen=True)
class Corpus:
    root: KeyPair
    other_root: KeyPair
    leaves: dict[str, KeyPair]


@pytest.fixture(scope="module")
def corpus(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    made = WeakPki(tmp_path_factory.mktemp("weak") / "pki")
    root, other_root = made.root("root"), made.root("other-root")
    leaves = {
        "sha1": made.issue("sha1", pki.eui, "root", digest="sha1"),
        "rsa1024": made.issue("rsa1024", pki.eui, "root", "rsa:1024"),
        "md5": made.issue("md5", pki.eui, "root", digest="md5"),
        "of another": made.issue("of-another", pki.eui, "other-root", digest="sha1"),
    }
    return Corpus(root, other_root, leaves)


async def _trust(cups: Cups, pki: Pki, *trusted: Trusted) -> None:
    cups.publish([Trusted("a", pki.a), *trusted], [Gateway(pki.eui)])
    await cups.loaded()


def _reasons(caplog: pytest.LogCaptureFixture) -> list[str | None]:
    return [getattr(record, "fields", {}).get("reason") for record in caplog.records if "refused" in record.msg]


@pytest.mark.parametrize("kind", ["sha1", "rsa1024", "md5"])
@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_weak_certificate_is_refused_by_the_handshake_where_no_ca_allows_it(
    cups: Cups, pki: Pki, corpus: Corpus, caplog: pytest.LogCaptureFixture, kind: str, tls: ssl.TLSVersion
) -> None:
    await _trust(cups, pki, Trusted("weak", corpus.root))

    alert = await cups.client(corpus.leaves[kind], tls=tls, ciphers=ANY).alert()

    assert "answered" not in alert
    assert _reasons(caplog) == ["CertificateTooWeak"]


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("kind", ["sha1", "rsa1024"])
async def test_a_ca_that_allows_weak_certificates_accepts_them(
    cups: Cups, pki: Pki, corpus: Corpus, kind: str, tls: ssl.TLSVersion
) -> None:
    await _trust(cups, pki, Trusted("weak", corpus.root, options=ALLOW))

    assert (await cups.client(corpus.leaves[kind], tls=tls, ciphers=ANY).ask()).status == 200
    assert (await cups.client(pki.a_gateway, tls=tls).ask()).status == 200


@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_broken_signature_is_refused_whatever_a_ca_allows(
    cups: Cups, pki: Pki, corpus: Corpus, caplog: pytest.LogCaptureFixture, tls: ssl.TLSVersion
) -> None:
    await _trust(cups, pki, Trusted("weak", corpus.root, options=ALLOW))

    assert "answered" not in await cups.client(corpus.leaves["md5"], tls=tls, ciphers=ANY).alert()
    assert _reasons(caplog) == ["CertificateTooWeak"]


async def test_a_ca_that_allows_it_accepts_no_certificate_of_another_ca(
    cups: Cups, pki: Pki, corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Trusted("strict", corpus.other_root)
    await _trust(cups, pki, Trusted("weak", corpus.root, options=ALLOW), strict)

    assert "answered" not in await cups.client(corpus.leaves["of another"], ciphers=ANY).alert()
    assert _reasons(caplog) == ["CertificateTooWeak"]
    assert (await cups.client(corpus.leaves["sha1"], ciphers=ANY).ask()).status == 200


async def test_the_switch_acts_in_both_directions_while_serving(cups: Cups, pki: Pki, corpus: Corpus) -> None:
    client = cups.client(corpus.leaves["sha1"], ciphers=ANY)
    for options, accepted in ((ALLOW, True), ({}, False), (ALLOW, True)):
        await _trust(cups, pki, Trusted("weak", corpus.root, options=options))
        assert (await client.alert() == "answered with 200") is accepted


async def test_a_connection_from_before_decides_on_the_new_switch(cups: Cups, pki: Pki, corpus: Corpus) -> None:
    await _trust(cups, pki, Trusted("weak", corpus.root, options=ALLOW))
    client = cups.client(corpus.leaves["sha1"], ciphers=ANY)
    with await asyncio.to_thread(client.connect) as connection:
        assert (await asyncio.to_thread(exchange, connection)).status == 200
        await _trust(cups, pki, Trusted("weak", corpus.root))
        answer = await asyncio.to_thread(exchange, connection)
        assert (answer.status, answer.reason) == (403, "CertificateTooWeak")


@pytest.mark.parametrize("ciphers", ["aNULL", "AES128-SHA", "ECDHE-RSA-AES128-SHA", "eNULL", "AES128-GCM-SHA256"])
async def test_weak_ciphers_are_still_refused(cups: Cups, pki: Pki, corpus: Corpus, ciphers: str) -> None:
    await _trust(cups, pki, Trusted("weak", corpus.root, options=ALLOW))

    weak = cups.client(pki.a_gateway, tls=ssl.TLSVersion.TLSv1_2, ciphers=f"{ciphers}:@SECLEVEL=0")

    assert await weak.alert() == "SSLV3_ALERT_HANDSHAKE_FAILURE"
