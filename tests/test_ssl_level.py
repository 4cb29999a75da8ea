"""TLS connections that are told of as long as there is something to be read: OpenSSL takes one
record at a time, and does not tell whether that was all."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from test_ssl import listener, pair  # noqa: F401

from pycoro import _native, fail_after, get_loop, select, sleep, socket, spawn, ssl
from pycoro.watches import Watches

Pair = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def level(pair: Pair) -> Pair:  # noqa: F811
    """Client and server, whose connection is told of so."""
    client, server = pair
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.sendall(b"after the session tickets")
    client.recv(100)  # or close() would be a reset
    exchange(client, server, 2)
    assert server._watch.level
    return pair


def exchange(client: ssl.SSLSocket, server: ssl.SSLSocket, times: int) -> None:
    """Messages that the server waits for."""
    for number in range(times):
        reading = spawn(server.recv, 100)
        sleep(0)
        client.sendall(b"%d" % number)
        assert reading.get() == b"%d" % number


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


def test_the_kernel_is_seldom_asked_whether_that_was_all(
    pair: Pair,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, server = pair
    asked = []
    is_empty = ssl.SSLSocket._is_empty

    def ask(sock: ssl.SSLSocket) -> bool:
        asked.append(sock)
        return is_empty(sock)

    monkeypatch.setattr(ssl.SSLSocket, "_is_empty", ask)
    with fail_after(10):
        exchange(client, server, 28)
    assert asked == [server] * 4


def test_what_comes_while_nobody_waits_keeps_no_poll_from_sleeping(
    level: Pair, polls: list[int]
) -> None:
    client, server = level
    with fail_after(10):
        client.sendall(b"one")
        sleep(0.01)
        assert not server._watch.level
        polls.clear()
        sleep(0.01)
        assert sum(polls) == 0
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
        for most in (15, 5):
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
            assert turns < most
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
        assert sum(polls) == 0
        assert server.recv(100) == b""


def test_a_descriptor_that_was_closed_behind_our_back(level: Pair, polls: list[int]) -> None:
    client, server = level
    watch = server._watch
    other = os.dup(server.fileno())  # so the kernel goes on telling of it
    try:
        os.close(server.fileno())
        client.sendall(b"into the void")
        with fail_after(10):
            sleep(0.01)
            assert watch.fd not in get_loop()._watches._watches
            left, right = socket.socketpair()
            with left, right:
                reading = spawn(left.recv, 10)
                sleep(0)
                right.sendall(b"goes on")
                assert reading.get() == b"goes on"
        assert sum(polls) < 10
    finally:
        os.dup2(other, server.fileno())  # for who closes it
        os.close(other)


def close_by_another_thread(server: ssl.SSLSocket) -> None:
    thread = threading.Thread(target=server.close)
    thread.start()
    thread.join()


def close_before(server: ssl.SSLSocket) -> None:
    os.close(server.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.close()


def use_number_again(server: ssl.SSLSocket) -> None:
    use_number_elsewhere(server)
    get_loop().watch(server.fileno())


def use_number_elsewhere(server: ssl.SSLSocket) -> None:
    there, here = os.pipe()
    os.dup2(there, server.fileno())
    os.close(there)
    os.close(here)


@pytest.mark.parametrize(
    "close", [close_by_another_thread, close_before, use_number_again, use_number_elsewhere]
)
def test_what_is_open_elsewhere_keeps_no_poll_from_sleeping(
    level: Pair, close: Callable[[ssl.SSLSocket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = level
    other = os.dup(server.fileno())  # so the kernel goes on telling of it
    looks, poll = [], Watches.poll

    def look(watches: Watches, timeout: float) -> Any:
        looks.append(timeout)
        return poll(watches, timeout)

    monkeypatch.setattr(Watches, "poll", look)
    with fail_after(10):
        close(server)
        sleep(0.01)  # the loop is told by then
        client.sendall(b"to whom it may concern")
        sleep(0.01)
        looks.clear()
        sleep(0.01)
    os.close(other)
    assert len(looks) < 10


def test_who_waits_when_another_poller_takes_over(level: Pair) -> None:
    client, server = level
    left, right = socket.socketpair()
    others = [os.dup(server.fileno()), os.dup(left.fileno())]
    with left, right, fail_after(10):
        reading = spawn(left.recv, 10)
        sleep(0)
        os.close(left.fileno())
        os.close(server.fileno())
        client.sendall(b"one")
        with pytest.raises(OSError, match="Bad file descriptor"):
            reading.get()
        for other, sock in zip(others, (server, left), strict=True):
            os.dup2(other, sock.fileno())
            os.close(other)
        assert server.recv(100) == b"one"
        exchange(server, client, 2)
        assert client._watch.level  # again
        exchange(client, server, 2)
        reading = spawn(left.recv, 10)
        sleep(0)
        right.sendall(b"two")
        assert reading.get() == b"two"


def test_no_callback_of_what_was_closed_is_removed(level: Pair) -> None:
    server = level[1]
    other = os.dup(server.fileno())
    os.close(server.fileno())
    assert not get_loop().remove_reader(server.fileno())
    os.dup2(other, server.fileno())
    os.close(other)


@pytest.mark.parametrize("is_level", [True, False])
def test_clean_up_code_reads_what_is_there(pair: Pair, is_level: bool) -> None:  # noqa: F811
    client, server = pair
    got = []

    def read_last() -> None:
        try:
            sleep(100)
        finally:
            got.append(server.recv(100))

    if is_level:
        exchange(client, server, 1)
    spawn(read_last)
    sleep(0)
    client.sendall(b"last words")
    if is_level:
        sleep(0.01)
    get_loop().destroy()
    assert got == [b"last words"]


def test_a_read_that_need_not_wait_makes_no_loop(pair: Pair) -> None:  # noqa: F811
    client, server = pair
    client.sendall(b"there")
    sleep(0.01)
    found = []

    def read() -> None:
        found.append(server.recv(100))
        found.append(_native.current())

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == [b"there", None]


def test_a_forked_child_reads_on(level: Pair) -> None:
    client, server = level
    there, here = os.pipe()
    child = os.fork()
    if not child:
        try:
            with fail_after(10):
                got = server.recv(100) + server.recv(100)
            os._exit(0 if got == b"onetwo" else 1)
        finally:
            os._exit(2)
    os.close(there)
    client.sendall(b"one")
    client.sendall(b"two")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(here)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_whatever_is_done_between(pair: Pair, seed: int) -> None:  # noqa: F811
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
