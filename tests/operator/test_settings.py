from pathlib import Path

import pytest

from stationkeeper_core.setting_values import Address, SettingsError
from stationkeeper_operator.settings import read_settings

BASE = {"STATIONKEEPER_NAMESPACE": "release"}


def test_the_environment_suffices() -> None:
    environment = {
        **BASE,
        "STATIONKEEPER_WATCH_NAMESPACES": "b, a,,",
        "STATIONKEEPER_IDENTITY": "one",
        "STATIONKEEPER_HEALTH_ADDRESS": "[::1]:9000",
    }
    settings = read_settings([], environment)
    assert settings.watch_namespaces == ("a", "b")
    assert settings.identity == "one"
    assert settings.health == Address("::1", 9000)
    assert settings.kubeconfig is None
    assert settings.internal_token is None


def test_a_flag_wins_over_the_environment() -> None:
    assert read_settings(["--namespace", "other"], BASE).namespace == "other"


def test_the_token_of_the_internal_port_is_a_file() -> None:
    environment = {**BASE, "STATIONKEEPER_INTERNAL_TOKEN_FILE": "/run/token"}
    assert read_settings([], environment).internal_token == Path("/run/token")


def test_two_processes_of_one_host_have_different_identities() -> None:
    assert read_settings([], BASE).identity != read_settings([], BASE).identity


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "STATIONKEEPER_NAMESPACE"),
        ({"STATIONKEEPER_NAMESPACE": "Not_A_Name"}, "--namespace"),
        ({**BASE, "STATIONKEEPER_WATCH_NAMESPACES": "a,*"}, "--watch-namespaces"),
        ({**BASE, "STATIONKEEPER_CUPS_NAMES": "https://cups.example.org"}, "--cups-names"),
        ({**BASE, "STATIONKEEPER_CUPS_NAMES": "*.example.org"}, "--cups-names"),
        ({**BASE, "STATIONKEEPER_HEALTH_ADDRESS": "8081"}, "--health-address"),
        ({**BASE, "STATIONKEEPER_HEALTH_ADDRESS": "host:65536"}, "--health-address"),
        ({**BASE, "STATIONKEEPER_LOG_LEVEL": "LOUD"}, "--log-level"),
        ({**BASE, "STATIONKEEPER_IDENTITY": "a\nb"}, "--identity"),
    ],
)
def test_an_unusable_variable_is_named_in_the_error(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings([], environment)


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], BASE)
    shown = capsys.readouterr().out
    for name in ("NAMESPACE", "WATCH_NAMESPACES", "IDENTITY", "HEALTH_ADDRESS", "CUPS_NAMES", "LOG_LEVEL"):
        assert f"STATIONKEEPER_{name}" in shown


def test_the_names_of_cups_are_read_without_regard_to_case_and_order() -> None:
    found = read_settings([], {**BASE, "STATIONKEEPER_CUPS_NAMES": "b.example.org:8987, A.example.org,,"})
    assert found.cups_names == ("a.example.org", "b.example.org:8987")
