import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from stationkeeper_tools.kept_connections import KeptConnections
from stationkeeper_tools.sample_pki import KeyPair, make_root, make_server
from tests.waiting import wait_for

SECONDS = 20.0
ROOT_NAME = "API server"


@cache
def pairs() -> tuple[KeyPair, KeyPair]:
    """Return a root, and the certificate and key of a server that it signed."""
    now = datetime.now(UTC)
    root = make_root(ROOT_NAME, now)
    return root, make_server(["localhost"], ["127.0.0.1"], root, now)


class Server:
    """Answers a given number of requests on each connection, then closes it.

    Attributes:
        answers: the number of answers on each next connection.
        connections: the number of accepted connections.
        requests: the number of read requests.
        ended: the number of connections that it closed.
        reads_one_more: whether it reads another request, without an answer, before it closes a connection.
    """

    def __init__(self, folder: Path) -> None:
        self.answers, self.connections, self.requests, self.ended = [99], 0, 0, 0
        self.reads_one_more = False
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = pairs()[1].write(folder, "server")
        self._context.load_cert_chain(certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.netloc = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._run)]
        self._threads[0].start()

    def end(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._threads:
            each.join(SECONDS)

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            number = self.answers[min(self.connections, len(self.answers) - 1)]
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(accepted, number)))
            self._threads[-1].start()

    def _serve(self, accepted: socket.socket, answers: int) -> None:
        with accepted, self._context.wrap_socket(accepted, server_side=True) as connection:
            for _ in range(answers):
                if not self._read(connection):
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if self.reads_one_more:
                self._read(connection)
        self.ended += 1

    def _read(self, connection: ssl.SSLSocket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = connection.recv(4096)
            if not part:
                return False
            head += part
        self.requests += 1
        return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.end()


@pytest.fixture
def connections(server: Server) -> Iterator[KeptConnections]:
    context = ssl.create_default_context(cadata=pairs()[0].certificate_pem.decode())
    made = KeptConnections(server.netloc, context, SECONDS)
    yield made
    made.close()


def test_requests_follow_each_other_on_one_connection(server: Server, connections: KeptConnections) -> None:
    assert [connections.get("/", {})[1] for _ in range(5)] == [b"ok"] * 5
    assert (server.connections, server.requests) == (1, 5)


def test_where_the_server_closed_it_meanwhile_a_request_goes_over_another(
    server: Server, connections: KeptConnections
) -> None:
    server.answers = [2, 99]
    assert [connections.get("/", {})[1] for _ in range(5)] == [b"ok"] * 5
    assert server.connections == 2


def test_what_a_new_connection_finds_is_told(server: Server, connections: KeptConnections) -> None:
    server.answers = [1, 0]
    connections.get("/", {})
    with pytest.raises(OSError):
        connections.get("/", {})
    assert server.connections == 2


def test_what_changes_something_goes_over_a_connection_that_was_just_used(
    server: Server, connections: KeptConnections
) -> None:
    assert connections.get("/", {})[1] == b"ok"
    assert [connections.send_once("DELETE", "/", {}, None)[1] for _ in range(5)] == [b"ok"] * 5
    assert (server.connections, server.requests) == (1, 6)


def test_what_changes_something_goes_over_a_new_connection_where_the_server_closed_the_last_one(
    server: Server, connections: KeptConnections
) -> None:
    server.answers = [2, 99]
    for _ in range(2):
        connections.send_once("DELETE", "/", {}, None)
    wait_for(lambda: server.ended == 1, "the server closed it")
    assert connections.send_once("DELETE", "/", {}, None)[1] == b"ok"
    assert (server.connections, server.requests) == (2, 3)


def test_what_changes_something_goes_over_a_new_connection_where_the_last_one_was_not_used_for_long(
    server: Server, connections: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections.get("/", {})
    monkeypatch.setattr("stationkeeper_tools.kept_connections._CERTAINLY_OPEN_SECONDS", 0.0)
    assert connections.send_once("DELETE", "/", {}, None)[1] == b"ok"
    assert server.connections == 2


def test_what_changes_something_is_sent_once(server: Server, connections: KeptConnections) -> None:
    server.answers, server.reads_one_more = [1], True
    connections.get("/", {})
    with pytest.raises(OSError):
        connections.send_once("DELETE", "/", {}, None)
    assert (server.connections, server.requests) == (1, 2)


def test_threads_that_ask_at_once_have_each_a_connection_and_few_are_kept(
    server: Server, connections: KeptConnections
) -> None:
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(SECONDS)
        for _ in range(5):
            assert connections.get("/", {})[1] == b"ok"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(SECONDS)
    assert server.requests == 40
