"""The server's own event loop behaves like asyncio's, for asyncio's transports and for readers and writers."""

import asyncio
import selectors
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from stationkeeper_cups.process.event_loop import EpollSelector, new_event_loop
from tests.waiting import EVENTUALLY


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), EVENTUALLY))


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - `_run` limits the time
        await asyncio.sleep(0.005)


def _pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def test_a_reader_is_called_as_long_as_there_is_something_to_be_read() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        read: list[bytes] = []
        loop.add_reader(one, lambda size: read.append(one.recv(size)), 1)
        other.send(b"abc")
        await _until(lambda: len(read) == 3)
        assert loop.remove_reader(one.fileno())
        assert not loop.remove_reader(one)
        other.send(b"d")
        await asyncio.sleep(0.01)
        assert read == [b"a", b"b", b"c"]
        # A second call replaces the callback.
        loop.add_reader(one.fileno(), lambda: read.append(one.recv(9)))
        loop.add_reader(one.fileno(), lambda: read.append(one.recv(8).upper()))
        await asyncio.sleep(0.01)
        assert read[3:] == [b"D"]
        for each in (one, other):
            each.close()
        loop.remove_reader(one.fileno())

    _run(main)


def test_reader_and_writer_of_one_file_are_called_each_by_itself() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        called: list[str] = []

        def write() -> None:
            called.append("w")
            loop.remove_writer(one)

        loop.add_reader(one, lambda: called.append(one.recv(9).decode()))
        loop.add_writer(one, write)
        await asyncio.sleep(0.01)
        assert called == ["w"]
        other.send(b"r")
        await asyncio.sleep(0.01)
        assert called == ["w", "r"]
        loop.add_writer(one, write)
        assert loop.remove_reader(one)
        other.send(b"r")
        await asyncio.sleep(0.01)
        assert called == ["w", "r", "w"]
        for each in (one, other):
            each.close()

    _run(main)


def test_a_hang_up_is_told_to_the_reader_and_a_file_may_be_closed_before_it_is_left_out() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        read: list[bytes] = []
        loop.add_reader(one, lambda: read.append(one.recv(9)))
        other.close()
        await asyncio.sleep(0.01)
        assert read[0] == b""
        number = one.fileno()
        one.close()
        assert loop.remove_reader(number)

    _run(main)


def test_a_file_that_a_reader_closes_is_not_called_in_the_same_round() -> None:
    async def main() -> None:
        loop, pairs = asyncio.get_running_loop(), [_pair() for _ in range(2)]
        called: list[int] = []

        def first(number: int) -> None:
            called.append(number)
            for one, _ in pairs:
                loop.remove_reader(one)

        for number, (one, other) in enumerate(pairs):
            other.send(b"x")
            loop.add_reader(one, first, number)
        await asyncio.sleep(0.01)
        assert len(called) == 1
        for pair in pairs:
            for each in pair:
                each.close()

    _run(main)


def test_a_reader_that_fails_is_reported_and_keeps_no_other_from_being_called() -> None:
    async def main() -> None:
        loop, told = asyncio.get_running_loop(), list[BaseException]()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        (bad, bad_peer), (good, good_peer) = _pair(), _pair()
        read: list[bytes] = []

        def fail() -> None:
            loop.remove_reader(bad)
            raise ZeroDivisionError

        loop.add_reader(bad, fail)
        loop.add_reader(good, lambda: read.append(good.recv(1)))
        bad_peer.send(b"x")
        good_peer.send(b"y")
        await _until(lambda: bool(read and told))
        assert read == [b"y"]
        assert [type(each) for each in told] == [ZeroDivisionError]
        for each in (bad, bad_peer, good, good_peer):
            each.close()

    _run(main)


def test_asyncio_s_own_streams_threads_signals_and_timers_work() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(200_000))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(200_000))
        assert len(await reader.read(-1)) == 200_000
        writer.close()
        server.close()
        assert await asyncio.to_thread(lambda: 7) == 7
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
        signal.raise_signal(signal.SIGUSR1)
        await told.wait()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(0.02)
        assert loop.time() - begun >= 0.02

    _run(main)


def test_a_file_that_cannot_be_watched_is_refused() -> None:
    async def main() -> None:
        one, other = _pair()
        other.close()
        one.close()
        with pytest.raises((OSError, ValueError)):
            asyncio.get_running_loop().add_reader(one, print)

    _run(main)


def test_a_reused_file_number_of_asyncio_is_watched_again() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        waiting = asyncio.create_task(loop.sock_recv(one, 1))
        await asyncio.sleep(0.01)
        other.send(b"a")
        assert await waiting == b"a"
        number = one.fileno()
        one.close()
        one, third = _pair()
        assert number in {one.fileno(), third.fileno()}
        again, peer = (one, third) if one.fileno() == number else (third, one)
        heard = asyncio.Event()
        loop.add_reader(again, heard.set)
        peer.send(b"b")
        await asyncio.wait_for(heard.wait(), EVENTUALLY)
        loop.remove_reader(again)
        for each in (other, again, peer):
            each.close()

    _run(main)


def test_calls_scheduled_by_a_reader_run_at_once() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        done: list[str] = []
        told = asyncio.get_running_loop().create_future()

        def read() -> None:
            one.recv(1)
            loop.call_soon(done.append, "soon")
            loop.call_later(0.01, done.append, "later")
            loop.call_later(0.02, told.set_result, None)

        loop.add_reader(one, read)
        far = loop.call_later(600, print)
        other.send(b"x")
        await told
        assert loop.time() < far.when()
        assert done == ["soon", "later"]
        far.cancel()
        loop.remove_reader(one)
        for each in (one, other):
            each.close()

    _run(main)


def test_readers_that_are_always_ready_delay_no_timer() -> None:
    async def main() -> None:
        loop, (one, other) = asyncio.get_running_loop(), _pair()
        called = 0

        def read() -> None:
            nonlocal called
            called += 1

        loop.add_reader(one, read)
        other.send(b"x")
        # The timer comes in any case, and the reader is called in each turn meanwhile.
        await asyncio.sleep(0.02)
        while called < 2:  # noqa: ASYNC110 - a busy machine may take longer than that for one turn
            await asyncio.sleep(0)
        loop.remove_reader(one)
        for each in (one, other):
            each.close()

    _run(main)


def test_a_reader_can_stop_the_loop() -> None:
    loop, (one, other) = new_event_loop(), _pair()

    def stop() -> None:
        one.recv(1)
        loop.stop()

    loop.add_reader(one, stop)
    other.send(b"x")
    loop.run_forever()
    loop.remove_reader(one)
    loop.close()
    for each in (one, other):
        each.close()


def test_a_file_is_registered_once_and_its_events_can_change() -> None:
    selector = EpollSelector(lambda _error: None)
    one, other = _pair()
    first = selector.register(one, selectors.EVENT_READ, "first")
    with pytest.raises(KeyError):
        selector.register(one, selectors.EVENT_WRITE)
    assert selector.select(0) == []

    changed = selector.modify(one, selectors.EVENT_WRITE, "second")
    assert (first.data, changed.data, selector.get_key(one)) == ("first", "second", changed)
    assert selector.select(0) == [(changed, selectors.EVENT_WRITE)]
    assert dict(selector.get_map()) == {one.fileno(): changed}

    selector.unregister(one)
    with pytest.raises(KeyError):
        selector.modify(one, selectors.EVENT_READ)
    assert selector.fileno() > 0
    selector.close()
    for each in (one, other):
        each.close()
