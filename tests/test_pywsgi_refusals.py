"""What pywsgi refuses: requests that two servers could read in two ways, limits, slow clients.

Every bad request is sent with another one behind it, which must never be answered: that is the one
that would be smuggled. h11, which is another strict reader, is a peer to some.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web import Client, ask, echo, hello, serving

import pycoro
from pycoro import socket
from pycoro.pywsgi import connection

pytestmark = pytest.mark.usefixtures("clean_loop")

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
HOST = b"Host: test\r\n"


def statuses(answer: bytes) -> list[bytes]:
    """Of all responses in it. No application here sends such a line."""
    return [line[9:12] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def refused(data: bytes, status: bytes = b"400", application: Any = echo, **options: Any) -> None:
    """It gets this status, the connection is closed, and the request behind it is not answered."""
    paths = []

    def watching(environ: Any, start_response: Any) -> Any:
        paths.append(environ["PATH_INFO"])
        return application(environ, start_response)

    with serving(watching, **options) as one:
        answer = ask(one, data + SMUGGLED)
        assert statuses(answer) == [status], answer
        assert b"\r\nConnection: close\r\n" in answer
        assert "/smuggled" not in paths
        assert len(one.error_log) == 1 and "Invalid request (from ('127.0.0.1'" in one.error_log[0]
        assert one.log and f" {status.decode()} " in one.log[-1]


def head(*lines: bytes, method: bytes = b"POST") -> bytes:
    return b"\r\n".join([method + b" / HTTP/1.1", b"Host: test", *lines, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "data",
    {
        "CL and TE": head(b"Content-Length: 3", CHUNKED) + b"0\r\n\r\n",
        "TE and CL": head(CHUNKED, b"Content-Length: 3") + b"0\r\n\r\n",
        "two CL": head(b"Content-Length: 3", b"Content-Length: 4") + b"abc",
        "two equal CL": head(b"Content-Length: 3", b"Content-Length: 3") + b"abc",
        "list of CL": head(b"Content-Length: 3, 3") + b"abc",
        "CL +3": head(b"Content-Length: +3") + b"abc",
        "CL -3": head(b"Content-Length: -3") + b"abc",
        "CL 0x3": head(b"Content-Length: 0x3") + b"abc",
        "CL 1_0": head(b"Content-Length: 1_0") + b"abcdefghij",
        "CL 3 0": head(b"Content-Length: 3 0") + b"abc",
        "no CL": head(b"Content-Length:") + b"abc",
        "CL too large": head(b"Content-Length: 99999999999999999999"),
        "CL of another script": head("Content-Length: \u0663".encode()) + b"abc",
        "TE not last": head(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
        "TE identity": head(b"Transfer-Encoding: identity") + b"0\r\n\r\n",
        "TE twice": head(CHUNKED, CHUNKED) + b"0\r\n\r\n",
        "TE twice, in one": head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
        "TE in two fields": head(b"Transfer-Encoding: x", CHUNKED) + b"0\r\n\r\n",
        "TE of no kind": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
        "TE quoted": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
        "TE behind a tab": head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
        "TE with a space": head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n",
        "TE behind a space": head(b" Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "TE empty": head(b"Transfer-Encoding:") + b"0\r\n\r\n",
        "TE in 1.0": b"POST / HTTP/1.0\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n",
        "obs-fold": head(b"A: b", b" c"),
        "obs-fold by a tab": head(b"A: b", b"\tc"),
        "obs-fold of the first": b"GET / HTTP/1.1\r\n Host: test\r\n\r\n",
        "obs-fold of TE": head(b"Transfer-Encoding:", b" chunked") + b"0\r\n\r\n",
        "LF alone": b"GET / HTTP/1.1\nHost: test\n\n\r\n\r\n",
        "LF in the head": b"GET / HTTP/1.1\r\nHost: test\nA: b\r\n\r\n",
        "LF at the end": b"GET / HTTP/1.1\r\nHost: test\r\n\n\r\n\r\n",
        "CR in the head": b"GET / HTTP/1.1\r\nHost: test\rA: b\r\n\r\n",
        "CR CR LF": b"GET / HTTP/1.1\r\nHost: test\r\r\nA: b\r\n\r\n",
        "NUL in a value": head(b"A: b\0c"),
        "NUL in a name": head(b"A\0: b"),
        "control in a value": head(b"A: b\x01c"),
        "DEL in a value": head(b"A: b\x7fc"),
        "bad name": head(b"A(B: c"),
        "space in a name": head(b"A B: c"),
        "no name": head(b": c"),
        "no colon": head(b"A"),
        "high byte in a name": head(b"\xc3\x84: c"),
        "no Host": b"GET / HTTP/1.1\r\n\r\n",
        "two Hosts": head(b"Host: test"),
        "Host of two": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "Host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "two Content-Types": head(b"Content-Type: a/b", b"Content-Type: c/d"),
        "no version": b"GET /\r\n\r\n",
        "no target": b"GET HTTP/1.1\r\nHost: test\r\n\r\n",
        "two spaces": b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
        "space behind": b"GET / HTTP/1.1 \r\nHost: test\r\n\r\n",
        "space before": b" GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "tab": b"GET\t/\tHTTP/1.1\r\nHost: test\r\n\r\n",
        "space in the target": b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
        "control in the target": b"GET /\x01 HTTP/1.1\r\nHost: test\r\n\r\n",
        "high byte in the target": b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
        "relative target": b"GET a HTTP/1.1\r\nHost: test\r\n\r\n",
        "target of nobody": b"GET http:///p HTTP/1.1\r\nHost: test\r\n\r\n",
        "unknown method": b"FROB / HTTP/1.1\r\nHost: test\r\n\r\n",
        "method in lower case": b"get / HTTP/1.1\r\nHost: test\r\n\r\n",
        "lower case version": b"GET / http/1.1\r\nHost: test\r\n\r\n",
        "HTTP/1.10": b"GET / HTTP/1.1x\r\nHost: test\r\n\r\n",
        "RTSP": b"OPTIONS / RTSP/1.0\r\nHost: test\r\n\r\n",
        "ICE": b"SOURCE / ICE/1.0\r\nHost: test\r\n\r\n",
        "LF before": b"\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2\r\n\r\nSM\r\n\r\n",
        "nothing": b"\0\r\n\r\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_bad_heads(data: tuple[str, bytes]) -> None:
    refused(data[1])


@pytest.mark.parametrize(
    "body",
    {
        "no number": b"xyz\r\nabc\r\n0\r\n\r\n",
        "negative": b"-1\r\na\r\n0\r\n\r\n",
        "with a sign": b"+1\r\na\r\n0\r\n\r\n",
        "0x": b"0x1\r\na\r\n0\r\n\r\n",
        "underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        "space before": b" 1\r\na\r\n0\r\n\r\n",
        "space behind": b"1 \r\na\r\n0\r\n\r\n",
        "empty": b"\r\na\r\n0\r\n\r\n",
        "LF alone": b"1\na\n0\n\n",
        "LF behind the size": b"1\na\r\n0\r\n\r\n",
        "LF behind the data": b"1\r\na\n0\r\n\r\n",
        "LF in an extension": b"1;a\nb\r\na\r\n0\r\n\r\n",
        "CR in an extension": b"1;a\rb\r\na\r\n0\r\n\r\n",
        "NUL in an extension": b"1;a\0b\r\na\r\n0\r\n\r\n",
        "too little data": b"3\r\na\r\n0\r\n\r\n",
        "too much data": b"1\r\nab\r\n0\r\n\r\n",
        "too large": b"10000000000000001\r\na\r\n0\r\n\r\n",
        "bad trailer": b"0\r\na b: c\r\n\r\n",
        "folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
        "long extension": b"1;" + b"x" * 5000 + b"\r\na\r\n0\r\n\r\n",
        "long trailer": b"0\r\na: " + b"x" * 5000 + b"\r\n\r\n",
        "many trailers": b"0\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    }.items(),
    ids=lambda item: item[0],
)
def test_bad_chunks(body: tuple[str, bytes]) -> None:
    refused(head(CHUNKED) + body[1])


def test_bad_chunks_that_nobody_reads() -> None:
    """The response is sent already; the connection must end."""
    with serving(hello) as one:
        answer = ask(one, head(CHUNKED) + b"x\r\n" + SMUGGLED)
        assert statuses(answer) == [b"200"]


def test_bad_chunks_that_the_application_copes_with() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        for _ in range(2):
            with pytest.raises(OSError, match="chunk size"):
                environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"coped"]

    with serving(application) as one:
        answer = ask(one, head(CHUNKED) + b"x\r\n" + SMUGGLED)
        assert (statuses(answer), answer[-5:]) == ([b"200"], b"coped")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: test\r\n\r\n", b"505"),
        (b"GET / HTTP/0.9\r\nHost: test\r\n\r\n", b"505"),
        (b"GET / HTTP/1.2\r\nHost: test\r\n\r\n", b"505"),
        (head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", b"501"),
        (head(b"Expect: the best"), b"417"),
    ],
)
def test_what_is_right_but_not_for_us(data: bytes, status: bytes) -> None:
    refused(data, status)


@pytest.mark.parametrize(
    ("data", "status", "limits"),
    [
        (b"GET /" + b"x" * 100, b"414", {"max_request_line": 50}),
        (b"GET /" + b"x" * 100 + b" HTTP/1.1\r\n" + HOST, b"414", {"max_request_line": 50}),
        (head(b"A: " + b"b" * 200), b"431", {"max_head": 100, "max_request_line": 20}),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 200, b"431", {"max_head": 100, "max_request_line": 20}),
        (head(*[b"A: b"] * 10), b"431", {"max_headers": 10}),
        (head(*[b"A_B: b"] * 10), b"431", {"max_headers": 10}),
        (head(b"Content-Length: 11"), b"413", {"max_body": 10}),
        (head(CHUNKED) + b"5\r\nabcde\r\n6\r\n", b"413", {"max_body": 10}),
        (head(CHUNKED) + b"fffffffffff\r\n", b"413", {"max_body": 10}),
    ],
)
def test_limits(data: bytes, status: bytes, limits: dict[str, Any]) -> None:
    refused(data, status, **limits)


def test_what_keeps_the_limits() -> None:
    limits = {"max_request_line": 14, "max_head": 85, "max_headers": 3, "max_body": 3}
    with serving(echo, **limits) as one, Client(one) as client:
        for request in (
            head(b"Content-Length: 3", b"A: b", method=b"PUT") + b"abc",
            head(CHUNKED, b"A: b", method=b"PUT") + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        ):
            client.send(request)
            assert client.response().body == b"PUT abc"


# ---- time ----

FAST = {"head_timeout": 0.02, "body_timeout": 0.02, "keepalive_timeout": 0.02, "send_timeout": 0.02}


@pytest.mark.parametrize("tls", [False, True])
def test_who_says_nothing_is_left(tls: bool) -> None:
    with serving(hello, **FAST, tls=tls) as one:
        with Client(one, tls) as client:
            assert client.rest() == b""
        with Client(one, tls) as client:
            assert client.get().body == b"hello"
            assert client.rest() == b""
    assert one.error_log == []


def test_a_slow_head_by_tls_gets_408() -> None:
    with serving(hello, tls=True, **FAST) as one, Client(one, tls=True) as client:
        client.send(b"GET / HT")
        assert statuses(client.rest()) == [b"408"]


@pytest.mark.parametrize(
    "data", [b"GET / HT", head(b"Content-Length: 5") + b"abc", head(CHUNKED) + b"5\r\nab"]
)
def test_who_is_too_slow_gets_408(data: bytes) -> None:
    with serving(echo, **FAST) as one, Client(one) as client:
        client.send(data)
        assert statuses(client.rest()) == [b"408"]
    assert len(one.error_log) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\x00",
    ],
    ids=["LF", "LF before the end", "a mere LF", "TLS", "an empty line and NUL"],
)
def test_what_can_become_no_head_is_refused_at_once(data: bytes) -> None:
    """Though no empty line comes, and no end."""
    with serving(hello) as one, Client(one) as client:
        for byte in data:
            client.send(bytes([byte]))
            pycoro.sleep(0)
        assert client.response().code == 400


def test_empty_lines_are_skipped_at_one_stroke(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each on its own, which would copy all that follows each time."""
    copies: list[int] = []
    skip = connection._skip_empty_lines

    def count(buffer: bytes) -> Any:
        found = skip(buffer)
        if found:
            copies.append(found.end())
        return found

    monkeypatch.setattr(connection, "_skip_empty_lines", count)
    with serving(hello) as one, Client(one) as client:
        client.send(b"\r\n" * 1000 + SMUGGLED)
        assert client.response().code == 200
    assert sum(copies) == 2000 and len(copies) < 10


def test_a_slow_loris_is_told_off_while_others_are_served() -> None:
    """One that sends a byte now and then, so that no single wait is long."""
    with serving(hello, head_timeout=0.1) as one, Client(one) as slow, Client(one) as client:
        slow.send(b"GET / HTTP/1.1\r\nA: ")
        told = pycoro.spawn(slow.rest)
        served = 0
        while not told.ready():
            slow.sock.send(b"x")
            assert client.get().body == b"hello"
            served += 1
            pycoro.sleep(0.002)
        assert statuses(told.get()) == [b"408"]
        assert served > 1


def test_who_does_not_read_is_left() -> None:
    ended = []

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            ended.append(True)

    with serving(application, **FAST) as one, Client(one) as client:
        client.send(SMUGGLED)
        while not ended:
            pycoro.sleep(0.005)
    assert ended == [True]


def test_time_does_not_run_while_the_application_works() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        pycoro.sleep(0.1)
        return hello(environ, start_response)

    with serving(application, **FAST) as one, Client(one) as client:
        assert client.get().body == b"hello"


def test_half_closed_clients_get_their_answer() -> None:
    with serving(echo) as one, Client(one) as client:
        client.send(head(b"Content-Length: 3") + b"abc")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest().endswith(b"POST abc")


# ---- many, and anything ----


def test_a_thousand_idle_connections_and_one_that_works() -> None:
    count = 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < 2 * count + 200:
        pytest.skip(f"only {most} descriptors are allowed: ulimit -n")
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    clients: list[Client] = []
    try:
        with serving(hello) as one:
            clients += [Client(one) for _ in range(count)]
            assert {client.get().body for client in clients} == {b"hello"}
            assert len(one.watchman.connections) == count
            with Client(one) as client:
                assert [client.get().code for _ in range(20)] == [200] * 20
            one.stop()
            assert one.watchman.connections == set()
            assert {client.rest() for client in clients} == {b""}
    finally:
        for client in clients:
            client.sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, former)


def test_connections_leave_nothing_behind() -> None:
    import gc

    with serving(hello) as one:

        def round_() -> int:
            for _ in range(30):
                ask(one, b"nonsense\r\n\r\n")
                ask(one, head(b"Connection: close", method=b"GET"))
                with Client(one) as client:
                    client.send(b"GET / HT")
            while one.watchman.connections:
                pycoro.sleep(0.001)
            gc.collect()
            one.log.clear()
            one.error_log.clear()
            return sys.getallocatedblocks(), len(list(Path("/proc/self/fd").iterdir()))

        round_()
        before = round_()
        after = round_()
        assert after[1] <= before[1]
        assert after[0] - before[0] < 300


PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n", b"\n", b"\r"),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"abc", b"3\r\n", b"0\r\n"),
        *(
            b"Connection: upgrade\r\nUpgrade: x\r\n",
            b"Expect: 100-continue\r\n",
            b"\0",
            b" ",
            b"\t",
        ),
        *(b"Connection: close\r\n", b"HTTP/1.0\r\n", b": ", b";ext\r\n", b"\xff", b"HEAD / "),
    ]
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(PIECES | st.binary(max_size=20), max_size=12), st.booleans())
def test_any_bytes(pieces: list[bytes], at_once: bool) -> None:
    """No error of ours, no connection that stays, and others are served."""
    errors: list[Any] = []
    with serving(echo) as one, pytest.MonkeyPatch.context() as patch:
        patch.setattr(one.loop, "handle_error", lambda *args: errors.append(args))
        with Client(one) as client:
            try:
                if at_once:
                    client.send(b"".join(pieces))
                else:
                    for piece in pieces:
                        client.send(piece)
                        pycoro.sleep(0)
                client.sock.shutdown(socket.SHUT_WR)
                answer = client.rest()
            except OSError:  # it has closed already
                answer = b""
        assert set(statuses(answer)) <= {b"100", b"200", b"400", b"413", b"417", b"501", b"505"}
        with Client(one) as client:
            client.send(head(b"Connection: close", method=b"GET"))
            assert client.response().code == 200
        one.stop()
        assert (errors, one.watchman.connections) == ([], set())
