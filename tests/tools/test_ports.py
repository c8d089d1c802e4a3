import secrets
import socket
import subprocess
import sys

import pytest

from stationkeeper_tools import ports
from stationkeeper_tools.ports import free_port, free_ports, is_free
from stationkeeper_tools.tool_errors import ToolError


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()

    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


def test_free_ports_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter((7, 7, 8, 7, 9))
    monkeypatch.setattr(secrets, "randbelow", lambda _: next(drawn))
    monkeypatch.setattr(ports, "is_free", lambda _: True)
    monkeypatch.setattr(ports, "_mark", lambda _: True)

    assert free_ports(3) == (20007, 20008, 20009)


def test_too_few_free_ports_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: port == 20007)
    monkeypatch.setattr(ports, "_mark", lambda _: True)
    monkeypatch.setattr(secrets, "randbelow", lambda _: 7)

    with pytest.raises(ToolError, match="200 ports tried from 20000 to 30000: 1 free, and 2 needed"):
        free_ports(2)


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_FIRST", 30600)
    monkeypatch.setattr(ports, "_COUNT", 40)
    given = [*free_ports(10), *free_ports(10)]
    assert len(set(given)) == 20


@pytest.mark.slow
def test_no_port_is_given_to_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from stationkeeper_tools import ports; ports._FIRST, ports._COUNT = 30500, 40;"
        "print(*ports.free_ports(15)); sys.stdout.flush(); sys.stdin.read()"
    )
    monkeypatch.setattr(ports, "_FIRST", 30500)
    monkeypatch.setattr(ports, "_COUNT", 40)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        of_other = {int(each) for each in other.stdout.readline().split()}
        assert len(of_other) == 15
        assert not of_other.intersection(free_ports(15))
        other.communicate()


def test_a_process_keeps_few_marks() -> None:
    free_ports(200)
    assert len(ports._MARKS) == ports._MAX_MARKS
