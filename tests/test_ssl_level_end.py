"""TLS connections that are told of again and again, when they, their loop or their process end:
what the kernel still tells of then keeps no poll from sleeping, and nobody waits for ever."""

# ruff: noqa: F811 - arguments have the names of fixtures, which are imported

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from test_ssl import listener, pair  # noqa: F401
from test_ssl_level import Pair, exchange, level, polls  # noqa: F401

from pycoro import _native, fail_after, get_loop, sleep, socket, spawn, ssl
from pycoro.watches import Watches


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
def test_clean_up_code_reads_what_is_there(pair: Pair, is_level: bool) -> None:
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
    while is_level and server._watch.level:  # nobody waits for it, so that ends when it is there
        sleep(0.001)
    get_loop().destroy()
    assert got == [b"last words"]


def test_a_read_that_need_not_wait_makes_no_loop(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"there")
    socket.wait_read(server)
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
