"""TLS connections that are told of as long as there is something to be read: OpenSSL takes one
record at a time, and does not tell whether that was all."""

# ruff: noqa: F811 - arguments have the names of fixtures, which are imported

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from test_ssl import listener, pair  # noqa: F401

from pycoro import fail_after, get_loop, select, sleep, socket, spawn, ssl

Pair = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def level(pair: Pair) -> Pair:
    """Client and server, whose connection is told of so."""
    client, server = pair
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.sendall(b"after the session tickets")
    client.recv(100)  # or close() would be a reset
    exchange(client, server, 2)
    assert server._watch.level
    return pair


def exchange(client: ssl.SSLSocket, server: ssl.SSLSocket, times: int) -> None:
    """Messages that the server waits for, and answers."""
    for number in range(times):
        reading = spawn(server.recv, 100)
        sleep(0)
        client.sendall(b"%d" % number)
        assert reading.get() == b"%d" % number
        server.sendall(b"yes")
        assert client.recv(100) == b"yes"


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many descriptors each poll of the loop has told of."""
    told: list[int] = []
    poll = get_loop()._watches._poller.poll

    def note(timeout: float) -> list[tuple[int, int]]:
        events = poll(timeout)
        told.append(len(events))
        return events

    monkeypatch.setattr(get_loop()._watches._poller, "poll", note)
    return told


@pytest.mark.parametrize("read", [ssl.SSLSocket.recv, ssl.SSLSocket.recv_into])
def test_the_kernel_is_asked_once_where_each_record_is_answered(
    pair: Pair,
    read: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, server = pair
    asked = []
    is_empty = ssl.SSLSocket._is_empty

    def ask(sock: ssl.SSLSocket) -> bool:
        asked.append(sock)
        return is_empty(sock)

    def serve() -> None:
        for _ in range(20):
            read(server, 100 if read is ssl.SSLSocket.recv else bytearray(100))
            server.sendall(b"yes")

    monkeypatch.setattr(ssl.SSLSocket, "_is_empty", ask)
    serving = spawn(serve)
    with fail_after(10):
        for _ in range(20):
            client.sendall(b"well?")
            assert client.recv(100) == b"yes"
    serving.join()
    assert sorted(asked, key=id) == sorted([client, server], key=id)


@pytest.mark.parametrize("read", [ssl.SSLSocket.recv, ssl.SSLSocket.recv_into])
def test_where_no_record_is_answered_that_ends_after_nine(
    pair: Pair, read: Callable[..., Any]
) -> None:
    client, server = pair
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kept = []

    def serve() -> None:
        for _ in range(14):
            read(server, 100 if read is ssl.SSLSocket.recv else bytearray(100))
            kept.append(bool(server._watch.level))

    serving = spawn(serve)
    with fail_after(10):
        for number in range(14):
            while len(kept) < number:
                sleep(0)
            sleep(0)  # so that it waits
            client.sendall(b"well?")
        serving.join()
    begun = kept.index(True)
    assert kept[begun:] == [True] * 9 + [False] * (5 - begun)


def test_two_records_for_an_answer_are_waited_for_in_vain_nine_times(level: Pair) -> None:
    client, server = level

    def serve() -> None:
        for _ in range(12):
            got.append(server.recv(100) + server.recv(100))
            kept.append(bool(server._watch.level))
            server.sendall(b"yes")

    got: list[bytes] = []
    kept: list[bool] = []
    serving = spawn(serve)
    with fail_after(10):
        for _ in range(12):
            sleep(0)
            client.sendall(b"head")
            client.sendall(b"body")
            assert client.recv(100) == b"yes"
    serving.join()
    assert got == [b"headbody"] * 12
    assert kept == [True] * 8 + [False] * 4


def test_what_comes_while_nobody_waits_keeps_no_poll_from_sleeping(
    level: Pair, polls: list[int]
) -> None:
    client, server = level
    with fail_after(10):
        client.sendall(b"one")
        while server._watch.level:
            sleep(0.001)
        polls.clear()
        sleep(0.01)
        assert sum(polls) < 5  # hundreds, if each told of it
        client.sendall(b"two")
        assert [server.recv(100), server.recv(100)] == [b"one", b"two"]
        exchange(client, server, 3)


def test_records_that_come_together(level: Pair) -> None:
    client, server = level
    with fail_after(10):
        for _ in range(3):
            reading = spawn(server.recv, 100)
            sleep(0)
            for message in (b"one", b"two", b"three"):
                client.sendall(message)
            assert [reading.get(), server.recv(2), server.recv(2)] == [b"one", b"tw", b"o"]
            assert server.recv(100) == b"three"


@pytest.mark.parametrize("read", [ssl.SSLSocket.recv, ssl.SSLSocket.recv_into])
def test_many_records_together_do_not_take_a_turn_of_the_loop_each(
    level: Pair, read: Callable[..., Any]
) -> None:
    client, server = level
    turns = left = 0
    buffer = 1000 if read is ssl.SSLSocket.recv else bytearray(1000)

    def read_all() -> None:
        nonlocal left
        while left:
            read(server, buffer)
            left -= 1

    with fail_after(10):
        for _ in range(2):
            left = 100
            reading = spawn(read_all)
            sleep(0)
            for _ in range(100):
                client.sendall(b"record")
            turns = 0
            while left:
                turns += 1
                sleep(0)
            reading.get()
            assert turns < 5
        assert not server._watch.level
        exchange(client, server, 3)


def test_a_writer_that_has_to_wait(level: Pair) -> None:
    client, server = level
    payload = bytes(1 << 24)
    with fail_after(30):
        writing = spawn(server.sendall, payload)
        reading = spawn(server.recv, 100)
        sleep(0)
        assert not server._watch.level
        left = len(payload)
        while left:
            left -= len(client.recv(1 << 20))
        writing.get()
        client.sendall(b"thanks")
        assert reading.get() == b"thanks"


def wait_by_select(server: ssl.SSLSocket) -> None:
    assert select.select([server], [], [])[0] == [server]


def wait_by_callback(server: ssl.SSLSocket) -> None:
    called = []
    get_loop().add_reader(server, called.append, None)
    while not called:
        sleep(0.001)
    get_loop().remove_reader(server)


@pytest.mark.parametrize("wait", [socket.wait_read, wait_by_select, wait_by_callback])
def test_others_that_wait_beside_the_reader(
    level: Pair, wait: Callable[[ssl.SSLSocket], None]
) -> None:
    client, server = level
    with fail_after(10):
        reading = spawn(server.recv, 100)
        sleep(0)
        waiting = spawn(wait, server)
        sleep(0)
        assert not server._watch.level
        client.sendall(b"for the reader")
        client.sendall(b"for the other")
        waiting.get()
        assert [reading.get(), server.recv(100)] == [b"for the reader", b"for the other"]
        exchange(client, server, 3)


@pytest.mark.parametrize("is_waiting", [True, False])
def test_the_end(level: Pair, polls: list[int], is_waiting: bool) -> None:
    client, server = level
    with fail_after(10):
        reading = spawn(server.recv, 100) if is_waiting else None
        sleep(0)
        client.close()
        if reading is not None:
            assert reading.get() == b""
        sleep(0.01)
        polls.clear()
        sleep(0.01)
        assert sum(polls) < 5
        assert server.recv(100) == b""


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_whatever_is_done_between(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    sent, got = bytearray(), bytearray()
    client, server = pair
    steps = [int(chance.random() ** 4 * 40_000) + 1 for _ in range(200)]

    def send() -> None:
        for number, size in enumerate(steps):
            data = bytes([number]) * size
            sent.extend(data)
            client.sendall(data)
            if chance.random() < 0.6:
                sleep(0)

    def between() -> Any:
        what = chance.random()
        if what < 0.4:
            return sleep(0)
        if what < 0.5:
            return server.sendall(b"x" * 100)
        if what < 0.53:
            return socket.wait_write(server)
        if what < 0.56:
            return server.settimeout(chance.choice([None, 5.0]))
        if what < 0.59:
            return get_loop().watch(server.fileno())
        if what < 0.62 and len(got) < len(sent) and not server.pending():
            return socket.wait_read(server, 0.001, TimeoutError())
        return None

    with fail_after(20):
        sending = spawn(send)
        while len(got) < sum(steps):
            got += server.recv(chance.choice([10, 1000, 100_000]))
            try:
                between()
            except TimeoutError:
                pass
        sending.get()
    assert got == sent
