"""Monkey patching: unchanged programs of the stdlib wait cooperatively."""

from __future__ import annotations

import http.server
import importlib
import select
import selectors
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import types
import urllib.request
from pathlib import Path
from typing import Any

import gevent.monkey
import pytest
from helpers import run_python

import pycoro
import pycoro.threading
from pycoro import joinall, monkey, spawn
from pycoro.monkey import patching
from pycoro.waiting import WaitQueue

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"
ORIGINAL = (socket.socket, time.sleep, select.select, select.epoll, selectors.DefaultSelector)


class Barrier:
    """Lets nobody through until all have come."""

    def __init__(self, parties: int) -> None:
        self.missing = parties
        self.queue = WaitQueue()

    def wait(self) -> None:
        self.missing -= 1
        if self.missing:
            self.queue.wait()
        else:
            self.queue.wake_all()


class Server:
    """Answers every request, but only once `parties` requests have arrived."""

    def __init__(self, parties: int, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.barrier = Barrier(parties)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.task = spawn(self.serve)

    def serve(self) -> None:
        while True:
            spawn(self.handle, self.listener.accept()[0])

    def handle(self, connection: socket.socket) -> None:
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rwb") as stream:
            path = stream.readline().split()[1]
            while stream.readline().strip():
                pass
            self.barrier.wait()
            body = path * 10_000
            stream.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def close(self) -> None:
        self.task.kill()
        self.listener.close()


def fetch(url: str, context: ssl.SSLContext | None = None) -> bytes:
    with urllib.request.urlopen(url, timeout=20, context=context) as response:
        data: bytes = response.read()
        return data


def test_three_downloads_at_once(patched: None) -> None:
    server = Server(3)
    tasks = [spawn(fetch, f"http://localhost:{server.port}/{name}") for name in "abc"]
    joinall(tasks, raise_error=True)
    assert [task.value for task in tasks] == [b"/%c" % name * 10_000 for name in b"abc"]
    server.close()


def test_three_downloads_at_once_over_tls_with_contexts_of_before() -> None:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(CERTIFICATE)
    client_context = ssl.create_default_context(cafile=str(CERTIFICATE))
    monkey.patch_all()
    try:
        server = Server(3, server_context)
        urls = [f"https://localhost:{server.port}/{name}" for name in "abc"]
        tasks = [spawn(fetch, url, client_context) for url in urls]
        joinall(tasks, raise_error=True)
        assert [task.value for task in tasks] == [b"/%c" % name * 10_000 for name in b"abc"]
        server.close()
    finally:
        monkey.unpatch_all()


def test_contexts_can_be_made_and_changed_after_the_patch(patched: None) -> None:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.sslsocket_class is pycoro.ssl.SSLSocket


def test_time_sleep(patched: None) -> None:
    log: list[int] = []

    def sleeps(number: int) -> None:
        time.sleep(number * 0.01)
        log.append(number)

    joinall([spawn(sleeps, number) for number in (3, 1, 2)])
    assert log == [1, 2, 3]


def test_selectors_and_socketserver(patched: None) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line.upper())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        serving = spawn(server.serve_forever, 0.01)
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"HELLO\n"
        # shutdown() would wait for an event of threading, which is not patched.
        server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]
        serving.join()
        assert serving.successful()
    kinds = (selectors.DefaultSelector, selectors.PollSelector, selectors.SelectSelector)
    for kind in kinds:
        one, other = socket.socketpair()
        selector = kind()
        selector.register(one, selectors.EVENT_READ)
        waiting = spawn(selector.select)
        pycoro.sleep(0.001)
        assert not waiting.ready()
        other.send(b"x")
        assert [key.fileobj for key, _ in waiting.get()] == [one]
        selector.close()
        one.close()
        other.close()


def test_http_server_and_client_in_one_thread(patched: None) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the server")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = spawn(server.handle_request)
        assert fetch(f"http://127.0.0.1:{server.server_port}/") == b"from the server"
        serving.join()


def test_subprocess_output_is_read_while_others_run(patched: None) -> None:
    log: list[str] = []
    spawn(log.append, "others run")
    code = "import sys; data = sys.stdin.read(); print(len(data)); print('e', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], input="x" * 200_000, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, log) == ("200000\n", "e\n", ["others run"])


def test_other_threads_may_use_patched_modules(patched: None) -> None:
    result: list[bytes] = []

    def run() -> None:
        one, other = socket.socketpair()
        writer = spawn(lambda: (time.sleep(0.001), other.send(b"x")))
        result.append(one.recv(1))
        writer.join()
        one.close()
        other.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert result == [b"x"]


def test_originals_can_be_had_and_put_back() -> None:
    assert not monkey.is_module_patched("socket")
    monkey.patch_all()
    monkey.patch_all()
    try:
        assert socket.socket is pycoro.socket.socket
        assert monkey.is_module_patched("socket")
        assert monkey.is_object_patched("time", "sleep")
        assert not monkey.is_object_patched("time", "time")
        assert monkey.get_original("socket", "socket") is ORIGINAL[0]
        assert monkey.get_original("select", "epoll") is ORIGINAL[3]
        assert monkey.get_original("time", "time") is time.time
        assert select.epoll is pycoro.select.epoll
    finally:
        monkey.unpatch_all()
    now = (socket.socket, time.sleep, select.select, select.epoll, selectors.DefaultSelector)
    assert now == ORIGINAL
    assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket


def test_saved_is_what_was_there_before() -> None:
    assert monkey.saved == {}
    monkey.patch_time()
    try:
        assert monkey.saved == {"time": {"sleep": ORIGINAL[1]}}
    finally:
        monkey.unpatch_all()
    assert monkey.saved == monkey.all_originals() == {}
    with pytest.raises(AttributeError, match=r"pycoro\.monkey.*'nothing'"):
        monkey.nothing


def test_parts_can_be_chosen() -> None:
    try:
        monkey.patch_all(socket=False, dns=False, ssl=False, select=False)
        assert (socket.socket, time.sleep) == (ORIGINAL[0], pycoro.sleep)
    finally:
        monkey.unpatch_all()
    with pytest.raises(ValueError, match="there is no patch 'nothing'"):
        monkey.patch("nothing")


def test_every_line_of_the_table_fits_the_stdlib() -> None:
    missing = {
        (where, name)
        for rows in patching.TABLE.values()
        for where, name, _ in rows
        if name not in vars(patching._find(where))
    }
    handles = {"start_joinable_thread", "_start_joinable_thread", "_ThreadHandle"}
    handles |= {"_make_thread_handle", "_thread_shutdown", "_get_main_thread_ident"}
    sentinels = {"_set_sentinel", "_start_new_thread", "_wait_for_tstate_lock"}
    others = {name for _, name in missing if name not in handles | sentinels}
    assert others <= {"lock", "_LockType", "_thread_local_info", "allocate", "start_new"}
    # A version has the one or the other.
    new = ("_thread", "start_joinable_thread") not in missing
    assert new == (("threading", "_set_sentinel") in missing)
    assert new != bool({name for _, name in missing} & handles)


def test_modules_and_names_can_be_patched_one_by_one() -> None:
    copy = types.ModuleType("a_copy")
    copy.sleep = time.sleep  # type: ignore[attr-defined]
    sys.modules["a_copy"] = copy
    try:
        assert monkey.patch_module(copy, pycoro.time)
        assert copy.sleep is pycoro.sleep  # type: ignore[attr-defined]
        assert monkey.get_original("a_copy", "sleep") is ORIGINAL[1]
        monkey.patch_item(copy, "new", 1)
        monkey.remove_item(copy, "sleep")
        monkey.remove_item(copy, "nothing")
        assert (copy.new, hasattr(copy, "sleep")) == (1, False)  # type: ignore[attr-defined]
        assert monkey.get_original(["no_such_module", "a_copy"], "sleep") is ORIGINAL[1]
        assert monkey.get_original("a_copy", ["sleep"]) == [ORIGINAL[1]]
        assert monkey.get_original("a_copy", "new") == 1  # there was none: as gevent's
        with pytest.raises(ImportError):
            monkey.get_original(["no_such_module", "nor_this"], "sleep")
        with pytest.raises(AttributeError, match="say which items"):
            monkey.patch_module(copy, types)
        with pytest.raises(AttributeError):
            monkey.patch_module(copy, pycoro.time, ["sleep", "no_such_name"])
    finally:
        monkey.unpatch_all()
        del sys.modules["a_copy"]
    assert (copy.sleep, hasattr(copy, "new")) == (ORIGINAL[1], False)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (time, "sleep"),
        (socket, "getaddrinfo"),
        (selectors, "EpollSelector"),
        (ssl, "SSLContext"),
        (subprocess, "Popen"),
    ],
)
def test_a_module_and_ours_that_stands_for_it(module: Any, name: str) -> None:
    ours = importlib.import_module(f"pycoro.{module.__name__}")
    try:
        assert monkey.patch_module(module, ours)
        assert monkey.is_module_patched(module.__name__)
        if name in ("SSLContext", "EpollSelector"):  # told what to use
            assert not monkey.is_object_patched(module.__name__, name)
        else:
            assert getattr(module, name) is getattr(ours, name)
    finally:
        monkey.unpatch_all()
    assert not monkey.is_anything_patched()


def test_every_patch_of_gevents_is_here_and_can_be_called_twice() -> None:
    names = ["builtins", "contextvars", "dns", "os", "queue", "select", "signal", "socket", "ssl"]
    names += ["subprocess", "sys", "time", "selectors"]
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        for name in names * 2:
            getattr(monkey, f"patch_{name}")()
        assert type(sys.stdin) is pycoro.fileobject.FileObjectThread
    finally:
        monkey.unpatch_all()
    assert (sys.stdin, sys.stdout, sys.stderr) == streams
    missing = [name for name in gevent.monkey.__all__ if not hasattr(monkey, name)]
    assert missing == []


def test_patched_streams_serve_until_the_end() -> None:
    done = run_python("""
        import atexit, sys
        from pycoro import monkey
        monkey.patch_all(sys=True)
        atexit.register(print, "at the end")
        print(sys.stdin.readline().strip(), type(sys.stdout).__name__)
        print("to stderr", file=sys.stderr)
        sys.stdout.write("no newline")
    """)
    assert (done.returncode, done.stderr) == (0, "to stderr\n")
    assert done.stdout == " FileObjectThread\nno newlineat the end\n"


def test_modules_of_ours_under_the_stdlibs_names() -> None:
    ours = [pycoro.os, pycoro.queue, pycoro.select, pycoro.selectors, pycoro.socket, pycoro.ssl]
    ours += [pycoro.subprocess, pycoro.thread, pycoro.threading, pycoro.time]
    for module in ours:
        for name in [*getattr(module, "__all__", []), *getattr(module, "__implements__", [])]:
            getattr(module, name)
    assert pycoro.time.monotonic is time.monotonic
    one, other = pycoro.socket.socketpair()
    with pycoro.selectors.DefaultSelector() as selector, one, other:
        selector.register(one, pycoro.selectors.EVENT_READ)
        spawn(other.send, b"x")
        assert [key.fileobj for key, _ in selector.select()] == [one]
