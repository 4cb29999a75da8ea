"""pywsgi: requests and responses as bytes on a connection, and what an application sees of them."""

from __future__ import annotations

import io
import logging
import socket as stdlib
import ssl
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
import web
from helpers import output_of
from web import GET, Client, Log, ask, echo, hello, respond, serving

import pycoro
from pycoro import pywsgi, server

pytestmark = pytest.mark.usefixtures("clean_loop")

CLOSE = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def environ_of(request: bytes, **settings: Any) -> dict[str, Any]:
    """What the application sees of it."""
    seen: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(dict(environ))
        start_response("200 OK", [])
        return []

    with serving(application, **settings) as one, Client(one) as client:
        client.send(request)
        client.response()
    return seen[0]


# ---- requests ----


def test_environ() -> None:
    environ = environ_of(
        b"GET /a%20b%C3%A9/c;d?x=1&y=%20 HTTP/1.1\r\nHost: example.org:81\r\nX-Thing: 1\r\n"
        b"x-thing:2 \r\nCookie: a=b\r\nCookie: c=d\r\nContent-Type: text/x\r\n"
        b"Under_Score: evil\r\nEmpty:\r\nLatin: \xe9\r\n\r\n"
    )
    port = environ.pop("REMOTE_PORT")
    assert port.isdigit() and environ.pop("SERVER_PORT").isdigit()
    assert isinstance(environ.pop("wsgi.errors"), Log)
    assert environ.pop("wsgi.input").read() == b""
    assert environ.pop("wsgi.file_wrapper") is pywsgi.FileWrapper
    assert environ.pop("SERVER_SOFTWARE").startswith("pycoro Python/3.")
    assert environ == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a bÃ©/c;d",
        "QUERY_STRING": "x=1&y=%20",
        "REQUEST_URI": "/a%20b%C3%A9/c;d?x=1&y=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "text/x",
        "HTTP_HOST": "example.org:81",
        "HTTP_X_THING": "1,2",
        "HTTP_COOKIE": "a=b; c=d",
        "HTTP_EMPTY": "",
        "HTTP_LATIN": "é",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        ("http://other:82/p?q", "other:82", "/p", "q"),
        ("http://other", "other", "/", ""),
        ("http://[::1]:82/p", "[::1]:82", "/p", ""),
        ("//double//slash", "test", "//double//slash", ""),
        ("/?", "test", "/", ""),
        ("/%2e%2E/%00", "test", "/../\0", ""),
    ],
)
def test_targets(target: str, host: str, path: str, query: str) -> None:
    environ = environ_of(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert [environ[key] for key in ("HTTP_HOST", "PATH_INFO", "QUERY_STRING")] == [
        *(host, path, query)
    ]


def test_options_of_all() -> None:
    environ = environ_of(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("OPTIONS", "*")


def test_environ_of_the_server() -> None:
    extra = {"wsgi.multiprocess": True, "MINE": 1, "SERVER_NAME": "me"}
    environ = environ_of(GET, environ=extra)
    assert {key: environ[key] for key in extra} == extra
    with serving(hello, environ=extra) as one:
        assert one.max_accept == 1


def test_empty_lines_before_a_request_are_passed_over() -> None:
    with serving(hello) as one:
        assert ask(one, b"\r\n\r\n\r\n" + CLOSE).endswith(b"hello")


def test_keep_alive_and_its_end() -> None:
    with serving(hello) as one, Client(one) as client:
        assert [client.get().closes for _ in range(3)] == [False] * 3
        client.send(CLOSE)
        assert client.response().closes
        assert client.rest() == b""
    assert len(one.log) == 4


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (b"", "close"),
        (b"Connection: Keep-Alive\r\n", "keep-alive"),
        (b"Connection: x\r\n", "close"),
    ],
)
def test_http_1_0(header: bytes, answer: str) -> None:
    with serving(hello) as one, Client(one) as client:
        client.send(b"GET / HTTP/1.0\r\n" + header + b"\r\n")
        response = client.response()
        assert response.headers["connection"] == answer
        assert response.body == b"hello"
        if answer == "close":
            assert client.rest() == b""
        else:
            assert client.get().body == b"hello"


def test_pipelining() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/0":
            pycoro.sleep(0.01)  # the others are not to be answered before
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode() + environ["wsgi.input"].read()]

    requests = [
        b"POST /%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%b" % (n, n, b"x" * n)
        for n in range(50)
    ]
    with serving(application) as one, Client(one) as client:
        client.send(b"".join(requests))
        assert [client.response().body for _ in requests] == [
            b"/%d%b" % (n, b"x" * n) for n in range(50)
        ]


def test_a_request_in_pieces() -> None:
    request = b"\r\nPOST /p HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    request += b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    with serving(echo) as one, Client(one) as client:
        for _ in range(2):
            for number in range(len(request)):
                client.send(request[number : number + 1])
                pycoro.sleep(0)
            assert client.response().body == b"POST abc0123456789"


# ---- bodies ----


def sized(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST / HTTP/1.1\r\nHost: test\r\n%bContent-Length: %d\r\n\r\n%b" % (
        *(lines, len(body), body),
    )


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n"
        + pieces
        + b"0\r\n"
        + trailers
        + b"\r\n"
    )


BODY = b"first line\nsecond\n\nlast"


@pytest.mark.parametrize("request_bytes", [sized(BODY), chunked(BODY[:3], BODY[3:15], BODY[15:])])
@pytest.mark.parametrize("way", ["read", "pieces", "lines", "readlines", "mixed", "hint", "sizes"])
def test_ways_to_read(request_bytes: bytes, way: str) -> None:
    file = io.BytesIO(BODY)

    def use(stream: Any) -> Any:
        if way == "read":
            return [stream.read(), stream.read(), stream.read(5), stream.readline()]
        if way == "pieces":
            return [*iter(lambda: stream.read(4), b""), stream.read(0), stream.read(None)]
        if way == "lines":
            return list(stream)
        if way == "readlines":
            return stream.readlines()
        if way == "hint":
            return [stream.readlines(12), stream.readlines()]
        if way == "sizes":
            return [stream.readline(size) for size in (3, 20, 0, 100, -1, None, 2)]
        return [stream.readline(), stream.read(3), stream.readline(), next(stream), stream.read()]

    expected = use(file)
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(use(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    with serving(application) as one, Client(one) as client:
        client.send(request_bytes)
        client.response()
        client.send(GET)
        client.response()
    assert seen[0] == expected


def test_an_upload_is_streamed() -> None:
    """The application reads what has come, while more is still to come."""
    log: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        while data := stream.read(100_000):
            log.append(len(data))
        start_response("200 OK", [])
        return []

    with serving(application) as one, Client(one) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(3):
            client.send(b"x" * 100_000)
            log.append("sent")
            while log[-1] == "sent":
                pycoro.sleep(0.001)
        assert client.response().code == 200
    assert log == ["sent", 100_000] * 3


@pytest.mark.parametrize("body", [sized(b"unread"), chunked(b"unread", b"too")])
def test_what_is_not_read_is_passed_over(body: bytes) -> None:
    with serving(hello) as one, Client(one) as client:
        for _ in range(2):
            client.send(body)
            assert client.response().body == b"hello"


def test_what_is_not_read_and_is_long_ends_the_connection() -> None:
    with serving(hello) as one, Client(one) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 999
        )
        response = client.response()
        assert response.body == b"hello"
        assert ("Connection", "close") in response.lines
        assert client.rest() == b""


EXPECTING = b"POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"


def test_100_continue_comes_when_the_body_is_read() -> None:
    with serving(echo) as one, Client(one) as client:
        for _ in range(2):
            client.send(EXPECTING)
            assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"ab")
            assert client.response().body == b"POST ab"


def test_100_continue_does_not_come_for_what_nobody_reads() -> None:
    with serving(hello) as one, Client(one) as client:
        client.send(EXPECTING)
        response = client.response()
        assert (response.code, response.body) == (200, b"hello")
        assert ("Connection", "close") in response.lines
        assert client.rest() == b""  # whether a body comes is not known


def test_a_client_that_goes_in_the_middle_of_its_body() -> None:
    errors = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            errors.append(error)
            raise
        return []

    with serving(application) as one:
        with Client(one) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
            while not one.watchman.connections:
                pycoro.sleep(0.001)
        while one.watchman.connections:
            pycoro.sleep(0.001)
    assert [type(error) for error in errors] == [ConnectionResetError]
    assert [line.split('"')[2][:5] for line in one.log] == [" 000 "]


# ---- responses ----


def test_a_list_has_a_length_and_a_generator_comes_in_chunks() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-A", "1"), ("X-A", "2")])
        if environ["PATH_INFO"] == "/list":
            return [b"a", b"bc"]
        return (piece for piece in (b"", b"a", b"", b"x" * 30))

    with serving(application) as one, Client(one) as client:
        listed = client.get("/list")
        chunks = client.get("/chunks")
        assert [name for name, _ in listed.lines] == ["X-A", "X-A", "Date", "Content-Length"]
        assert listed.body == b"abc"
        assert [name for name, _ in chunks.lines] == ["X-A", "X-A", "Date", "Transfer-Encoding"]
        assert chunks.body == b"a" + b"x" * 30
        client.send(b"GET /chunks HTTP/1.0\r\n\r\n")
        assert client.rest().endswith(b"Connection: close\r\n\r\na" + b"x" * 30)


def test_anything_like_bytes_will_do() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        pieces = [bytearray(b"ab"), memoryview(b"cd"), b"ef"]
        start_response("200 OK", [])
        return pieces[: int(environ["QUERY_STRING"])]

    with serving(application) as one, Client(one) as client:
        assert [client.get(f"/?{n}").body for n in (1, 2, 3)] == [b"ab", b"abcd", b"abcdef"]


def test_what_is_like_bytes_is_not_compared_with_text() -> None:
    code = "from pycoro.pywsgi.responder import _as_bytes; print(list(_as_bytes(bytearray(b'a'))))"
    assert output_of(code, "-bb") == ["[97]"]


def test_pieces_are_sent_as_they_are_yielded() -> None:
    go_on = pycoro.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"first"
        go_on.wait()
        yield b"second"

    with serving(application) as one, Client(one) as client:
        client.send(GET)
        client.until(b"5\r\nfirst\r\n")
        go_on.set()
        assert client.until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def test_write() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        write(b"")
        return [b"def"]

    with serving(application) as one, Client(one) as client:
        assert [client.get().body for _ in range(2)] == [b"abcdef"] * 2


def test_an_application_says_date_connection_and_length() -> None:
    headers = [("Date", "today"), ("Connection", "close"), ("Content-Length", "2")]
    with serving(respond(headers=headers, body=[b"ab"])) as one, Client(one) as client:
        assert client.get().lines == [
            *(("Date", "today"), ("Content-Length", "2"), ("Connection", "close"))
        ]
        assert client.rest() == b""


def test_what_is_the_servers_to_say_is_left_out() -> None:
    headers = [("Transfer-Encoding", "chunked"), ("Keep-Alive", "x"), ("Connection", "keep-alive")]
    with serving(respond(headers=headers, body=[b"ab"])) as one, Client(one) as client:
        response = client.get()
        assert (set(response.headers), response.body) == ({"date", "content-length"}, b"ab")


def test_the_date_is_the_second_s() -> None:
    from email.utils import parsedate_to_datetime
    from time import time

    with serving(hello) as one, Client(one) as client:
        before = int(time())
        stamp = parsedate_to_datetime(client.get().headers["date"]).timestamp()
        assert before <= stamp <= time()


def test_head() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        headers = [("Content-Length", "5")] if environ["PATH_INFO"] == "/said" else []
        start_response("200 OK", headers)
        return iter([b"he", b"llo"]) if environ["PATH_INFO"] != "/list" else [b"hello"]

    with serving(application) as one, Client(one) as client:
        seen = {}
        for path in ("/said", "/list", "/chunks"):
            client.send(f"HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            response = client.response(head=True)
            seen[path] = (
                *(response.headers.get("content-length"),),
                response.headers.get("transfer-encoding"),
            )
        assert seen == {"/said": ("5", None), "/list": ("5", None), "/chunks": (None, "chunked")}
        assert client.get().body == b"hello"
    assert one.error_log == []


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_responses_without_a_body(status: str) -> None:
    with serving(respond(status, [("X-Y", "z")], [])) as one, Client(one) as client:
        for _ in range(2):
            response = client.get()
            assert set(response.headers) == {"x-y", "date"}


def test_close_is_called_once_in_any_case() -> None:
    log = []

    class Result:
        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def __iter__(self) -> Any:
            yield b"x"
            if self.fails:
                raise ZeroDivisionError

        def close(self) -> None:
            log.append("closed")

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Result(environ["PATH_INFO"] == "/fail")

    with serving(application) as one:
        with Client(one) as client:
            assert client.get().body == b"x"
            client.send(b"GET /fail HTTP/1.1\r\nHost: test\r\n\r\n")
            assert client.rest().endswith(b"1\r\nx\r\n")  # it has not ended as it should
    assert log == ["closed", "closed"]


# ---- files ----


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    return path


def wrap(path: Path, offset: int = 0, headers: Any = (), make: Any = None) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        opened = make() if make else path.open("rb")
        opened.seek(offset)
        return environ["wsgi.file_wrapper"](opened, 8192)

    return application


@pytest.mark.parametrize("tls", [False, True])
def test_a_file(file: Path, tls: bool) -> None:
    content = file.read_bytes()
    with serving(wrap(file, 1000), tls=tls) as one, Client(one, tls) as client:
        for _ in range(2):
            response = client.get()
            assert response.headers["content-length"] == str(len(content) - 1000)
            assert response.body == content[1000:]


def test_a_part_of_a_file(file: Path) -> None:
    content = file.read_bytes()
    with serving(wrap(file, 10, [("Content-Length", "20")])) as one, Client(one) as client:
        assert [client.get().body for _ in range(2)] == [content[10:30]] * 2
        client.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.response(head=True).headers["content-length"] == "20"
        assert client.get().body == content[10:30]


def test_what_is_no_file_of_the_kernel_s_is_read(file: Path) -> None:
    application = wrap(file, 5, make=lambda: io.BytesIO(b"x" * 20000))
    with serving(application) as one, Client(one) as client:
        response = client.get()
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.body == b"x" * 19995


def test_a_file_is_sent_by_the_kernel_and_closed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    opened = file.open("rb")
    original = pycoro.socket.socket.sendfile

    def sendfile(self: Any, *args: Any) -> int:
        sent.append(args[0])
        return original(self, *args)

    monkeypatch.setattr(pycoro.socket.socket, "sendfile", sendfile)
    with serving(wrap(file, make=lambda: opened)) as one, Client(one) as client:
        assert len(client.get().body) == 256 * 4000
    assert set(sent) == {opened} and opened.closed


# ---- errors of applications ----


def test_an_application_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise ZeroDivisionError("as told")

    with serving(application) as one:
        answer = ask(one, b"GET /?secret HTTP/1.1\r\nHost: test\r\nAuthorization: secret\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"Connection: close\r\n" in answer
        assert b"told" not in answer
    error = capsys.readouterr().err
    assert "ZeroDivisionError: as told" in error and "'HTTP_HOST': 'test'" in error
    assert "secret" not in error.split("Traceback")[0]
    assert " 500 " in one.log[0]


def test_an_error_after_the_head_ends_the_connection(capsys: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "10")])
        yield b"abc"
        raise ZeroDivisionError

    with serving(application) as one:
        assert ask(one, GET).endswith(b"\r\n\r\nabc")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_start_response_again_with_exc_info() -> None:
    import sys

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-Old", "1")])
        try:
            raise KeyError("x")
        except KeyError:
            start_response("418 Teapot", [("X-New", "1")], sys.exc_info())
        return [b"short and stout"]

    with serving(application) as one, Client(one) as client:
        response = client.get()
        assert (response.code, response.body) == (418, b"short and stout")
        assert "x-old" not in response.headers and "x-new" in response.headers


@pytest.mark.parametrize(
    "application",
    [
        pytest.param(lambda environ, start_response: [b"x"], id="no start_response"),
        pytest.param(lambda environ, start_response: None, id="None"),
        pytest.param(respond(body=["text"]), id="text"),
        pytest.param(respond(body=iter(["text"])), id="text in pieces"),
        pytest.param(respond(body=[5]), id="a number"),
        pytest.param(respond(status="200 OK\r\nX: y"), id="line end in the status"),
        pytest.param(respond(status="fine"), id="no status"),
        pytest.param(respond(status=200), id="status is a number"),
        pytest.param(respond(status="99 Low"), id="low status"),
        pytest.param(respond(status="103 Early Hints"), id="no final status"),
        pytest.param(respond(status="101 Other"), id="an upgrade that nobody wants"),
        pytest.param(respond(headers=[("X", "a\r\nSet-Cookie: evil")]), id="CRLF in a value"),
        pytest.param(respond(headers=[("X", "a\nb")]), id="LF in a value"),
        pytest.param(respond(headers=[("X", "a\rb")]), id="CR in a value"),
        pytest.param(respond(headers=[("X", "a\0b")]), id="NUL in a value"),
        pytest.param(respond(headers=[("X\r\nY", "a")]), id="CRLF in a name"),
        pytest.param(respond(headers=[("X Y", "a")]), id="space in a name"),
        pytest.param(respond(headers=[("X:", "a")]), id="colon in a name"),
        pytest.param(respond(headers=[("", "a")]), id="no name"),
        pytest.param(respond(headers=[(b"X", "a")]), id="name of bytes"),
        pytest.param(respond(headers=[("X", b"a")]), id="value of bytes"),
        pytest.param(respond(headers=[("X", 1)]), id="value is a number"),
        pytest.param(respond(headers=[("X", "\u20ac")]), id="not Latin-1"),
        pytest.param(respond(headers=[("Content-Length", "-1")]), id="negative length"),
        pytest.param(respond(headers=[("Content-Length", "1,1")]), id="length of two"),
        pytest.param(respond(headers=[("Content-Length", "\u0661")]), id="Arabic length"),
        pytest.param(
            respond(headers=[("Content-Length", "1"), ("content-length", "2")]), id="two lengths"
        ),
        pytest.param(
            respond(status="204 None", headers=[("Content-Length", "5")]), id="length of nothing"
        ),
    ],
)
def test_what_cannot_be_sent_is_500(application: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(application) as one:
        answer = ask(one, GET)
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain;")
        assert b"evil" not in answer
    assert "Error: " in capsys.readouterr().err


def test_too_many_bytes_are_cut_off_and_too_few_end_the_connection() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "3")])
        path = environ["PATH_INFO"]
        if path[1] == "g":
            return iter([b"a", b"bcde", b"f"] if path.endswith("long") else [b"a", b"b"])
        return [b"abcde"] if path.endswith("long") else [b"ab"]

    seen = {}
    for path in ("/long", "/short", "/generator-long", "/generator-short"):
        with serving(application) as one:
            answer = ask(one, f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() * 2)
            seen[path] = answer.split(b"\r\n\r\n", 1)[1], "too" in one.error_log[0]
    assert seen == {
        "/long": (b"abc", True),
        "/short": (b"ab", True),
        "/generator-long": (b"abc", True),
        "/generator-short": (b"ab", True),
    }


def test_a_body_where_there_must_be_none_is_not_sent() -> None:
    with serving(respond("204 None", [], [b"body"])) as one:
        assert ask(one, GET * 2).count(b"\r\n\r\n") == 1
        assert "too many" in one.error_log[0]


def test_start_response_twice(capsys: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with serving(application) as one:
        assert ask(one, GET).startswith(b"HTTP/1.1 500 ")
    assert "without exc_info" in capsys.readouterr().err


def test_a_client_that_is_gone_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        while True:
            yield b"x" * 100_000

    with serving(application) as one:
        with Client(one) as client:
            client.send(GET)
            client.exactly(200_000)
        while one.watchman.connections:
            pycoro.sleep(0.001)
    assert capsys.readouterr().err == ""
    assert len(one.log) == 1


# ---- upgrades ----


UPGRADE = b"GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"


def test_an_upgrade_hands_the_socket_over() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        sock, data = environ["pycoro.upgrade"]()
        write = start_response("101 Switching Protocols", [("Upgrade", "shout")])
        write(b"")
        while data or (data := sock.recv(100)):
            sock.sendall(data.upper())
            data = b""
        return []

    with serving(application) as one, Client(one) as client:
        client.send(UPGRADE + b"early")
        response = client.response()
        assert (response.code, response.headers["upgrade"]) == (101, "shout")
        assert response.headers["connection"] == "Upgrade"
        assert client.exactly(5) == b"EARLY"
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.exactly(18) == b"GET / HTTP/1.1\r\n\r\n"
        client.sock.shutdown(stdlib.SHUT_WR)
        assert client.rest() == b""
    assert '" 101 ' in one.log[0]


def test_a_handler_that_upgrades_as_gevent_websockets_does() -> None:
    class Handler(pywsgi.WSGIHandler):
        def run_application(self) -> None:
            self.start_response("101 Switching Protocols", [("Upgrade", "shout")])
            self.write("")
            while line := self.rfile.readline():
                self.socket.sendall(line.upper() + self.rfile.read(2))

    with serving(hello, handler_class=Handler) as one, Client(one) as client:
        client.send(UPGRADE + b"early\n..la")
        assert client.response().code == 101
        assert client.exactly(8) == b"EARLY\n.."
        client.send(b"te\n")
        client.send(b"!!")
        assert client.exactly(7) == b"LATE\n!!"
        client.sock.shutdown(stdlib.SHUT_WR)
        assert client.rest() == b""


def test_who_answers_by_himself_sends_what_he_likes() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        sock, _ = environ["pycoro.upgrade"]()
        sock.sendall(b"HTTP/1.1 101 So Be It\r\n\r\nhere")
        raise ConnectionError("as some libraries end")

    with serving(application) as one:
        assert ask(one, UPGRADE) == b"HTTP/1.1 101 So Be It\r\n\r\nhere"


def test_an_upgrade_may_be_ignored() -> None:
    with serving(hello) as one, Client(one) as client:
        client.send(UPGRADE)
        assert client.response().body == b"hello"
        assert client.get().body == b"hello"
    assert "pycoro.upgrade" not in environ_of(GET)


def test_a_body_with_an_ignored_upgrade() -> None:
    with serving(echo) as one, Client(one) as client:
        upgrade = b"Connection: Upgrade\r\nUpgrade: h2c"
        client.send(sized(b"body", upgrade) + GET)
        assert client.response().body == b"POST body"
        assert client.response().body == b"GET "
        client.send(chunked(b"chunk").replace(b"Host: test", b"Host: test\r\n" + upgrade) + GET)
        assert client.response().body == b"POST chunk"
        assert client.response().body == b"GET "


# ---- servers ----


def test_the_access_log() -> None:
    with serving(hello) as one, Client(one) as client:
        client.send(b'GET /"x HTTP/1.1\r\nHost: test\r\n\r\n')
        client.response()
    import re

    assert re.fullmatch(
        r"127\.0\.0\.1 - - \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "
        r'"GET /\\x22x HTTP/1\.1" 200 \d+ 0\.\d{6}\n',
        one.log[0],
    )


def test_the_same_request_again_is_the_same() -> None:
    """What is known of the last head is used for the next; what the application does to environ is
    not."""
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append({key: value for key, value in environ.items() if key.isupper()})
        environ["PATH_INFO"] = environ["HTTP_HOST"] = "changed"
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    request = b"GET http://other/a%20b?c HTTP/1.1\r\nHost: test\r\nA: 1\r\nA: 2\r\n\r\n"
    with serving(application) as one, Client(one) as client:
        for between in (b"", GET, sized(b"body"), chunked(b"body"), UPGRADE, b"\r\n" + GET):
            for data in (request, request, between):
                client.send(data)
                assert not data or client.response().code == 200
        client.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
        assert [client.response(head=True).code for _ in range(2)] == [200, 200]
    same = [environ for environ in seen if environ["PATH_INFO"] == "/a b"]
    assert len(same) == 12 and all(environ == same[0] for environ in same)
    assert (same[0]["HTTP_HOST"], same[0]["HTTP_A"], same[0]["QUERY_STRING"]) == (
        "other",
        "1,2",
        "c",
    )
    assert (
        len([line for line in one.log if '"GET http://other/a%20b?c HTTP/1.1" 200' in line]) == 12
    )


def test_logs(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for log in ("default", None, logging.getLogger("web")):
        with serving(hello, log=log, error_log=log) as one:
            ask(one, CLOSE)
            ask(one, b"nonsense\r\n\r\n")
    err = capsys.readouterr().err
    assert err.count("GET / HTTP/1.1") == 1 and err.count("Invalid request") == 1
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR", "INFO"]
    adapter = pywsgi.LoggingLogAdapter(logging.getLogger("web"))
    adapter.writelines(["a\n", "b"])
    adapter.flush()
    adapter.mine = 1
    assert logging.getLogger("web").mine == adapter.mine == 1
    del adapter.mine
    assert [record.message for record in caplog.records[-2:]] == ["a", "b"]


def test_secure_environments() -> None:
    one = pywsgi.WSGISecureEnviron(REMOTE_ADDR="::1", HTTP_AUTHORIZATION="secret")
    assert repr(one) == "{'REMOTE_ADDR': '::1', (hidden keys: 1)}"
    masked = pywsgi.SecureEnviron(key="value", secure="secret")
    assert repr(masked).startswith("<pywsgi.SecureEnviron dict (keys: 2) at ")
    masked.whitelist_keys = {"key"}
    assert str(masked) == "{'key': 'value', 'secure': '<MASKED>'}"
    masked.secure_repr = False
    assert repr(masked) == "{'key': 'value', 'secure': 'secret'}"
    assert type(masked.copy()) is pywsgi.SecureEnviron
    environ = environ_of(GET, environ_class=pywsgi.SecureEnviron)
    assert environ["REQUEST_METHOD"] == "GET"


def test_handlers_of_ones_own() -> None:
    class Handler(pywsgi.WSGIHandler):
        def get_environ(self) -> Any:
            environ = super().get_environ()
            environ["MINE"] = f"{self.command} {self.path} {self.request_version}"
            return environ

        def log_request(self) -> None:
            self.server.log.write((self.requestline, self.status, self.response_headers))

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("A", "b")])
        return [environ["MINE"].encode()]

    with serving(application, handler_class=Handler) as one, Client(one) as client:
        assert client.get("/x?y").body == b"GET /x?y HTTP/1.1"
    assert one.log == [("GET /x?y HTTP/1.1", "200 OK", [("A", "b")])]


def test_tls() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [environ["wsgi.url_scheme"].encode(), b"x" * 100_000]

    with serving(application, tls=True) as one, Client(one, tls=True) as client:
        assert [client.get().body for _ in range(2)] == [b"https" + b"x" * 100_000] * 2
        client.send(CLOSE)
        client.response()
        assert client.rest() == b""


def test_a_unix_socket(tmp_path: Path) -> None:
    seen = []

    def application(environ: Any, start_response: Any) -> Any:
        seen.append([environ[key] for key in ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT")])
        return hello(environ, start_response)

    one = pywsgi.WSGIServer(str(tmp_path / "s"), application, log=None)
    with one:
        one.start()
        with Client(one) as client:
            assert client.get().body == b"hello"
    assert seen == [["", "localhost", "80"]]


def test_wsgiref_s_validator() -> None:
    @validator
    def application(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(100)
        environ["wsgi.input"].readline()
        environ["wsgi.errors"].write("told\n")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"read ", body]

    with serving(application) as one, Client(one) as client:
        for request, body in (
            (GET, b"read "),
            (sized(b"abc"), b"read abc"),
            (chunked(b"abc"), b"read abc"),
        ):
            client.send(request)
            assert client.response().body == body
    assert one.error_log == ["told\n"] * 3


def test_no_application() -> None:
    for bad in (None, 5):
        with pytest.raises(TypeError, match="application"):
            pywsgi.WSGIServer(web.LOCAL, bad)
    with pytest.raises(TypeError):
        pywsgi.WSGIServer(web.LOCAL, hello, unknown=1)
    assert issubclass(pywsgi.WSGIServer, server.StreamServer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert pywsgi.WSGIServer(web.LOCAL, hello, ssl_context=context).ssl_enabled


def test_many_connections_and_a_pool() -> None:
    with serving(hello, spawn=5) as one:
        tasks = [pycoro.spawn(ask, one, CLOSE) for _ in range(50)]
        assert all(task.get(timeout=30).endswith(b"hello") for task in tasks)
    assert len(one.log) == 50
