"""What the tests of WSGI servers share: a server in this loop, and a client that sends bytes."""

from __future__ import annotations

import ssl as stdlib_ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pycoro import socket

pytest.importorskip("httptools", reason="httptools is missing: pip install 'pycoro[wsgi]'")
from pycoro.pywsgi import WSGIServer

LOCAL = ("127.0.0.1", 0)
CERTIFICATE = str(Path(__file__).parent / "data" / "localhost.pem")
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Log(list[str]):
    """Collects lines."""

    def write(self, text: str) -> None:
        self.append(text)

    def writelines(self, lines: Any) -> None:
        self.extend(lines)

    def flush(self) -> None:
        pass


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode(), b" ", body]


@contextmanager
def serving(
    application: Any, *args: Any, tls: bool = False, **settings: Any
) -> Iterator[WSGIServer]:
    """A server that has been started; lower-case settings that are attributes are set. `log` and
    `error_log` are lists of lines. It is stopped at the end, and must have been left by all."""
    kwargs: dict[str, Any] = {"log": Log(), "error_log": Log()}
    if tls:
        kwargs["certfile"] = CERTIFICATE
    attributes = {}
    for name, value in settings.items():
        target = attributes if hasattr(WSGIServer, name) else kwargs
        target[name] = value
    kind = type("Server", (WSGIServer,), attributes)
    server = kind(LOCAL, application, *args, **kwargs)
    server.start()
    try:
        yield server
    finally:
        server.stop(timeout=5)


class Client:
    """A connection. `send` and `receive` are bytes, as they are."""

    def __init__(self, server: WSGIServer, tls: bool = False) -> None:
        if server.family == socket.AF_UNIX:
            self.sock: Any = socket.socket(socket.AF_UNIX)
            self.sock.connect(server.address)
        else:
            self.sock = socket.create_connection(server.address)
        if tls:
            context = stdlib_ssl.create_default_context(cafile=CERTIFICATE)
            from pycoro import ssl

            self.sock = ssl.SSLSocket._create(
                sock=self.sock, context=context, server_hostname="localhost"
            )
        self.sock.settimeout(30)
        self._ahead = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *args: Any) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def until(self, mark: bytes) -> bytes:
        """What comes, up to the mark, and with it."""
        while mark not in self._ahead:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"only {self._ahead!r} came")
            self._ahead += data
        end = self._ahead.index(mark) + len(mark)
        found, self._ahead = self._ahead[:end], self._ahead[end:]
        return found

    def exactly(self, size: int) -> bytes:
        parts = [self._ahead]
        left = size - len(self._ahead)
        while left > 0:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"only {b''.join(parts)!r} came")
            parts.append(data)
            left -= len(data)
        found = b"".join(parts)
        self._ahead = found[size:]
        return found[:size]

    def rest(self) -> bytes:
        """What comes until the server closes."""
        parts = [self._ahead]
        self._ahead = b""
        while data := self.sock.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def response(self, head: bool = False) -> Response:
        """The next one; of a HEAD with `head`."""
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        version, code, _ = (first + " ").split(" ", 2)
        assert version == "HTTP/1.1"
        headers = [tuple(line.split(": ", 1)) for line in lines]
        found = {name.lower(): value for name, value in headers}
        if head or code in ("204", "304") or code[0] == "1":
            body = b""
        elif found.get("transfer-encoding") == "chunked":
            chunks = []
            while size := int(self.until(b"\r\n"), 16):
                chunks.append(self.exactly(size + 2)[:-2])
            assert self.until(b"\r\n") == b"\r\n"
            body = b"".join(chunks)
        elif "content-length" in found:
            body = self.exactly(int(found["content-length"]))
        else:
            body = self.rest()
        return Response(int(code), headers, found, body)

    def get(self, path: str = "/") -> Response:
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return self.response()


class Response:
    def __init__(self, code: int, lines: Any, headers: dict[str, str], body: bytes) -> None:
        self.code = code
        self.lines = lines
        self.headers = headers
        self.body = body

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"

    def __repr__(self) -> str:
        return f"<{self.code} {self.lines} {self.body!r}>"


def ask(server: WSGIServer, data: bytes) -> bytes:
    """Sends the data, and gives all that comes until the server closes."""
    with Client(server) as client:
        client.send(data)
        return client.rest()


def respond(
    status: str = "200 OK", headers: Any = (), body: Any = (b"",)
) -> Callable[[Any, Any], Any]:
    """An application that answers so."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return body

    return application
