"""Sockets and time: no task that never has to wait starves the others, and timeouts are by the
loop's clock, one for all waits of a call."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pycoro import sleep, socket, spawn
from pycoro import ssl as our_ssl
from pycoro.socket import STREAK
from pycoro.testing import VirtualClock

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"
CALLS = 20 * STREAK
FEWEST = 19  # turns of others meanwhile


@pytest.fixture
def pair(clean_loop: None) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def turns_during(function: Callable[[], None]) -> int:
    """How often another task got its turn meanwhile."""
    turns = 0

    def count() -> None:
        nonlocal turns
        while not task.ready():
            turns += 1
            sleep(0)

    task = spawn(function)
    counter = spawn(count)
    task.get()
    counter.join()
    return turns


# ---- turns ----


READS: dict[str, Callable[[Any], Any]] = {
    "recv": lambda end: end.recv(1),
    "recv_into": lambda end: end.recv_into(bytearray(1)),
    "recvfrom": lambda end: end.recvfrom(1),
    "recvmsg": lambda end: end.recvmsg(1),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_peer_that_has_always_sent_more(
    read: Callable[[Any], Any], pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    one.sendall(bytes(CALLS))

    def drain() -> None:
        for _ in range(CALLS):
            assert read(other)

    assert turns_during(drain) >= FEWEST


def test_a_peer_that_has_always_sent_more_over_tls(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    client = our_ssl.create_default_context(cafile=CERTIFICATE)
    context.sslsocket_class = our_ssl.SSLSocket
    shaking = spawn(context.wrap_socket, pair[0], server_side=True)
    with (
        client.wrap_socket(pair[1], server_hostname="localhost") as reader,
        shaking.get() as writer,
    ):
        writer.sendall(bytes(CALLS))

        def drain() -> None:
            for _ in range(CALLS):
                assert reader.recv(1)

        assert turns_during(drain) >= FEWEST


def test_a_peer_that_reads_as_fast_as_we_send(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "_send", lambda end, data, flags=0: 1)
    assert turns_during(lambda: pair[0].sendall(bytes(CALLS))) >= FEWEST


def test_clients_that_never_stop_coming(clean_loop: None) -> None:
    count = 3 * STREAK
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(count)]

        def accept_all() -> None:
            for _ in clients:
                listener.accept()[0].close()

        assert turns_during(accept_all) >= 2
        for client in clients:
            client.close()


# ---- time ----


WAITS: dict[str, Callable[[socket.socket], Any]] = {
    "recv": lambda end: end.recv(1),
    "recv_into": lambda end: end.recv_into(bytearray(1)),
    "makefile": lambda end: end.makefile("rb").read(1),
    "sendall": lambda end: end.sendall(bytes(1 << 24)),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_timeouts_are_by_the_loop_s_clock(
    wait: Callable[[socket.socket], Any], clock: VirtualClock
) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(1000.0)
        start = clock.now
        with pytest.raises(TimeoutError):
            wait(one)
        assert clock.now - start == 1000.0


def test_so_are_those_of_accept_and_connect(clock: VirtualClock, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as late:
        listener.bind(path)
        listener.listen(0)
        listener.settimeout(1000.0)
        start = clock.now
        with pytest.raises(TimeoutError):
            listener.accept()
        assert clock.now - start == 1000.0
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)  # there is room for no more
            late.settimeout(100.0)
            with pytest.raises(TimeoutError):
                late.connect(path)
        assert 1100.0 <= clock.now - start < 1101.0


def test_the_timeout_is_one_for_all_waits_of_a_call(clock: VirtualClock) -> None:
    one, other = socket.socketpair(type=socket.SOCK_DGRAM)
    with one, other:
        one.settimeout(10.0)
        start = clock.now
        ends: list[tuple[str, float]] = []

        def read() -> None:
            try:
                ends.append((one.recv(1).decode(), clock.now - start))
            except TimeoutError:
                ends.append(("timed out", clock.now - start))

        readers = [spawn(read), spawn(read)]
        sleep(6.0)
        other.sendall(b"x")  # wakes both; one finds nothing
        for reader in readers:
            reader.join()
        assert ends == [("x", 6.0), ("timed out", 10.0)]
