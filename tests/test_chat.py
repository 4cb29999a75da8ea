"""examples/chat.py, asked by wsproto as a client: an upgrade handed over by pywsgi."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers import ROOT
from test_prefork import ask, running

pytest.importorskip("httptools", reason="httptools is missing: pip install 'pycoro[wsgi]'")
pytest.importorskip("wsproto", reason="wsproto is missing: pip install 'pycoro[servers]'")

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

Address = tuple[str, int]


@contextmanager
def chatting() -> Iterator[Address]:
    """The example runs there, and ends at SIGTERM without a word."""
    with running(str(ROOT / "examples" / "chat.py"), "--bind", "127.0.0.1:0") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield "127.0.0.1", int(url.rstrip("/").rpartition(":")[2])
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_an_address_that_a_browser_understands() -> None:
    with running(str(ROOT / "examples" / "chat.py"), "--bind", ":0") as process:
        assert process.stdout is not None
        assert re.fullmatch(r"http://(\[::\]|0\.0\.0\.0):\d+/\n", process.stdout.readline())


@pytest.fixture
def address() -> Iterator[Address]:
    with chatting() as found:
        yield found


class Guest:
    """A websocket."""

    def __init__(self, address: Address, **headers: str) -> None:
        self.sock = socket.create_connection(address, timeout=30)
        self.websocket = WSConnection(ConnectionType.CLIENT)
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.send(Request(host="test", target="/chat", extra_headers=extra))

    def send(self, event: Any) -> None:
        self.sock.sendall(self.websocket.send(event))

    def next(self) -> Any:
        while True:
            for event in self.websocket.events():
                return event
            self.websocket.receive_data(self.sock.recv(65536) or None)


def test_all_hear_what_one_says(address: Address) -> None:
    guests = [Guest(address, origin="http://test") for _ in range(3)]
    assert [type(guest.next()) for guest in guests] == [AcceptConnection] * 3
    for number, guest in enumerate(guests):
        guest.send(Message(data=f"I am {number}, \N{GREEK SMALL LETTER PI}"))
        for other in guests:
            event = other.next()
            assert isinstance(event, TextMessage)
            assert event.data == f"I am {number}, \N{GREEK SMALL LETTER PI}"
    guests[0].send(Ping(payload=b"there?"))
    assert guests[0].next() == Pong(payload=b"there?")
    guests[0].send(CloseConnection(code=1000))
    assert isinstance(guests[0].next(), CloseConnection)
    assert guests[0].sock.recv(10) == b""
    guests[1].sock.close()
    guests[2].send(Message(data="still here"))
    assert guests[2].next().data == "still here"
    guests[0].sock.close()
    guests[2].sock.close()


def test_another_site_s_page_is_refused(address: Address) -> None:
    guest = Guest(address, origin="http://elsewhere")
    event = guest.next()
    assert isinstance(event, RejectConnection) and event.status_code == 403
    guest.sock.close()


def test_the_page(address: Address) -> None:
    page = ask(address, b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert b"Content-Type: text/html" in page and b"new WebSocket" in page
    assert b" 404 " in ask(address, b"GET /chat HTTP/1.0\r\n\r\n")
