import socket

from stationkeeper_tools.ports import free_port, is_free, is_served


def test_a_port_that_somebody_listens_on_is_served_and_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert is_served(port)
        assert not is_free(port)


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()

    assert not is_served(port)
    with socket.create_server(("127.0.0.1", port)):
        assert is_served(port)
