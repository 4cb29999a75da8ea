"""pycoro.gunicorn.Worker under gunicorn: requests, reload, limits of time and number, hooks."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import web  # noqa: F401  # skips all of this without httptools
from test_prefork import ask, eventually, free_port, running
from web import CERTIFICATE

pytest.importorskip("gunicorn", reason="gunicorn is missing: pip install 'pycoro[gunicorn]'")

APPLICATION = """
import os, socket, time
import pycoro

TEXT = "first"

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ZeroDivisionError
    if path == "/slow":
        time.sleep(0.3)
    if path == "/block":
        while True:
            pass
    start_response("200 OK", [("X-Mine", "1")])
    patched = issubclass(socket.socket, pycoro.socket.socket)
    return [f"{os.getpid()} {TEXT} {patched} {environ['wsgi.url_scheme']}".encode()]
"""


class Gunicorn:
    """A running one, of two workers at most."""

    def __init__(self, process: Any, port: int, module: Path) -> None:
        self.process = process
        self.port = port
        self.module = module

    def get(self, path: str = "/", headers: str = "") -> list[str]:
        """The words of the answer."""
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        answer = ask(("127.0.0.1", self.port), request.encode())
        return answer.split(b"\r\n\r\n")[1].decode().split()

    def end(self) -> str:
        """What it wrote to stderr."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return str(errors)


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    module = tmp_path / "shop.py"
    module.write_text(textwrap.dedent(APPLICATION))

    @contextmanager
    def start(*options: str, waits: bool = True) -> Iterator[Gunicorn]:
        port = free_port()
        arguments = ["-m", "gunicorn", "-k", "pycoro.gunicorn.Worker", "shop:app"]
        arguments += ["-b", f"127.0.0.1:{port}", "--no-control-socket", *options]
        with running(*arguments, cwd=tmp_path) as process:
            one = Gunicorn(process, port, module)
            if waits:
                eventually(one.get)
            yield one

    return start


def test_requests_logs_and_a_reload(start: Start) -> None:
    with start("--access-logfile", "-", "--error-logfile", "-") as one:
        first = one.get()
        assert first[1:] == ["first", "True", "http"] and int(first[0]) != one.process.pid
        assert one.get(headers="X-Forwarded-Proto: https\r\n")[3] == "https"
        assert one.get("/fail") == ["500", "Internal", "Server", "Error"]
        assert "400" in one.get(headers="Bad Name: 1\r\n")[0]
        one.module.write_text(textwrap.dedent(APPLICATION).replace('"first"', '"second"'))
        one.process.send_signal(signal.SIGHUP)
        eventually(lambda: all(one.get()[1] == "second" for _ in range(5)))
        one.process.terminate()
        out = "".join(one.process.communicate(timeout=30))
        assert '"GET / HTTP/1.1" 200' in out
        assert '"GET /fail HTTP/1.1" 500' in out and "ZeroDivisionError" in out
        assert "Invalid request from ip=127.0.0.1" in out
        assert "Warning" not in out
        assert one.process.returncode == 0


def test_many_requests_at_once_and_the_last_may_end(start: Start) -> None:
    """Twenty that sleep take no longer than one; SIGTERM comes while they are under way."""
    with start("-w", "1") as one:
        clients = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.get()[1] == "first"
        one.process.terminate()
        for client in clients:
            client.settimeout(30)
            answer = b""
            while part := client.recv(1000):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nConnection: close\r\n" in answer
            client.close()
        assert one.process.wait(timeout=30) == 0


def test_a_worker_ends_after_so_many_requests(start: Start) -> None:
    with start("-w", "1", "--max-requests", "3") as one:
        seen = [eventually(one.get)[0] for _ in range(10)]
        assert len(set(seen)) >= 3 and max(map(seen.count, seen)) <= 3
        assert "Autorestarting worker after current request" in one.end()


def test_a_worker_that_hangs_is_replaced(start: Start) -> None:
    with start("-w", "1", "--timeout", "1") as one:
        before = one.get()[0]
        with socket.create_connection(("127.0.0.1", one.port)) as client:
            client.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: one.get()[0] != before)
        assert "WORKER TIMEOUT" in one.end()


def test_tls_and_hooks(start: Start, tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(
        textwrap.dedent(
            """
            def pre_request(worker, request):
                worker.log.info("before %s %s %s", request.method, request.path, request.query)

            def post_request(worker, request, environ, response):
                worker.log.info("after %s %s", environ["REMOTE_ADDR"], response.status)
            """
        )
    )
    options = ["--certfile", CERTIFICATE, "--keyfile", CERTIFICATE, "-c", "conf.py"]
    with start(*options, "--keep-alive", "30", waits=False) as one:
        context = ssl.create_default_context(cafile=CERTIFICATE)

        def connect() -> Any:
            plain = socket.create_connection(("127.0.0.1", one.port), timeout=30)
            return context.wrap_socket(plain, server_hostname="localhost")

        with eventually(connect) as client:
            for _ in range(2):
                client.sendall(b"GET /x?y HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" first True https" in client.recv(10000)
        errors = one.end()
        assert errors.count("before GET /x y") == errors.count("after 127.0.0.1 200 OK") == 2


def test_an_immediate_end(start: Start) -> None:
    with start("-w", "1") as one:
        pid = int(one.get()[0])
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(timeout=30) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
