from pathlib import Path

import pytest

from stationkeeper_tools.commands.exit_codes import ExitCode
from tests.tools.command_line import process, stationkeeper

SECRET = "0123456789abcdef"
BY_PROXY = ("--proxy-user-header", "X-Forwarded-User", "--proxy-cidrs", "10.0.0.0/8", "--proxy-secret-file", "secret")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--listen", "0.0.0.0:8090"), "would be open to everybody"),
        (("--listen", "0.0.0.0"), "set it to host:port"),
        (("--token-file", "short"), "openssl rand -hex 32"),
        (("--token-file", "none"), "none"),
        (("--proxy-user-header", "X-Forwarded-User"), "all three options"),
        (("--proxy-user-header", "X-Forwarded-User", "--proxy-cidrs", "10.0.0.0/8"), "all three options"),
        (("--proxy-cidrs", "0.0.0.0/0", "--proxy-secret-file", "secret"), "every address"),
        ((*BY_PROXY, "--proxy-secret-header", "x-forwarded-user"), "are the same header"),
        (("--tls-cert", "secret"), "go together"),
    ],
)
def test_implausible_or_public_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short").write_text("short")
    Path("secret").write_text(SECRET)
    done = stationkeeper("page", *options)
    assert done.returncode in {ExitCode.USAGE, ExitCode.UNREACHABLE}
    assert told in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.slow
def test_a_kubeconfig_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("users: [{token: very-secret}]")
    done = process("page", "--kubeconfig", str(path))
    assert done.returncode == ExitCode.USAGE
    assert "no credentials for the API server" in done.stderr
    assert "very-secret" not in done.stderr
