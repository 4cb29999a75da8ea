"""Cooperative TLS, with a certificate of our own for localhost (valid for a hundred years)."""

from __future__ import annotations

import ssl as stdlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pycoro import fail_after, sleep, socket, spawn, ssl

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"


def server_context() -> stdlib.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_context() -> stdlib.SSLContext:
    context: stdlib.SSLContext = ssl.create_default_context(cafile=str(CERTIFICATE))
    return context


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Client and server of a TLS connection."""

    def accept() -> stdlib.SSLSocket:
        return server_context().wrap_socket(listener.accept()[0], server_side=True)

    accepting = spawn(accept)
    plain = socket.create_connection(listener.getsockname())
    client = client_context().wrap_socket(plain, server_hostname="localhost")
    server = accepting.get()
    with client, server:
        yield client, server


def test_contexts_make_cooperative_sockets(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, server = pair
    assert type(client) is type(server) is ssl.SSLSocket
    assert isinstance(client, stdlib.SSLSocket)
    assert isinstance(client, socket.socket)
    assert client.version() in ("TLSv1.2", "TLSv1.3")
    assert dict(entry[0] for entry in client.getpeercert()["subject"]) == {
        "commonName": "localhost"
    }


def test_echo_while_others_run(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, server = pair
    log: list[str] = []

    def echo() -> None:
        while data := server.recv(1000):
            log.append("server")
            server.sendall(data)

    serving = spawn(echo)
    sleep(0)
    for _ in range(3):
        log.append("client")
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    client.close()
    serving.join()
    assert log == ["client", "server"] * 3


def test_much_data_both_ways(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    payload = bytes(range(256)) * 20_000

    def receive(end: ssl.SSLSocket) -> bytes:
        received = bytearray()
        while len(received) < len(payload):
            received += end.recv(1 << 16)
        return bytes(received)

    receiving = [spawn(receive, end) for end in pair]
    sending = [spawn(end.sendall, payload) for end in pair]
    assert [task.get() for task in receiving] == [payload, payload]
    assert [task.get() for task in sending] == [None, None]


def test_makefile_and_recv_into(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, server = pair
    reading = server.makefile("rb")
    line = spawn(reading.readline)
    client.send(b"a line\nand ")
    client.write(b"more\n")
    assert (line.get(), reading.readline()) == (b"a line\n", b"and more\n")
    buffer = bytearray(10)
    filling = spawn(client.recv_into, buffer)
    server.sendall(b"into")
    assert (filling.get(), bytes(buffer[:4])) == (4, b"into")
    reading.close()


def test_unwrap_gives_the_plain_connection_back(
    pair: tuple[ssl.SSLSocket, ssl.SSLSocket],
) -> None:
    client, server = pair
    unwrapping = spawn(server.unwrap)
    plain = client.unwrap()
    other = unwrapping.get()
    other.sendall(b"plain")
    assert plain.recv(10) == b"plain"


def test_timeouts(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, _ = pair
    client.settimeout(0.01)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(0)
    with pytest.raises(ssl.SSLWantReadError):
        client.recv(1)


def test_a_handshake_that_never_comes_times_out(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as plain:
        plain.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client_context().wrap_socket(plain, server_hostname="localhost")


def test_close_wakes_a_reader(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, _ = pair
    reader = spawn(client.recv, 1)
    sleep(0)
    sleep(0.01)
    client.close()
    with pytest.raises(OSError, match="another task closed"):
        reader.get()


def test_a_certificate_nobody_vouches_for_is_refused(listener: socket.socket) -> None:
    def accept() -> str:
        try:
            server_context().wrap_socket(listener.accept()[0], server_side=True)
        except OSError as error:
            return type(error).__mro__[1].__name__
        return "accepted"

    accepting = spawn(accept)
    with socket.create_connection(listener.getsockname()) as plain:
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
    assert accepting.get() == "OSError"


def test_connect_and_accept_of_wrapped_sockets(listener: socket.socket) -> None:
    wrapped = server_context().wrap_socket(listener, server_side=True)
    accepting = spawn(wrapped.accept)
    client = client_context().wrap_socket(socket.socket(), server_hostname="localhost")
    client.connect(wrapped.getsockname())
    server, address = accepting.get()
    assert (type(server), address) == (ssl.SSLSocket, client.getsockname())
    server.sendall(b"welcome")
    assert client.recv(10) == b"welcome"
    for end in (client, server, wrapped):
        end.close()


def test_get_server_certificate(listener: socket.socket) -> None:
    def accept() -> None:
        server_context().wrap_socket(listener.accept()[0], server_side=True).close()

    accepting = spawn(accept)
    certificate = ssl.get_server_certificate(listener.getsockname())
    accepting.join()
    assert certificate.strip() in CERTIFICATE.read_text()


@pytest.mark.parametrize("suppress", [True, False])
def test_a_connection_that_ends_without_a_goodbye(
    suppress: bool, pair: tuple[ssl.SSLSocket, ssl.SSLSocket]
) -> None:
    client, server = pair
    server.suppress_ragged_eofs = suppress
    client.sendall(b"last")
    assert server.recv(10) == b"last"
    reader = spawn(server.recv, 10)
    sleep(0)
    stdlib.SSLSocket.shutdown(client, socket.SHUT_RDWR)  # of TCP alone
    if suppress:
        assert (reader.get(), server.recv_into(bytearray(10))) == (b"", 0)
    else:
        with pytest.raises(ssl.SSLEOFError):
            reader.get()


def test_what_can_be_sent(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, server = pair
    client.sendall(b"")
    for data in (b"bytes", bytearray(b"more"), memoryview(b"at last")):
        client.sendall(data)
    assert server.recv(100) == b"bytes"
    assert (server.recv(2), server.recv(100), server.recv(100)) == (b"mo", b"re", b"at last")
    for refused in (client.sendall, client.send):
        with pytest.raises(ValueError, match="non-zero flags"):
            refused(b"x", socket.MSG_OOB)
    with pytest.raises(ValueError, match="non-zero flags"):
        server.recv(1, socket.MSG_PEEK)
    client.close()
    with pytest.raises(OSError):
        client.sendall(b"x")
    with pytest.raises(OSError):
        client.recv(1)


# ---- reads that wait at once, because nothing can be there ----


class Counted:
    """OpenSSL's side of a connection, which notes what each read gave, or its error's name."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.reads: list[Any] = []

    def read(self, *args: Any) -> Any:
        try:
            self.reads.append(self.channel.read(*args))
        except OSError as error:
            self.reads.append(type(error).__name__)
            raise
        return self.reads[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)


@pytest.fixture(params=[None, 10.0], ids=["no timeout", "timeout"])
def reader(
    pair: tuple[ssl.SSLSocket, ssl.SSLSocket], request: pytest.FixtureRequest
) -> ssl.SSLSocket:
    """The server's end, after a first message that it had to wait for."""
    client, server = pair
    server.settimeout(request.param)
    first = spawn(server.recv, 100)
    sleep(0)
    client.sendall(b"first")
    assert first.get() == b"first"
    return server


def test_a_read_of_what_has_not_come_yet_does_not_fail_first(
    pair: tuple[ssl.SSLSocket, ssl.SSLSocket], reader: Any
) -> None:
    client, _ = pair
    reader._sslobj = counted = Counted(reader._sslobj)
    into = bytearray(100)

    def echo() -> None:
        for _ in range(2):
            reader.sendall(reader.recv(100))
            reader.sendall(into[: reader.recv_into(into)])

    echoing = spawn(echo)
    with fail_after(10):
        for message in (b"one", b"two", b"three", b"four"):
            client.sendall(message)
            assert client.recv(100) == message
        echoing.join()
    first = ["SSLWantReadError"] if counted.reads[0] != b"one" else []
    assert counted.reads == [*first, b"one", 3, b"three", 4]


@pytest.mark.parametrize("end", [False, True], ids=["", "and the end"])
def test_records_that_have_come_together_are_read_without_waiting_for_more(
    pair: tuple[ssl.SSLSocket, ssl.SSLSocket], reader: ssl.SSLSocket, end: bool
) -> None:
    client, _ = pair
    with fail_after(10):
        for _ in range(3):
            client.sendall(b"one")
            client.sendall(b"two")
            client.sendall(b"three")
            assert [reader.recv(100) for _ in range(2)] == [b"one", b"two"]
            assert [reader.recv(3), reader.recv(100)] == [b"thr", b"ee"]
        if end:
            reader.sendall(b"hello")
            assert client.recv(100) == b"hello"  # and what TLS itself has sent: else it is a reset
            client.sendall(b"last")
            client.close()
            assert [reader.recv(100) for _ in range(3)] == [b"last", b"", b""]


def test_a_subclass_may_receive_by_reading(listener: socket.socket) -> None:
    class Reading(ssl.SSLSocket):
        def recv(self, buflen: int = 1024, flags: int = 0) -> Any:
            return self.read(buflen)

    context = server_context()
    context.sslsocket_class = Reading
    accepting = spawn(lambda: context.wrap_socket(listener.accept()[0], server_side=True))
    plain = socket.create_connection(listener.getsockname())
    client = client_context().wrap_socket(plain, server_hostname="localhost")
    with client, accepting.get() as server:
        client.sendall(b"hello")
        assert server.recv(100) == b"hello"


def test_records_that_come_in_pieces(listener: socket.socket) -> None:
    """By hand: the end of each piece is somewhere else in a record."""
    incoming, outgoing = stdlib.MemoryBIO(), stdlib.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    plain = socket.create_connection(listener.getsockname())
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or pieces would be joined
    log = []

    def serve() -> None:
        connection = server_context().wrap_socket(listener.accept()[0], server_side=True)
        with connection:
            while data := connection.recv(100):
                log.append(data)
            log.append(b"the end")

    serving = spawn(serve)
    while True:
        try:
            client.do_handshake()
            break
        except stdlib.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(10_000))
    plain.sendall(outgoing.read())
    messages = [b"%d" % number * 20 for number in range(1, 10)]
    for message in messages:
        client.write(message)
    stream = outgoing.read()
    with fail_after(10), plain:
        for start in range(0, len(stream), 37):
            plain.sendall(stream[start : start + 37])
            for _ in range(5):
                sleep(0)
        plain.shutdown(socket.SHUT_WR)
        serving.join()
    assert log == [*messages, b"the end"]


def test_where_the_kernel_may_decrypt_its_buffer_is_not_asked(listener: socket.socket) -> None:
    context = server_context()
    context.options |= 1 << 3  # OP_ENABLE_KTLS
    accepting = spawn(lambda: context.wrap_socket(listener.accept()[0], server_side=True))
    plain = socket.create_connection(listener.getsockname())
    client = client_context().wrap_socket(plain, server_hostname="localhost")
    with client, accepting.get() as server, fail_after(10):
        for message in (b"one", b"two", b"three"):
            reading = spawn(server.recv, 100)
            sleep(0)
            client.sendall(message)
            assert reading.get() == message
            assert not server._watch.drained
