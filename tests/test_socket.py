"""Cooperative sockets: the stdlib's semantics, and that others run meanwhile."""

from __future__ import annotations

import errno
import io
import os
import socket as stdlib
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pycoro import ConcurrentObjectUseError, dns, joinall, sleep, socket, spawn
from pycoro.loop import get_loop
from pycoro.socket import connection_of
from pycoro.task import Task
from pycoro.waitingsocket import WaitingSocket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = spawn(listener.accept)
        one = socket.create_connection(listener.getsockname())
        other = accepting.get()[0]
    with one, other:
        yield one, other


@pytest.fixture
def unix_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def waiting(function: object, *args: object) -> Task:
    """A task that has begun to wait in that call."""
    task = spawn(function, *args)  # type: ignore[arg-type]
    sleep(0)
    assert not task.ready()
    return task


def echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


# ---- reading and writing ----


def test_it_is_the_stdlib_s_socket_and_does_not_block(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    assert isinstance(one, stdlib.socket)
    log: list[str] = []
    reader = waiting(lambda: log.append(one.recv(100).decode()))
    log.append("main goes on")
    other.sendall(b"data")
    reader.join()
    assert log == ["main goes on", "data"]


def test_end_of_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    reader = waiting(one.recv, 10)
    other.sendall(b"last")
    other.shutdown(socket.SHUT_WR)
    assert (reader.get(), one.recv(10), one.recv(10)) == (b"last", b"", b"")
    one.sendall(b"still open")
    assert other.recv(100) == b"still open"


def test_data_and_end_that_come_together_are_both_seen(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    for _ in range(3):
        reader = waiting(one.recv, 100)
        other.sendall(b"again")
        assert reader.get() == b"again"
    reader = waiting(one.recv, 100)
    other.sendall(b"bye")
    other.close()
    assert (reader.get(), one.recv(100)) == (b"bye", b"")


def test_a_short_read_and_more_that_came_meanwhile(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    seen = b""
    for size in range(1, 200):
        other.sendall(b"x" * size)
        if size % 3 == 0:
            sleep(0)
        seen += one.recv(1000)
        if size % 5 == 0:
            other.sendall(b"y")
            seen += one.recv(1000, socket.MSG_PEEK)[:0]
    other.shutdown(socket.SHUT_WR)
    while data := one.recv(1000):
        seen += data
    assert (seen.count(b"x"), seen.count(b"y")) == (sum(range(1, 200)), 39)


def test_urgent_data_does_not_hide_what_follows(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    reader = waiting(one.recv, 100)
    other.sendall(b"a")
    assert reader.get() == b"a"
    other.sendall(b"before")
    other.send(b"!", socket.MSG_OOB)
    other.sendall(b"after")
    seen = b""
    one.settimeout(10)
    while len(seen) < len(b"beforeafter"):
        seen += one.recv(100)
    assert seen == b"beforeafter"


def test_sendall_of_much_to_a_slow_reader(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    payload = os.urandom(1 << 20) * 8
    log: list[str] = []

    def write() -> None:
        one.sendall(memoryview(payload))
        log.append("sent")
        one.shutdown(socket.SHUT_WR)

    writer = waiting(write)
    assert log == []
    received = bytearray()
    while data := other.recv(1 << 16):
        received += data
        sleep(0)
    writer.join()
    assert received == payload


def test_recv_into_recvmsg_and_sendmsg(unix_pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = unix_pair
    buffer = bytearray(10)
    reader = waiting(one.recv_into, buffer)
    assert other.sendmsg([b"he", b"llo"]) == 5
    assert (reader.get(), bytes(buffer[:5])) == (5, b"hello")
    reader = waiting(one.recvmsg, 100)
    other.send(b"message")
    assert reader.get()[0] == b"message"
    other.send(b"message")
    assert one.recvmsg_into([buffer])[0] == 7
    assert one.recv_into(memoryview(buffer)[:0]) == 0


def test_descriptors_are_passed_over_a_unix_socket(
    unix_pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = unix_pair
    reader, writer = os.pipe()
    receiving = waiting(socket.recv_fds, one, 10, 1)
    socket.send_fds(other, [b"fd"], [writer])
    message, fds, _, _ = receiving.get()
    os.write(fds[0], b"through")
    assert (message, os.read(reader, 10)) == (b"fd", b"through")
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_datagrams() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        reader = waiting(one.recvfrom, 100)
        for text in (b"first", b"second", b""):
            other.sendto(text, one.getsockname())
        assert reader.get() == (b"first", other.getsockname())
        buffer = bytearray(10)
        assert one.recvfrom_into(buffer) == (6, other.getsockname())
        assert one.recv(100) == b""


def test_makefile_reads_lines_and_writes(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    reading = one.makefile("r", encoding="ascii", newline="\n")
    lines = spawn(reading.readlines)
    with other.makefile("wb") as writing:
        for number in range(1000):
            writing.write(b"line %d\n" % number)
    other.shutdown(socket.SHUT_WR)
    assert lines.get() == [f"line {number}\n" for number in range(1000)]
    one.close()
    assert one.fileno() >= 0
    reading.close()
    assert one.fileno() == -1


def test_sendfile(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    one, other = pair
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    sending = spawn(lambda: one.sendfile(path.open("rb"), 1000, 2_000_000))
    received = b""
    while len(received) < 2_000_000:
        received += other.recv(1 << 20)
    assert sending.get() == 2_000_000
    assert received == path.read_bytes()[1000:2_001_000]


def test_sendfile_leaves_the_file_where_the_stdlib_s_does(
    unix_pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    one, other = unix_pair
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert (one.sendfile(file, 2, 5), file.tell(), other.recv(20)) == (5, 7, b"23456")
        assert (one.sendfile(file), file.tell(), other.recv(20)) == (10, 10, b"0123456789")
        assert (one.sendfile(file, 10), file.tell()) == (0, 10)
    assert (one.sendfile(io.BytesIO(b"memory"), 3), other.recv(20)) == (3, b"ory")
    one.settimeout(0.001)
    with path.open("rb") as file, pytest.raises(TimeoutError):
        while True:
            one.sendfile(file)


# ---- timeouts ----


def test_a_timeout_that_is_no_time_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    one.settimeout(3)
    for value, error in (
        (float("nan"), ValueError),
        (-1, ValueError),
        (float("inf"), OverflowError),
        ("1", TypeError),
        ([], TypeError),
    ):
        with pytest.raises(error):
            one.settimeout(value)
    assert one.gettimeout() == 3


def test_timeouts_are_the_stdlib_s(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    assert (one.gettimeout(), one.getblocking(), one.timeout) == (None, True, None)
    one.settimeout(0.01)
    assert (one.gettimeout(), one.getblocking()) == (0.01, True)
    with pytest.raises(TimeoutError, match=r"^timed out$") as caught:
        one.recv(1)
    assert caught.value.__context__ is None
    one.setblocking(False)
    assert (one.gettimeout(), one.getblocking()) == (0.0, False)
    with pytest.raises(BlockingIOError):
        one.recv(1)
    one.setblocking(True)
    assert one.gettimeout() is None
    with pytest.raises(ValueError, match="Timeout value out of range"):
        one.settimeout(-1)
    with pytest.raises(TypeError):
        one.settimeout("soon")  # type: ignore[arg-type]


def test_timeouts_of_accept_send_and_datagrams(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    one.settimeout(0.01)
    with pytest.raises(TimeoutError):
        while True:
            one.sendall(b"x" * 1_000_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.01)
        with pytest.raises(TimeoutError):
            listener.accept()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(0.01)
        with pytest.raises(TimeoutError):
            datagrams.recvfrom(10)


def test_default_timeout_and_nonblocking_type() -> None:
    socket.setdefaulttimeout(1.5)
    try:
        with socket.socket() as one:
            assert one.gettimeout() == 1.5
    finally:
        socket.setdefaulttimeout(None)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as one:
        assert (one.gettimeout(), one.type) == (0.0, socket.SOCK_STREAM)


@pytest.mark.parametrize("kind", [socket.socket, stdlib.socket])
@pytest.mark.parametrize("timeout", [None, 1.5])
def test_what_is_accepted_is_as_if_made_by_the_constructor(
    kind: type[stdlib.socket], timeout: float | None
) -> None:
    with kind() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        socket.setdefaulttimeout(timeout)
        try:
            sock = connection_of(listener, listener._accept()[0])  # type: ignore[attr-defined]
            made = socket.socket(
                listener.family, listener.type, listener.proto, os.dup(sock.fileno())
            )
        finally:
            socket.setdefaulttimeout(None)
        with sock, made:
            assert not os.get_blocking(sock.fileno())
            names = [*WaitingSocket.__slots__, "family", "type", "proto", "_io_refs", "_closed"]
            facts = [[getattr(one, name) for name in names] for one in (sock, made)]
            assert facts[0] == facts[1]
            assert sock.gettimeout() == timeout


# ---- closing ----


@pytest.mark.parametrize("call", ["recv", "accept", "recvfrom"])
def test_close_wakes_who_waits_with_a_clear_error(call: str) -> None:
    if call == "accept":
        one = socket.create_server(("127.0.0.1", 0))
        task = waiting(one.accept)
    else:
        one, _other = socket.socketpair()
        task = waiting(getattr(one, call), 10)
    one.close()
    with pytest.raises(OSError, match="another task closed the socket") as caught:
        task.get()
    assert caught.value.errno == errno.EBADF


def test_close_wakes_reader_and_writer(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    reader, writer = waiting(one.recv, 1), waiting(one.sendall, b"x" * 20_000_000)
    one.close()
    for task in (reader, writer):
        with pytest.raises(OSError, match="another task closed"):
            task.get()


def test_a_killed_reader_leaves_the_socket_usable(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    waiting(one.recv, 10).kill()
    reader = waiting(one.recv, 10)
    other.sendall(b"data")
    assert reader.get() == b"data"


def test_a_stream_has_one_reader_and_one_writer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    reader = waiting(one.recv, 2)
    for read in (lambda: one.recv(2), lambda: one.recv_into(bytearray(2)), lambda: one.recvmsg(2)):
        with pytest.raises(ConcurrentObjectUseError, match=r"recv'.* waits to read from"):
            read()
    writer = waiting(one.sendall, bytes(1 << 24))
    with pytest.raises(ConcurrentObjectUseError, match=r"sendall'.* waits to write to"):
        one.sendall(bytes(1 << 24))
    other.sendall(b"aa")
    assert reader.get() == b"aa"
    writer.kill()


def test_connections_and_datagrams_are_for_whoever_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        waiters = [waiting(listener.accept) for _ in range(2)]
        clients = [socket.create_connection(listener.getsockname()) for _ in waiters]
        names = {client.getsockname() for client in clients}
        assert {waiter.get()[1] for waiter in waiters} == names
        for client in [*clients, *(waiter.value[0] for waiter in waiters)]:
            client.close()
    one, other = socket.socketpair(type=socket.SOCK_DGRAM)
    with one, other:
        waiters = [waiting(one.recv, 2) for _ in range(2)]
        other.send(b"aa")
        other.send(b"bb")
        assert sorted(waiter.get() for waiter in waiters) == [b"aa", b"bb"]


def test_a_call_that_is_not_to_wait_does_not(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    for _ in range(2):  # after the second one it is known that nothing is there
        reader = waiting(one.recv, 10)
        other.sendall(b"x")
        assert reader.get() == b"x"
    calls: list[Any] = [
        lambda: one.recv(1, socket.MSG_DONTWAIT),
        lambda: one.recv_into(bytearray(1), 1, socket.MSG_DONTWAIT),
        lambda: one.recvfrom(1, socket.MSG_DONTWAIT),
        lambda: one.recvmsg(1, 0, socket.MSG_DONTWAIT),
    ]
    for call in calls:
        with pytest.raises(BlockingIOError):
            call()
    with pytest.raises(BlockingIOError):
        while True:
            one.send(bytes(1 << 16), socket.MSG_DONTWAIT)
    with pytest.raises(BlockingIOError):
        one.sendmsg([b"x"], [], socket.MSG_DONTWAIT)


def test_a_closed_socket_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    one.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        one.recv(1)


def test_a_descriptor_number_that_is_used_again_is_watched_anew() -> None:
    for _ in range(5):
        one, other = socket.socketpair()
        reader = waiting(one.recv, 1)
        stdlib.socket(fileno=os.dup(other.fileno())).close()
        other.sendall(b"x")
        assert reader.get() == b"x"
        number = one.detach()
        os.close(number)
        other.close()


def test_a_closed_socket_whose_connection_lives_on_is_not_watched_any_more() -> None:
    one, other = socket.socketpair()
    reader = waiting(one.recv, 1)
    other.sendall(b"x")
    assert reader.get() == b"x"
    twin = os.dup(one.fileno())  # so may a forked child have it
    number = one.fileno()
    one.close()
    third, fourth = socket.socketpair()
    with third, fourth, other, socket.socket(fileno=twin) as heir:
        assert number in (third.fileno(), fourth.fileno())  # used again
        readers = [waiting(end.recv, 1) for end in (third, fourth)]
        other.sendall(b"y")
        assert get_loop()._watches.poll(1.0) == []
        assert [task.ready() for task in readers] == [False, False]
        assert heir.recv(1) == b"y"
        for end in (third, fourth):
            end.sendall(b"z")
        assert [task.get() for task in readers] == [b"z", b"z"]


@pytest.mark.parametrize("is_loop_s_end", [False, True])
def test_a_socket_that_its_loop_has_given_up_finds_another(is_loop_s_end: bool) -> None:
    """After unwatch() of what is not closed, or the loop's own end."""
    got = []

    def serve() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = socket.create_connection(listener.getsockname())
            other, _ = listener.accept()
        with one, other:
            exchange(one, other)
            if is_loop_s_end:
                get_loop().destroy()
            else:
                get_loop().unwatch(one.fileno())
            other.sendall(b"there already")
            got.append(one.recv(100))
            exchange(one, other)

    def exchange(one: socket.socket, other: socket.socket) -> None:
        for message in (b"waited", b"for"):
            reader = waiting(one.recv, 100)
            other.sendall(message)
            got.append(reader.get())

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(10)
    assert got == [b"waited", b"for", b"there already", b"waited", b"for"]


def test_dup_detach_and_fromfd(unix_pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = unix_pair
    one.settimeout(5)
    with one.dup() as twin, socket.fromfd(one.fileno(), one.family, one.type) as third:
        assert (type(twin), type(third), twin.gettimeout()) == (socket.socket, socket.socket, 5)
        reader = waiting(twin.recv, 10)
        other.send(b"twin")
        assert reader.get() == b"twin"
        reader = waiting(third.recv, 10)
        other.send(b"third")
        assert reader.get() == b"third"
    number = one.detach()
    assert one.fileno() == -1
    with socket.socket(fileno=number) as again:
        other.send(b"again")
        assert again.recv(10) == b"again"


# ---- connecting ----


def test_connect_and_connect_ex() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.socket() as one:
            assert one.connect_ex(address) == 0
            assert one.getpeername() == address
        with socket.create_connection(("localhost", address[1]), timeout=5) as two:
            assert (type(two), two.gettimeout()) == (socket.socket, 5)
    with socket.socket() as three:
        with pytest.raises(ConnectionRefusedError):
            three.connect(address)
    with socket.socket() as four:
        assert four.connect_ex(address) == errno.ECONNREFUSED
    with socket.socket() as five:
        five.setblocking(False)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            assert five.connect_ex(listener.getsockname()) == errno.EINPROGRESS


def test_a_socket_that_was_refused_may_connect_again() -> None:
    with socket.socket() as one:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        socket.wait_write(one)  # its end is reported, that of no connection
        with pytest.raises(ConnectionRefusedError):
            one.connect(address)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one.connect(listener.getsockname())
            assert one.getpeername() == listener.getsockname()
            with pytest.raises(OSError, match="already connected"):
                one.connect(listener.getsockname())


def test_connect_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.settimeout(0.01)
            try:
                one.connect(listener.getsockname())
            except TimeoutError as error:
                caught = error
        assert str(caught) == "timed out"
        for one in filling:
            one.close()


def test_unix_connect_waits_for_room_in_the_backlog(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        connecting = [spawn(client.connect, path) for client in clients]
        sleep(0)
        accepted = [listener.accept()[0] for _ in clients]
        joinall(connecting, raise_error=True)
        for one in [*clients, *accepted]:
            one.close()


def test_names_are_looked_up_while_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def lookup(host: str, port: int, *rest: object) -> list[object]:
        asked.set()
        answer.wait(10)
        return stdlib.getaddrinfo("127.0.0.1", port, *rest)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(dns, "_getaddrinfo", lookup)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = spawn(socket.create_connection, ("some.host.example", listener.getsockname()[1]))
        while not asked.is_set():
            sleep(0.001)
        assert not task.ready()
        answer.set()
        task.get().close()


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("no such name", 80)


# ---- many ----


def test_a_thousand_connections_echo() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def serve() -> None:
            while True:
                spawn(echo, listener.accept()[0])

        server = spawn(serve)

        def client(number: int) -> int:
            with closing(socket.create_connection(listener.getsockname())) as connection:
                for turn in range(3):
                    text = b"%d %d" % (number, turn)
                    connection.sendall(text)
                    received = b""
                    while len(received) < len(text):
                        received += connection.recv(100)
                    assert received == text
            return number

        clients = [spawn(client, number) for number in range(1000)]
        assert sum(task.get() for task in clients) == sum(range(1000))
        server.kill()


def test_a_task_that_never_has_to_wait_lets_others_run(
    unix_pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = unix_pair
    turns = 0

    def busy() -> None:
        while turns < 10:
            one.send(b"x")
            other.recv(1)

    def counts() -> None:
        nonlocal turns
        while turns < 10:
            turns += 1
            sleep(0)

    joinall([spawn(busy), spawn(counts)])
    assert turns == 10


def test_one_socket_in_several_threads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served: list[bytes] = []

        def thread() -> None:
            connection, _ = listener.accept()
            with connection:
                served.append(connection.recv(10))

        threads = [threading.Thread(target=thread) for _ in range(3)]
        for each in threads:
            each.start()
        for number in range(3):
            with socket.create_connection(listener.getsockname()) as one:
                one.sendall(b"%d" % number)
                one.recv(1)
        for each in threads:
            each.join(10)
        assert sorted(served) == [b"0", b"1", b"2"]


def test_names_of_the_module() -> None:
    missing = [name for name in stdlib.__all__ if not hasattr(socket, name)]
    assert missing == []
    assert socket.AF_INET is stdlib.AF_INET
    with pytest.raises(AttributeError):
        socket.no_such_name


def test_a_detached_descriptor_blocks_as_the_socket_did() -> None:
    for timeout, blocks in ((None, True), (0.0, False)):
        one, other = socket.socketpair()
        one.settimeout(timeout)
        fd = one.detach()
        assert os.get_blocking(fd) is blocks
        os.close(fd)
        other.close()


def test_what_was_closed_behind_our_back_can_be_detached() -> None:
    first = socket.socket()
    second = socket.socket(fileno=first.fileno())
    first.close()
    assert second.detach() >= 0
