"""pywsgi behind nginx as a reverse proxy: connections that are kept and that are not, uploads and
downloads that nginx buffers and that it passes on, clients that leave, websockets, a reload.

nginx is Debian's (apt-get install nginx-light), a child process on a free port with a configuration
and a folder of its own. Server and clients are tasks of this loop, but for the last two tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket as stdlib_socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clients.servers import folder_for, free_port
from clients.servers import running as running_server
from test_prefork import eventually, running
from web import Client, Response, serving

import pycoro
from pycoro import event, pool, socket

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is missing: apt-get install nginx-light"),
    pytest.mark.usefixtures("clean_loop"),
]

# By path: connections to pywsgi are kept, or each request has one (nginx's default); what either
# side sends is collected by nginx first, or passed on as it comes.
CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
worker_processes 1;
{user}
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    upstream application {{ server 127.0.0.1:{port}; keepalive 64; }}
    map $http_upgrade $upgrades {{ default upgrade; "" ""; }}
    proxy_set_header Connection $upgrades;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    server {{
        listen 127.0.0.1:{own} backlog=1024;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
        }}
        location /once/ {{ proxy_pass http://application; }}
        location /direct/ {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""
MUCH = bytes(range(256)) * (1 << 16)  # 16 MiB
PIECE = 1 << 16

Address = tuple[str, int]


@contextmanager
def behind_nginx(port: int, complaint: str = "to a temporary file") -> Iterator[Any]:
    """A server to connect to, as Client takes one: nginx, which has had no other complaint at the
    end."""
    own = free_port()
    with folder_for(None) as folder:
        file = folder / "nginx.conf"
        user = "user root root;" if os.geteuid() == 0 else ""
        file.write_text(CONFIGURATION.format(folder=folder, own=own, port=port, user=user))
        command = [str(NGINX), "-e", "stderr", "-p", str(folder), "-c", str(file)]
        with running_server(command, folder, own):
            yield SimpleNamespace(address=("127.0.0.1", own), family=socket.AF_INET)
        complaints = [
            line for line in (folder / "log").read_text().splitlines() if complaint not in line
        ]
        assert complaints == []


@contextmanager
def proxied(application: Any, **settings: Any) -> Iterator[tuple[Any, Any]]:
    """(pywsgi's server, nginx). The server has had no error, and none of its connections stays."""
    with serving(application, **settings) as server:
        with behind_nginx(server.server_port) as proxy:
            yield server, proxy
        while server.watchman.connections:  # nginx has closed what it kept
            pycoro.sleep(0.001)
        assert server.error_log == []


def post(client: Client, path: str, pieces: Iterator[bytes] | list[bytes], size: int | None) -> Any:
    """The response to an upload, in chunks where it has no size."""
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    client.send(f"POST {path} HTTP/1.1\r\nHost: test\r\n{length}\r\n\r\n".encode())
    for piece in pieces:
        client.send(piece if size is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
    if size is None:
        client.send(b"0\r\n\r\n")
    return client.response()


def pieces_of(data: bytes) -> list[bytes]:
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]


def digest_upload(environ: Any, start_response: Any) -> list[bytes]:
    digest = sha256()
    while data := environ["wsgi.input"].read(PIECE):
        digest.update(data)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [digest.hexdigest().encode()]


def test_what_nginx_says_of_the_client() -> None:
    seen: list[dict[str, str]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [("X-Mine", "yes"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b"body"]

    with proxied(application) as (_, proxy), Client(proxy) as client:
        client.send(
            b"GET /a%20path;x?query=%41 HTTP/1.1\r\nHost: example.org:81\r\n"
            b"X-Forwarded-For: 192.0.2.7\r\nCookie: c=3\r\n\r\n"
        )
        answer = client.response()
    assert (answer.code, answer.body, answer.headers["x-mine"]) == (200, b"body", "yes")
    cookies = [line for line in answer.lines if line[0] == "Set-Cookie"]
    assert cookies == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    [environ] = seen
    names = ("PATH_INFO", "QUERY_STRING", "HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_COOKIE")
    assert [environ[name] for name in names] == [
        *("/a path;x", "query=%41", "example.org:81", "192.0.2.7, 127.0.0.1", "c=3")
    ]
    assert environ["HTTP_X_FORWARDED_PROTO"] == "http"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "version", "most"), [("/", "HTTP/1.1", 20), ("/once/", "HTTP/1.0", 2000)]
)
def test_many_requests_of_which_none_fails(path: str, version: str, most: int) -> None:
    """Twenty clients; each gets the answers to its own requests. Connections to pywsgi are kept,
    as many as there are clients, or there is one for each request."""
    ports: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["SERVER_PROTOCOL"] == version
        ports.append(environ["REMOTE_PORT"])
        size = int(environ["CONTENT_LENGTH"] or 0) if "CONTENT_LENGTH" in environ else 0
        body = environ["wsgi.input"].read()
        assert len(body) == size
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["QUERY_STRING"].encode(), body]

    def ask(number: int) -> int:
        good = 0
        with Client(proxy) as client:
            for turn in range(50):
                what = f"{number}-{turn}"
                answer = client.get(f"{path}?{what}")
                good += (answer.code, answer.body) == (200, what.encode())
                answer = post(client, f"{path}?{what}", [b"x" * turn], turn)
                good += (answer.code, answer.body) == (200, what.encode() + b"x" * turn)
        return good

    with proxied(application) as (_, proxy):
        assert pool.Group().map(ask, range(20)) == [100] * 20
    assert len(ports) == 2000
    assert len(set(ports)) <= most
    if version == "HTTP/1.0":
        assert len(set(ports)) > 1000  # the kernel may give a port again


@pytest.mark.parametrize("path", ["/", "/once/", "/direct/"])
@pytest.mark.parametrize("size", [len(MUCH), None])
def test_a_large_upload(path: str, size: int | None) -> None:
    with proxied(digest_upload) as (_, proxy), Client(proxy) as client:
        for _ in range(2):
            answer = post(client, path, pieces_of(MUCH), size)
            assert (answer.code, answer.body) == (200, sha256(MUCH).hexdigest().encode())


def test_an_upload_is_passed_on_as_it_comes() -> None:
    """The client sends the second half when the application has read the first."""
    halfway = event.Event()
    codings: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        codings.append(environ.get("HTTP_TRANSFER_ENCODING"))
        first = environ["wsgi.input"].read(PIECE)
        halfway.set()
        rest = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [first[:1], rest[:1], b"%d" % (len(first) + len(rest))]

    def halves() -> Iterator[bytes]:
        yield b"1" * PIECE
        assert halfway.wait(30)
        halfway.clear()
        yield b"2" * PIECE

    with proxied(application) as (_, proxy), Client(proxy) as client:
        assert post(client, "/direct/", halves(), 2 * PIECE).body == b"12%d" % (2 * PIECE)
        assert post(client, "/direct/", halves(), None).body == b"12%d" % (2 * PIECE)
    assert codings == [None, "chunked"]


@pytest.mark.parametrize("path", ["/", "/once/", "/direct/"])
@pytest.mark.parametrize("kind", ["whole", "pieces", "file"])
def test_a_large_download(path: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "much"
    file.write_bytes(MUCH)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        if kind == "file":
            return environ["wsgi.file_wrapper"](file.open("rb"))
        return [MUCH] if kind == "whole" else iter(pieces_of(MUCH))

    with proxied(application) as (_, proxy), Client(proxy) as client:
        for _ in range(2):
            answer = client.get(path)
            assert answer.code == 200
            assert sha256(answer.body).digest() == sha256(MUCH).digest()
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert client.response(head=True).code == 200
        assert client.get(path).code == 200  # so nothing came after that head


def test_pieces_are_passed_on_as_they_are_yielded() -> None:
    go_on = event.Event()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert go_on.wait(30)
        yield b"second"

    with proxied(application) as (_, proxy), Client(proxy) as client:
        client.send(b"GET /direct/ HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.until(b"first\r\n").endswith(b"first\r\n")
        go_on.set()
        assert client.until(b"0\r\n\r\n").startswith(b"6\r\nsecond")


def test_two_hundred_slow_requests_at_once() -> None:
    """None is answered before all have come."""
    count = 200
    inside = 0
    all_here = event.Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal inside
        inside += 1
        if inside == count:
            all_here.set()
        assert all_here.wait(30)
        start_response("200 OK", [])
        return [environ["QUERY_STRING"].encode()]

    def ask(number: int) -> Response:
        with Client(proxy) as client:
            return client.get(f"/?{number}")

    with proxied(application) as (_, proxy):
        answers = pool.Group().map(ask, range(count))
    assert [(answer.code, answer.body) for answer in answers] == [
        (200, b"%d" % number) for number in range(count)
    ]


def test_a_client_that_leaves() -> None:
    """In the middle of its upload, of a download, and before any answer: the application is told,
    where it reads or writes, and others are served."""
    ends: list[str] = []
    begun = event.Event()

    def upload(environ: Any, start_response: Any) -> list[bytes]:
        begun.set()
        try:
            environ["wsgi.input"].read()
        except ConnectionError:
            ends.append("upload")
            raise
        raise AssertionError("the client has sent half of it")

    def download(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        begun.set()
        try:
            while True:
                yield b"x" * PIECE
        finally:
            ends.append("download")

    def waits(environ: Any, start_response: Any) -> Iterator[bytes]:
        begun.set()
        assert go_on.wait(30)
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * PIECE
        finally:
            ends.append("waits")

    def application(environ: Any, start_response: Any) -> Any:
        name = environ["PATH_INFO"].rpartition("/")[2]
        kinds: dict[str, Callable[..., Any]] = {
            "upload": upload,
            "download": download,
            "waits": waits,
            "other": digest_upload,
        }
        return kinds[name](environ, start_response)

    with proxied(application) as (_, proxy):
        for _ in range(5):
            for name in ("upload", "download", "waits"):
                begun.clear()
                go_on = event.Event()
                ends.clear()
                with Client(proxy) as client:
                    size = b"Content-Length: 1000\r\n\r\n" if name == "upload" else b"\r\n"
                    method = b"POST" if name == "upload" else b"GET"
                    client.send(b"%b /direct/%b HTTP/1.1\r\nHost: a\r\n" % (method, name.encode()))
                    client.send(size + b"half of it" * (name == "upload"))
                    assert begun.wait(30)
                with Client(proxy) as client:
                    assert client.get("/other").code == 200
                go_on.set()
                while not ends:
                    pycoro.sleep(0.001)
                assert ends == [name]


def test_a_response_that_is_too_short_is_not_filled_up() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        return [b"short"]

    with serving(application) as server, behind_nginx(server.server_port, "prematurely") as proxy:
        with Client(proxy) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.rest().endswith(b"\r\n\r\nshort")
        assert server.error_log[0].endswith("the application has sent 5 bytes too few\n")


# ---- a server that is another process ----


def test_a_websocket(tmp_path: Path) -> None:
    pytest.importorskip("wsproto", reason="wsproto is missing: pip install 'pycoro[servers]'")
    from test_chat import Guest, chatting
    from wsproto.events import AcceptConnection, CloseConnection, Message, TextMessage

    with chatting() as address, behind_nginx(address[1]) as proxy:
        guests = [Guest(proxy.address, origin="http://test") for _ in range(2)]
        assert [type(guest.next()) for guest in guests] == [AcceptConnection] * 2
        for text in ("first", "x" * 9000):
            guests[0].send(Message(data=text))
            for guest in guests:
                parts = []
                while not (parts and parts[-1].message_finished):
                    parts.append(guest.next())
                    assert isinstance(parts[-1], TextMessage)
                assert "".join(part.data for part in parts) == text
        guests[0].send(CloseConnection(code=1000))
        assert isinstance(guests[0].next(), CloseConnection)
        guests[1].sock.close()
        guests[0].sock.close()


APPLICATION = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def test_a_reload_fails_no_request(tmp_path: Path) -> None:
    """Two workers are replaced by new ones, under load, twice. A kept connection may end just when
    nginx sends a request by it; then it tells so, and asks anew by another."""
    (tmp_path / "shop.py").write_text(APPLICATION)
    port = free_port()
    arguments = ["-m", "pycoro.pywsgi", "shop:app", "-b", f"127.0.0.1:{port}", "-w", "2"]
    failed: list[Any] = []
    pids: set[bytes] = set()
    asked = 0
    done = False

    def ask() -> None:
        nonlocal asked
        while not done:
            with Client(proxy) as client:
                for path in ("/", "/once/") * 100:  # kept ones may all be of one worker
                    answer = client.get(path)
                    asked += 1
                    if answer.code == 200:
                        pids.add(answer.body)
                    else:
                        failed.append(answer)

    with running(*arguments, cwd=tmp_path) as process:
        eventually(lambda: stdlib_socket.create_connection(("127.0.0.1", port)).close() or True)
        with behind_nginx(port, "while reading response header from upstream") as proxy:
            asking = [pycoro.spawn(ask) for _ in range(10)]
            for turn in range(3):
                former = set(pids)
                pids.clear()
                if turn:
                    process.send_signal(signal.SIGHUP)
                while len(pids - former) < 2:
                    pycoro.sleep(0.01)
                    assert not any(task.ready() for task in asking)
            done = True
            pycoro.joinall(asking, raise_error=True)
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")
    assert failed == [] and asked > 100
