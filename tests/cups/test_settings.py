from pathlib import Path

import pytest

from stationkeeper_core.setting_values import Address, SettingsError
from stationkeeper_cups.settings import Files, Kubernetes, read_settings

IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_without_anything_it_reads_what_the_chart_mounts() -> None:
    settings = read_settings([], {})

    assert (settings.cups, settings.internal) == (Address("0.0.0.0", 8987), Address("0.0.0.0", 8080))
    base = Path("/var/run/stationkeeper")
    assert settings.source == Files(
        base / "documents", base / "server-tls" / "tls.crt", base / "server-tls" / "tls.key"
    )
    assert settings.internal_token is None


def test_files_are_configured_by_flags() -> None:
    flags = "--source files --directory /d --tls-cert /c.pem --tls-key /k.pem --listen [::1]:1 --internal-listen a:2"
    settings = read_settings(flags.split(), {})

    assert settings.source == Files(Path("/d"), Path("/c.pem"), Path("/k.pem"))
    assert (settings.cups, settings.internal) == (Address("::1", 1), Address("a", 2))


def test_a_watch_is_configured_by_flags() -> None:
    settings = read_settings(["--source", "watch", "--namespace", "ns", "--tls-secret", "mine"], IN_POD)

    assert isinstance(settings.source, Kubernetes)
    assert (settings.source.api.url, settings.source.api.namespace) == ("https://10.96.0.1:443", "ns")
    assert settings.source.server_tls == "mine"


def test_a_flag_goes_before_its_variable() -> None:
    environment = {"STATIONKEEPER_CUPS_ADDRESS": "a:1", "STATIONKEEPER_LOG_LEVEL": "debug"}
    settings = read_settings(["--listen", "b:2"], environment)

    assert (settings.cups, settings.log_level) == (Address("b", 2), "DEBUG")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--listen", "8987"], "--listen"),
        (["--listen", "a:99999"], "--listen"),
        (["--internal-listen", ":1"], "--internal-listen"),
        (["--source", "consul"], "--source"),
        (["--source", "watch"], "--namespace"),
        (["--source", "watch", "--namespace", "ns"], "--api-server"),
        (["--log-level", "loud"], "--log-level"),
        (["--token-authentication", "yes"], "--token-authentication"),
        (["--token-authentication", ""], "--token-authentication"),
        (["--proxy-protocol-from", "10.0.0.1/8"], "--proxy-protocol-from"),
        (["--proxy-protocol-from", "0.0.0.0/0"], "--proxy-protocol-from"),
        (["--registry-buckets", "48"], "--registry-buckets"),
        (["--registry-buckets", "064"], "--registry-buckets"),
        (["--registry-buckets", "2048"], "--registry-buckets"),
    ],
)
def test_an_invalid_setting_is_named_in_the_error(flags: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(flags, {})


PROXIES = {
    "--forwarded-listen": "[::]:8988",
    "--forwarded-form": "envoy",
    "--forwarded-from": "10.0.3.0/24",
    "--forwarded-ca-file": "/ca.crt",
    "--forwarded-names": "a.example.com, spiffe://b",
}


def test_the_port_for_proxies_has_its_trusted_proxies() -> None:
    found = read_settings([each for pair in PROXIES.items() for each in pair], {}).forwarded

    assert found is not None
    proxies = found.proxies
    assert (found.address, proxies.form, proxies.authorities) == (Address("::", 8988), "envoy", Path("/ca.crt"))
    assert "10.0.3.7" in proxies.networks
    assert proxies.names == {"a.example.com", "spiffe://b"}


@pytest.mark.parametrize("missing", [each for each in PROXIES if each != "--forwarded-listen"])
def test_without_one_of_its_settings_there_is_no_port_for_proxies(missing: str) -> None:
    flags = [each for pair in PROXIES.items() if pair[0] != missing for each in pair]
    with pytest.raises(SettingsError, match=missing):
        read_settings(flags, {})


def test_help_explains_every_flag_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--source", "--directory", "--namespace", "--listen", "--internal-listen", "--tls-cert", "--tls-key"):
        assert flag in shown
    assert shown.count("STATIONKEEPER_") == 26


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--no-such-flag"], {})

    assert ended.value.code == 2
    assert "--no-such-flag" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "environment", "on"),
    [
        ([], {}, False),
        ([], {"STATIONKEEPER_TOKEN_AUTHENTICATION": "true"}, True),
        (["--token-authentication", "true"], {}, True),
        (["--token-authentication", "false"], {"STATIONKEEPER_TOKEN_AUTHENTICATION": "true"}, False),
    ],
)
def test_token_authentication_is_off_unless_it_is_switched_on(
    flags: list[str], environment: dict[str, str], on: bool
) -> None:
    assert read_settings(flags, environment).token_authentication is on


def test_the_count_of_registry_documents_is_sixteen_unless_the_release_chose_another() -> None:
    assert read_settings([], {}).buckets == 16
    assert read_settings([], {"STATIONKEEPER_REGISTRY_BUCKETS": "256"}).buckets == 256
