"""One input for pywsgi: bytes come on a connection, and what must hold whatever they are.

- Nothing is raised out of the handler, and no error is told of.
- When the client has sent all, the server answers and closes; no coroutine or descriptor stays.
- What it sends is a whole response for each request, by h11 as a strict client, and a refusal at
  most after that. One may be incomplete, or missing, where the request's body was bad.
- Where h11 as a server accepts a request too, both saw the same method, target and body: so none
  can be smuggled past one of the two. A request that is not answered at all comes after one that
  was the last, as the answer to that says, or whose body was found bad when it had been answered:
  llhttp refuses what h11 does not, a control character in a trailer say (RFC 9110, section 5.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h11

import pycoro
from pycoro import socket
from pycoro.pywsgi import WSGIServer
from pycoro.pywsgi.head import BadRequest

PATIENCE = 20.0  # seconds for an input
_NEVER = 3600.0


@dataclass
class Request:
    """That the application was called for."""

    method: str
    target: str
    body: bytes = b""
    whole: bool = False  # has all of the body been read?
    answered: bool = False  # has the response begun?
    taken: bool = False  # an upgrade
    input: Any = field(default=None, repr=False)  # its wsgi.input


@dataclass
class Seen:
    """What happened with an input."""

    answer: bytes = b""
    requests: list[Request] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    last: bool = False  # has the client been told that nothing more would be answered?


_HEADERS = [("Content-Type", "text/plain")]


class Harness:
    """A server that does not listen; a connection is given to it by check()."""

    def __init__(self) -> None:
        self.server = WSGIServer(
            ("127.0.0.1", 0), self.application, log=_Nowhere(), error_log=_Nowhere()
        )
        self.server.max_head = 2000
        self.server.max_request_line = 500
        self.server.max_body = 5000
        self.server.head_timeout = self.server.body_timeout = _NEVER
        self.server.linger_timeout = self.server.send_timeout = _NEVER
        self.server.start()
        self.server.stop_accepting()
        self.server.loop.handle_error = lambda *args: self.seen.errors.append(args)
        self.seen = Seen()
        self.kind = 0

    # ---- the application: by the first byte of the input ----

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ["REQUEST_METHOD"], environ["REQUEST_URI"])
        request.input = environ["wsgi.input"]
        self.seen.requests.append(request)
        ways = (self.reads, self.ignores, self.lines, self.streams, self.upgrades, self.writes)
        return ways[self.kind % len(ways)](environ, start_response, request)

    def reads(self, environ: Any, start_response: Any, request: Request) -> list[bytes]:
        request.body = environ["wsgi.input"].read()
        request.whole = request.answered = True
        start_response("200 OK", _HEADERS)
        return [b"read ", b"%d" % len(request.body)]

    def ignores(self, environ: Any, start_response: Any, request: Request) -> list[bytes]:
        request.answered = True
        start_response("204 No Content", [])
        return []

    def lines(self, environ: Any, start_response: Any, request: Request) -> Iterator[bytes]:
        stream = environ["wsgi.input"]
        request.body = stream.read(1) + stream.readline(3) + b"".join(stream)
        request.whole = request.answered = True
        start_response("404 Not Found", _HEADERS)
        yield b""
        yield request.body

    def streams(self, environ: Any, start_response: Any, request: Request) -> Iterator[bytes]:
        start_response("200 OK", _HEADERS)
        request.answered = True
        yield b"begins"
        while piece := environ["wsgi.input"].read(7):
            request.body += piece
            yield piece
        request.whole = True

    def upgrades(self, environ: Any, start_response: Any, request: Request) -> list[bytes]:
        if "pycoro.upgrade" not in environ:
            return self.reads(environ, start_response, request)
        request.taken = True
        sock, data = environ["pycoro.upgrade"]()
        while data:
            sock.sendall(data)
            data = sock.recv(1000)
        return []

    def writes(self, environ: Any, start_response: Any, request: Request) -> list[bytes]:
        request.body = environ["wsgi.input"].read(2) + environ["wsgi.input"].read()
        request.whole = request.answered = True
        write = start_response("200 OK", [*_HEADERS, ("Content-Length", "6")])
        write(b"abc")
        return [b"def"]

    # ---- an input ----

    def play(self, data: bytes) -> Seen:
        """Has the bytes come on a connection, then its end."""
        self.kind = data[0] if data else 0
        way = data[1] if len(data) > 1 else 0
        seen = self.seen = Seen()
        ours, theirs = socket.socketpair()
        self.server.do_handle(ours, ("127.0.0.1", 1))
        reader = pycoro.spawn(_read_all, theirs)
        with theirs:
            try:
                for piece in cut(data[2:], way):
                    theirs.sendall(piece)
                    pycoro.sleep(0)
                theirs.shutdown(socket.SHUT_WR)
            except OSError:  # it has closed already
                pass
            seen.answer = reader.get(timeout=PATIENCE)
        while self.server._handlers.running:
            pycoro.sleep(0)
        return seen

    def check(self, data: bytes) -> Seen:
        """Errors: AssertionError where something does not hold."""
        with pycoro.Timeout(PATIENCE, AssertionError(f"{data!r}: the connection hangs")):
            seen = self.play(data)
        assert not seen.errors, f"{data!r}: {seen.errors!r}"
        assert not self.server.watchman.connections
        check_answer(data, seen)
        check_requests(data, seen)
        return seen

    def close(self) -> None:
        self.server.stop()
        del self.server.loop.handle_error


class _Nowhere:
    def write(self, text: str) -> None:
        assert text.endswith("\n") and text.count("\n") == 1, text

    def flush(self) -> None:
        pass


def _read_all(sock: Any) -> bytes:
    parts = []
    try:
        while data := sock.recv(65536):
            parts.append(data)
    except ConnectionError:
        pass
    return b"".join(parts)


def cut(data: bytes, way: int) -> Iterator[bytes]:
    """In pieces: all at once, of some bytes each, or before and after each line's end."""
    size = (len(data) or 1, 1, 7, 64)[way % 4]
    if way >= 128:
        yield from data.splitlines(keepends=True)
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]


# ---- what must hold ----


def check_answer(data: bytes, seen: Seen) -> None:
    """As said above; finds out `last`."""
    rest = seen.answer
    for request in seen.requests:
        if request.taken:
            seen.last = True
            return
        if not request.answered:  # it was refused, or its client gone, while its body was read
            assert request is seen.requests[-1], f"{data!r}: {request} has no answer"
            rest = rest.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            seen.last = not rest
            break
        rest, complete, seen.last = parse_response(data, request.method, rest)
        assert complete or not request.whole, (
            f"{data!r}: {request} has an incomplete answer: {seen.answer!r}"
        )
        assert not (rest and seen.last), f"{data!r}: {rest!r} comes after the end"
    if rest:
        # A refusal. Of a HEAD it has no body; llhttp may have seen the method, or not.
        method = "GET" if rest.partition(b"\r\n\r\n")[2] else "HEAD"
        status = rest.split(b" ", 2)[1]
        rest, complete, seen.last = parse_response(data, method, rest)
        assert complete and seen.last and status in REFUSALS, f"{data!r}: {seen.answer!r}"
    assert not rest, f"{data!r}: nobody asked for {rest!r}"


REFUSALS = {b"400", b"408", b"413", b"414", b"417", b"431", b"501", b"505"}


def parse_response(data: bytes, method: str, text: bytes) -> tuple[bytes, bool, bool]:
    """(what comes after it, is it whole? is it the last one?), by h11."""
    client = h11.Connection(h11.CLIENT)
    if method == "CONNECT":
        method = "GET"  # h11 would take what follows for the tunnel's
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(text)
    client.receive_data(b"")
    last = True
    try:
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                last = (b"connection", b"close") in event.headers
            if isinstance(event, h11.EndOfMessage):
                return client.trailing_data[0], True, last
            assert event is not h11.NEED_DATA and event is not h11.PAUSED, (data, text)
            assert not isinstance(event, h11.ConnectionClosed), f"{data!r}: no answer"
    except h11.RemoteProtocolError as error:
        assert "without sending complete message body" in str(error) or (
            "incomplete chunked" in str(error)
        ), f"{data!r}: {error}: {text!r}"
        return b"", False, True


def check_requests(data: bytes, seen: Seen) -> None:
    """As said above."""
    theirs = list(requests_by_h11(data[2:]))
    for ours, other in zip(seen.requests, theirs, strict=False):
        if ours.taken:
            return
        assert (ours.method, ours.target) == other[:2], f"{data!r}: {ours} is h11's {other}"
        if ours.whole:
            assert ours.body == other[2], f"{data!r}: {ours} is h11's {other}"
    if len(theirs) > len(seen.requests):
        bad = bool(seen.requests) and isinstance(seen.requests[-1].input._broken, BadRequest)
        assert seen.last or bad, f"{data!r}: {theirs[len(seen.requests)]} was passed over"


def requests_by_h11(data: bytes) -> Iterator[tuple[str, str, bytes]]:
    """(method, target, body) of each request, until one is refused, or is the last."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    server.receive_data(b"")
    try:
        while isinstance(event := server.next_event(), h11.Request):
            request, body = event, b""
            while isinstance(event := server.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return
            yield request.method.decode(), request.target.decode("latin-1"), body
            server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            server.send(h11.EndOfMessage())
            if server.our_state is not h11.DONE or server.their_state is not h11.DONE:
                return
            server.start_next_cycle()
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        return
