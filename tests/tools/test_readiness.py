import socket
import threading

import pytest

from stationkeeper_tools.local_cluster.readiness import is_ready
from stationkeeper_tools.ports import free_port


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
        (b"not HTTP\r\n\r\n", False),
        (b"", False),
    ],
)
def test_only_an_answer_with_status_200_means_ready(answer: bytes, expected: bool) -> None:
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(1000))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert is_ready(f"http://127.0.0.1:{listener.getsockname()[1]}") is expected
        server.join(10)

    assert received[0].startswith(b"GET /readyz HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_does_not_listen_is_not_ready(scheme: str) -> None:
    assert not is_ready(f"{scheme}://127.0.0.1:{free_port()}")
