"""Servers of streams and datagrams: what pycoro's and gevent's do alike, and what is ours alone."""

from __future__ import annotations

import errno
import os
import signal
import socket as stdlib
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT, output_of
from peers import Api

import pycoro
from pycoro import baseserver, listeners, server, socket, wait
from pycoro.event import Event
from pycoro.pool import Pool

LOCAL = ("127.0.0.1", 0)
CERTIFICATE = str(Path(__file__).parent / "data" / "localhost.pem")


def echo(connection: Any, address: Any) -> None:
    while data := connection.recv(1000):
        connection.sendall(data)


def ask(api: Any, address: Any, text: bytes = b"hello") -> bytes:
    with api.socket.create_connection(address) as client:
        client.sendall(text)
        client.shutdown(stdlib.SHUT_WR)
        return read_all(client)


def read_all(client: Any) -> bytes:
    parts = []
    while part := client.recv(1000):
        parts.append(part)
    return b"".join(parts)


# ---- what gevent's do as well ----


def test_it_serves_from_start_to_stop(api: Api) -> None:
    one = api.server.StreamServer(LOCAL, echo)
    states = [(one.started, one.closed)]
    one.start()
    states.append((one.started, one.closed))
    assert one.server_host == "127.0.0.1"
    assert one.server_port == one.address[1] == one.socket.getsockname()[1] > 0
    assert ask(api, one.address) == b"hello"
    one.stop()
    states.append((one.started, one.closed))
    assert states == [(False, True), (True, False), (False, True)]
    with pytest.raises(ConnectionRefusedError):
        ask(api, one.address)


def test_a_subclass_has_its_own_handle(api: Api) -> None:
    class Shout(api.server.StreamServer):  # type: ignore[name-defined,misc]
        def handle(self, connection: Any, address: Any) -> None:
            connection.sendall(read_all(connection).upper())

    with Shout(LOCAL) as one:
        one.start()
        assert ask(api, one.address) == b"HELLO"


def test_the_socket_is_closed_after_the_handler(api: Api) -> None:
    seen = []

    def handle(connection: Any, address: Any) -> None:
        seen.append(connection)

    with api.server.StreamServer(LOCAL, handle) as one:
        one.start()
        assert ask(api, one.address, b"") == b""
    assert [connection.fileno() for connection in seen] == [-1]


def test_a_handler_that_fails_is_told_of_and_harms_nobody(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    def handle(connection: Any, address: Any) -> None:
        if read_all(connection) == b"fail":
            raise ZeroDivisionError("as told")
        connection.sendall(b"fine")

    with api.server.StreamServer(LOCAL, handle) as one:
        one.start()
        assert ask(api, one.address, b"fail") == b""
        assert ask(api, one.address) == b"fine"
    assert "ZeroDivisionError: as told" in capsys.readouterr().err


@pytest.mark.parametrize("spawn", ["default", 10, "pool", "raw", "function"])
def test_kinds_of_spawn(api: Api, spawn: Any) -> None:
    chosen = {"pool": api.pool.Pool(3), "raw": api.spawn_raw, "function": api.spawn}
    with api.server.StreamServer(LOCAL, echo, spawn=chosen.get(spawn, spawn)) as one:
        one.start()
        assert [ask(api, one.address) for _ in range(12)] == [b"hello"] * 12


def test_without_spawn_the_handler_runs_in_the_loop(api: Api) -> None:
    seen = []

    def handle(connection: Any, address: Any) -> None:
        seen.append(api.getcurrent() is api.get_hub())
        connection.send(b"at once")

    with api.server.StreamServer(LOCAL, handle, spawn=None) as one:
        one.start()
        with api.socket.create_connection(one.address) as client:
            assert read_all(client) == b"at once"
    assert seen == [True]


def test_a_full_pool_takes_nobody(api: Api) -> None:
    log: list[str] = []
    go_on = api.event.Event()

    def handle(connection: Any, address: Any) -> None:
        log.append(connection.recv(10).decode())
        go_on.wait()
        log.append("end")

    with api.server.StreamServer(LOCAL, handle, spawn=1) as one:
        one.start()
        clients = [api.socket.create_connection(one.address) for _ in range(3)]
        for number, client in enumerate(clients):
            client.sendall(str(number).encode())
        while not log:
            api.sleep(0.001)
        api.settle(20)
        assert (log, one.full(), one.pool.free_count()) == (["0"], True, 0)
        go_on.set()
        assert [read_all(client) for client in clients] == [b""] * 3
        for client in clients:
            client.close()
    assert log == ["0", "end", "1", "end", "2", "end"]


def test_stop_kills_what_is_in_a_pool_after_the_timeout(api: Api) -> None:
    log = []

    def handle(connection: Any, address: Any) -> None:
        try:
            log.append("begins")
            api.sleep(1000)
        except api.GreenletExit:
            log.append("is killed")
            raise

    one = api.server.StreamServer(LOCAL, handle, spawn=5)
    one.start()
    client = api.socket.create_connection(one.address)
    while not log:
        api.sleep(0.001)
    one.stop(timeout=0.01)
    assert log == ["begins", "is killed"]
    assert client.recv(10) == b""
    client.close()


def test_stop_waits_for_what_is_in_a_pool(api: Api) -> None:
    log = []

    def handle(connection: Any, address: Any) -> None:
        log.append("begins")
        api.sleep(0.02)
        log.append("ends")

    one = api.server.StreamServer(LOCAL, handle, spawn=5)
    one.start()
    client = api.socket.create_connection(one.address)
    while not log:
        api.sleep(0.001)
    one.stop(timeout=30)
    assert log == ["begins", "ends"]
    client.close()


def test_serve_forever_ends_with_stop(api: Api) -> None:
    one = api.server.StreamServer(LOCAL, echo)
    serving = api.spawn(one.serve_forever)
    while not one.started:
        api.sleep(0)
    assert ask(api, one.address) == b"hello"
    one.stop()
    assert serving.get(timeout=30) is None


def test_a_listening_socket_may_be_given(api: Api) -> None:
    listener = api.socket.socket()
    listener.bind(LOCAL)
    listener.listen(5)
    one = api.server.StreamServer(listener, echo)
    assert (one.closed, one.address) == (False, listener.getsockname())
    with one:
        one.start()
        assert ask(api, one.address) == b"hello"
    assert listener.fileno() == -1


def test_bad_arguments(api: Api) -> None:
    errors = []
    for call in (
        lambda: api.server.StreamServer(LOCAL),
        lambda: api.server.StreamServer("nonsense", echo),
        lambda: api.server.StreamServer("host:", echo),
        lambda: api.server.StreamServer(2.5, echo),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call().handle
        errors.append(caught.type)
    assert errors == [TypeError, ValueError, ValueError, TypeError]


def test_an_address_in_use_is_named(api: Api) -> None:
    with api.server.StreamServer(LOCAL, echo) as one:
        one.start()
        with pytest.raises(OSError, match=r"127\.0\.0\.1") as caught:
            api.server.StreamServer(one.address, echo).start()
    assert caught.value.errno == errno.EADDRINUSE


def test_tls_by_file_names(api: Api) -> None:
    with api.server.StreamServer(LOCAL, echo, certfile=CERTIFICATE, keyfile=CERTIFICATE) as one:
        one.start()
        assert one.ssl_enabled
        assert ask_by_tls(api, one.address) == b"hello"


def test_tls_by_a_context(api: Api) -> None:
    context = api.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with api.server.StreamServer(LOCAL, echo, ssl_context=context) as one:
        one.start()
        assert ask_by_tls(api, one.address) == b"hello"


@pytest.mark.parametrize(
    ("tls", "setting", "expected"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
def test_with_tls_nothing_waits_for_acknowledgements(
    tls: bool, setting: bool | None, expected: bool
) -> None:
    """The tickets of TLS 1.3 are on their way when a handler first sends."""
    seen = []

    def handle(sock: Any, address: Any) -> None:
        seen.append(bool(sock.getsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_NODELAY)))
        echo(sock, address)

    keywords = {"certfile": CERTIFICATE, "keyfile": CERTIFICATE} if tls else {}
    with pycoro.server.StreamServer(LOCAL, handle, **keywords) as one:
        one.tcp_nodelay = setting
        one.start()
        if tls:
            assert ask_by_tls(pycoro, one.address) == b"hello"
        else:
            with pycoro.socket.create_connection(one.address) as client:
                client.sendall(b"hello")
                assert client.recv(5) == b"hello"
    assert seen == [expected]


def test_tls_where_there_are_no_acknowledgements(tmp_path: Path) -> None:
    listener = stdlib.socket(stdlib.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()
    with server.StreamServer(listener, echo, certfile=CERTIFICATE, keyfile=CERTIFICATE) as one:
        one.start()
        assert one.started


def ask_by_tls(api: Any, address: Any) -> bytes:
    context = api.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    with context.wrap_socket(
        api.socket.create_connection(address), server_hostname="localhost"
    ) as client:
        client.sendall(b"hello")
        return client.recv(5)  # type: ignore[no-any-return]


def test_datagrams(api: Api) -> None:
    class Echo(api.server.DatagramServer):  # type: ignore[name-defined,misc]
        def handle(self, data: bytes, address: Any) -> None:
            self.sendto(data[::-1], address)

    with Echo(LOCAL) as one:
        one.start()
        client = api.socket.socket(type=stdlib.SOCK_DGRAM)
        client.connect(one.address)
        answers = []
        for text in (b"abc", b"", b"xy"):
            client.send(text)
            answers.append(client.recv(10))
        client.close()
    assert answers == [b"cba", b"", b"yx"]


def test_it_says_what_it_is(api: Api) -> None:
    one = api.server.StreamServer(LOCAL, echo)
    assert str(one).startswith("<StreamServer address=127.0.0.1:0 handle=<function echo")
    one.start()
    assert f"fileno={one.socket.fileno()} address=127.0.0.1:{one.server_port}" in repr(one)
    one.stop()


# ---- what gevent's do not ----


@pytest.fixture
def ours(clean_loop: None) -> Any:
    return pycoro


def serve(*args: Any, **kwargs: Any) -> server.StreamServer:
    one = server.StreamServer(*args, **kwargs)
    one.start()
    return one


def test_handlers_without_a_pool_are_waited_for_and_killed_too(ours: Any) -> None:
    log = []

    def handle(connection: Any, address: Any) -> None:
        try:
            log.append(connection.recv(10))
            pycoro.sleep(1000)
        finally:
            log.append(b"killed")

    for spawn in ("default", "raw", pycoro.spawn):
        one = serve(LOCAL, handle, spawn=spawn)
        with socket.create_connection(one.address) as client:
            client.sendall(b"x")
            while not log:
                pycoro.sleep(0.001)
            one.stop(timeout=0.01)
        assert log == [b"x", b"killed"]
        log.clear()


def test_a_handler_may_stop_its_server(ours: Any) -> None:
    log = []

    def handle(connection: Any, address: Any) -> None:
        one.stop()
        log.append("goes on")
        connection.sendall(b"stopped")

    for spawn in ("default", 2):
        one = serve(LOCAL, handle, spawn=spawn)
        assert ask(pycoro, one.address, b"") == b"stopped"
        wait()
    assert log == ["goes on"] * 2


def test_stop_in_a_callback_of_the_loop(ours: Any) -> None:
    one = serve(LOCAL, echo)
    pycoro.get_hub().call_soon(one.stop)
    one.serve_forever()
    assert one.closed


def test_it_may_be_started_again(ours: Any) -> None:
    one = serve(LOCAL, echo)
    port = one.server_port
    one.stop()
    one.start()
    assert (one.server_port, ask(pycoro, one.address)) == (port, b"hello")
    one.stop()


def test_a_unix_socket_is_removed_and_taken_over(ours: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    def ask_there() -> bytes:
        with socket.socket(stdlib.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"hello")
            return client.recv(10)

    with serve(path, echo) as one:
        assert (one.address, one.server_host, one.server_port) == (path, None, None)
        assert ask_there() == b"hello"
        with pytest.raises(OSError, match="in use"):
            serve(path, echo)
    assert not Path(path).exists()
    with stdlib.socket(stdlib.AF_UNIX) as dead:
        dead.bind(path)
    with serve(f"unix:{path}", echo):
        assert ask_there() == b"hello"


def test_addresses() -> None:
    everywhere = stdlib.AF_INET6 if stdlib.has_dualstack_ipv6() else stdlib.AF_INET
    assert {address: listeners.parse_address(address) for address in (
        ("127.0.0.1", 80), ("::1", 80), 80, "80", ":80", "*:80", "host:80", "[::1]:80", "./path"
    )} == {
        ("127.0.0.1", 80): (stdlib.AF_INET, ("127.0.0.1", 80)),
        ("::1", 80): (stdlib.AF_INET6, ("::1", 80)),
        80: (everywhere, ("", 80)),
        "80": (everywhere, ("", 80)),
        ":80": (everywhere, ("", 80)),
        "*:80": (everywhere, ("", 80)),
        "host:80": (stdlib.AF_INET, ("host", 80)),
        "[::1]:80": (stdlib.AF_INET6, ("::1", 80)),
        "./path": (stdlib.AF_UNIX, "./path"),
    }  # fmt: skip
    for bad in ("::1:80", ("host", "80"), True, None, "host:http"):
        with pytest.raises((TypeError, ValueError)):
            listeners.parse_address(bad)


def test_all_interfaces_are_ipv4_too(ours: Any) -> None:
    with serve(0, echo) as one:
        assert ask(pycoro, ("127.0.0.1", one.server_port)) == b"hello"


def test_a_socket_of_the_stdlib_does_not_block_the_loop(ours: Any) -> None:
    with serve(stdlib.create_server(LOCAL), echo) as one:
        assert [ask(pycoro, one.address) for _ in range(3)] == [b"hello"] * 3
    with server.DatagramServer(bound := stdlib.socket(type=stdlib.SOCK_DGRAM), print) as other:
        bound.bind(LOCAL)
        other.start()
        assert bound.gettimeout() == 0.0
        assert other.sendto(b"x", bound.getsockname()) == 1
    with pytest.raises(OSError, match="closed"):
        other.sendto(b"x", LOCAL)


def test_a_context_of_the_stdlib_lets_others_run(ours: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    kinds = []

    def handle(connection: Any, address: Any) -> None:
        kinds.append(type(connection))
        echo(connection, address)

    with serve(LOCAL, handle, ssl_context=context) as one:
        assert ask_by_tls(pycoro, one.address) == b"hello"
    assert kinds == [pycoro.ssl.SSLSocket]


def test_tls_ends_with_a_word(ours: Any) -> None:
    def handle(connection: Any, address: Any) -> None:
        connection.sendall(b"all")

    with serve(LOCAL, handle, certfile=CERTIFICATE) as one:
        context = pycoro.ssl.create_default_context(cafile=CERTIFICATE)
        with context.wrap_socket(
            socket.create_connection(one.address),
            server_hostname="localhost",
            suppress_ragged_eofs=False,
        ) as client:
            assert read_all(client) == b"all"  # else SSLEOFError


def test_who_fails_the_handshake_is_no_error(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failed = Event()

    class Server(server.StreamServer):
        def handshake_failed(self, address: Any, error: OSError) -> None:
            super().handshake_failed(address, error)
            failed.set()

    with Server(LOCAL, echo, certfile=CERTIFICATE) as one:
        one.start()
        with socket.create_connection(one.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert failed.wait(30)
        failed.clear()
        one.handshake_timeout = 0.01
        with socket.create_connection(one.address) as silent:
            assert failed.wait(30)
            assert silent.recv(10) == b""
        one.handshake_timeout = 30.0
        assert ask_by_tls(pycoro, one.address) == b"hello"
    assert capsys.readouterr().err == ""


def test_tls_arguments() -> None:
    for bad, kind in (
        ({"keyfile": CERTIFICATE}, ValueError),
        ({"certfil": CERTIFICATE}, TypeError),
        ({"certfile": CERTIFICATE, "ssl_context": ssl.create_default_context()}, TypeError),
    ):
        with pytest.raises(kind):
            server.StreamServer(LOCAL, echo, **bad)
    assert not server.StreamServer(LOCAL, echo, ssl_context=None).ssl_enabled


def test_out_of_descriptors_it_waits_and_serves_again() -> None:
    lines = output_of(
        """
        import os, resource, sys, pycoro
        from pycoro import server, socket

        class Server(server.StreamServer):
            min_delay = 0.001
            def _pause(self):
                super()._pause()
                log.append(self.delay)

        def handle(connection, address):
            connection.sendall(connection.recv(10))

        log = []
        told = []
        hub = pycoro.get_hub()
        hub.handle_error = lambda context, kind, value, tb: told.append(value.errno)
        with Server(("127.0.0.1", 0), handle) as one:
            one.start()
            client = socket.socket()
            spare = os.open("/dev/null", os.O_RDONLY)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, limits[1]))
            client.connect(one.address)
            client.sendall(b"hello")
            while len(log) < 4:
                pycoro.sleep(0.001)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            print(client.recv(10), log[:4], set(told), one.delay)
        """
    )
    assert lines == [f"b'hello' [0.002, 0.004, 0.008, 0.016] {{{errno.EMFILE}}} 0.001"]


def test_an_error_of_the_peers_is_passed_over(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [OSError(errno.ECONNABORTED, "gone"), OSError(errno.EPROTO, "odd")]

    class Server(server.StreamServer):
        def do_read(self) -> Any:
            if errors:
                raise errors.pop()
            return super().do_read()

    with Server(LOCAL, echo) as one:
        one.start()
        assert ask(pycoro, one.address) == b"hello"
        assert (errors, one.delay) == ([], one.min_delay)


def test_a_socket_that_is_closed_behind_its_back(
    ours: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server(server.StreamServer):
        def do_read(self) -> Any:
            raise OSError(errno.EBADF, "closed")

    one = Server(LOCAL, echo)
    one.start()
    with pytest.raises(ConnectionError):
        while True:
            ask(pycoro, one.address)
    assert one.closed
    assert "failed with [Errno 9] closed" in capsys.readouterr().err


def test_spawn_that_fails(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calls = []

    def spawn(function: Callable[..., Any], *args: Any) -> Any:
        calls.append(args[0])
        if len(calls) == 1:
            raise MemoryError("no room")
        return pycoro.spawn(function, *args)

    with serve(LOCAL, echo, spawn=spawn) as one:
        assert ask(pycoro, one.address, b"") == b""
        assert ask(pycoro, one.address) == b"hello"
    assert calls[0].fileno() == -1
    assert "no room" in capsys.readouterr().err


def test_arguments_that_make_no_server() -> None:
    for bad, kind in (
        ({"spawn": "often"}, ValueError),
        ({"spawn": True}, TypeError),
        ({"spawn": 2.5}, TypeError),
        ({"handle": 5}, TypeError),
        ({"backlog": 5, "listener": stdlib.socket()}, TypeError),
    ):
        with pytest.raises(kind):
            server.StreamServer(**{"listener": LOCAL, "handle": echo, **bad})

    class Never(server.StreamServer):
        max_accept = 0

    with pytest.raises(ValueError, match="max_accept"):
        Never(LOCAL, echo)


def test_a_pool_of_another_make(ours: Any) -> None:
    """One that can only be asked, by gevent's names, whether it is full."""

    class Own:
        def __init__(self) -> None:
            self.inner = Pool(1)

        def full(self) -> bool:
            return self.inner.full()

        def spawn(self, *args: Any) -> Any:
            return self.inner.spawn(*args)

    with serve(LOCAL, echo, spawn=Own()) as one:
        tasks = [pycoro.spawn(ask, pycoro, one.address) for _ in range(4)]
        assert [task.get(timeout=30) for task in tasks] == [b"hello"] * 4


def test_close_from_another_thread(ours: Any) -> None:
    one = serve(LOCAL, echo)
    pycoro.get_hub().threadpool.apply(one.close)
    one.serve_forever() if one.started else None
    assert one.closed


SERVER = """
import sys
from pycoro import server, sleep

def handle(connection, address):
    connection.sendall(b"begun")
    if connection.recv(10) == b"work":
        sleep(0.05)
        connection.sendall(b" done")
    else:
        try:
            sleep(1000)
        finally:
            connection.sendall(b" killed")

one = server.StreamServer(("127.0.0.1", 0), handle)
one.start()
print(one.server_port, flush=True)
try:
    one.serve_forever(stop_timeout=0.5)
except KeyboardInterrupt:
    print("interrupted")
print("over")
"""


@pytest.mark.parametrize(
    ("number", "last"), [(signal.SIGTERM, "over\n"), (signal.SIGINT, "interrupted\nover\n")]
)
def test_signals_stop_it_gracefully(number: int, last: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    address = ("127.0.0.1", int(process.stdout.readline()))
    with stdlib.create_connection(address) as busy, stdlib.create_connection(address) as stuck:
        for client in (busy, stuck):
            assert client.recv(5) == b"begun"
        busy.sendall(b"work")
        stuck.sendall(b"stay")
        process.send_signal(number)
        assert (read_all(busy), read_all(stuck)) == (b" done", b" killed")
    assert process.communicate(timeout=30) == (last, None)
    assert process.returncode == 0


def test_a_second_interrupt_ends_the_patience() -> None:
    lines = output_of(
        """
        import os, signal, pycoro
        from pycoro import server, socket

        def handle(connection, address):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                pycoro.sleep(0.01)
                print("goes on")
                os.kill(os.getpid(), signal.SIGINT)
                pycoro.sleep(1000)
            except BaseException as error:
                print(repr(error))
                raise

        one = server.StreamServer(("127.0.0.1", 0), handle)
        one.start()
        client = socket.create_connection(one.address)
        hub = pycoro.get_hub()
        hub.handle_error = lambda context, kind, value, tb: None
        try:
            one.serve_forever(stop_timeout=1000)
        except KeyboardInterrupt:
            print("over")
        print(signal.getsignal(signal.SIGINT).__name__, one.closed)
        """
    )
    assert lines == ["goes on", "KeyboardInterrupt()", "over", "handle True"]


def test_a_handler_for_sigterm_that_is_there_stays(ours: Any) -> None:
    former = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        one = serve(LOCAL, echo)
        pycoro.get_hub().call_soon(one.stop)
        one.serve_forever()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, former)


def test_max_accept_is_a_turn_s_share(ours: Any) -> None:
    log: list[str] = []

    class Server(baseserver.BaseServer):
        max_accept = 2
        left = 5

        def init_socket(self) -> None:
            self.socket, self.other = socket.socketpair()
            self.other.send(b"x")

        def do_read(self) -> Any:
            if not self.left:
                return None
            self.left -= 1
            log.append("read")
            return (self.left,)

    def handle(number: int) -> None:
        log.append("handle")
        if log.count("handle") == 5:
            all_handled.set()

    all_handled = Event()
    with Server(("", 0), handle) as one:
        one.start()
        all_handled.wait()  # a sleep(0) would ask for a look at descriptors before its time
        one.other.close()
    assert log == ["read", "read", "handle", "handle"] * 2 + ["read", "handle"]
