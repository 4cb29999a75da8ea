"""pywsgi: what stop() lets end, what it ends, and that nobody holds it open."""

from __future__ import annotations

import select
import socket as stdlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from web import GET, Client, hello, serving

import pycoro
from pycoro import pywsgi
from pycoro.pywsgi.connection import IDLE

pytestmark = pytest.mark.usefixtures("clean_loop")


def test_stop_ends_idle_connections_and_lets_requests_end() -> None:
    begun = pycoro.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        begun.set()
        pycoro.sleep(0.02)
        start_response("200 OK", [])
        return [b"done"]

    with serving(application) as one:
        with Client(one) as idle, Client(one) as new, Client(one) as busy:
            assert idle.get().body == b"done"
            begun.clear()
            busy.send(GET)
            begun.wait()
            one.stop(timeout=30)
            response = busy.response()
            assert (response.body, response.closes) == (b"done", True)
            assert idle.rest() == new.rest() == busy.rest() == b""


def has_come(one: pywsgi.WSGIServer) -> None:
    """Something is there for its only connection, and nobody has had a turn meanwhile."""
    (connection,) = one.watchman.connections
    assert select.select([connection.socket], [], [], 30)[0]


def becomes_idle(one: pywsgi.WSGIServer) -> None:
    (connection,) = one.watchman.connections
    while connection.state != IDLE:
        pycoro.sleep(0)


@contextmanager
def idle_client(tls: bool, **settings: Any) -> Iterator[tuple[pywsgi.WSGIServer, Client]]:
    """The only one of a server; it has been answered once."""
    with serving(hello, tls=tls, **settings) as one, Client(one, tls) as client:
        client.get()
        becomes_idle(one)
        yield one, client


@pytest.mark.parametrize("tls", [False, True])
def test_stop_lets_a_request_end_that_has_come_by_then(tls: bool) -> None:
    """While the former one was answered, with no word yet that it would be the last."""
    begun, go_on = pycoro.event.Event(), pycoro.event.Event()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        yield b"first"
        begun.set()
        go_on.wait()
        yield b" half"

    with serving(application, tls=tls) as one, Client(one, tls) as client:
        client.send(GET)
        begun.wait()
        stopping = pycoro.spawn(one.stop, timeout=30)
        while not one.draining:
            pycoro.sleep(0)
        client.send(GET)
        has_come(one)
        go_on.set()
        responses = client.response(), client.response()
        assert [response.body for response in responses] == [b"first half"] * 2
        assert [response.closes for response in responses] == [False, True]
        assert client.rest() == b""
        stopping.get()


@pytest.mark.parametrize("tls", [False, True])
def test_stop_lets_a_request_end_that_the_loop_has_not_seen(tls: bool) -> None:
    with idle_client(tls) as (one, client):
        client.send(GET)
        has_come(one)
        one.drain()
        response = client.response()
        assert (response.body, response.closes) == (b"hello", True)
        assert client.rest() == b""


@pytest.mark.parametrize("served", [0, 1])
def test_stop_is_not_held_open_by_half_a_record_of_tls(served: int) -> None:
    """Which is for nothing: the watchman comes again. He goes a round in a quarter of the least."""
    with (
        serving(hello, tls=True, linger_timeout=0.02) as one,
        Client(one, tls=True) as client,
    ):
        for _ in range(served):
            client.get()
        while not one.watchman.connections:
            pycoro.sleep(0)
        becomes_idle(one)
        stdlib.socket.send(client.sock, b"\x17\x03\x03\x00\xff half")
        has_come(one)
        one.drain()
        assert client.rest() == b""


@pytest.mark.parametrize("tls", [False, True])
def test_stop_is_not_held_open_by_half_a_head(tls: bool) -> None:
    with idle_client(tls, head_timeout=3600.0) as (one, client):
        client.send(GET[:20])
        has_come(one)
        one.drain()
        assert client.rest() == b""


@pytest.mark.parametrize("tls", [False, True])
def test_who_sends_empty_lines_is_idle_for_no_longer(tls: bool) -> None:
    """By the clock of the watchman, who would come upon one that has just been woken each time."""
    with idle_client(tls) as (one, client):
        (connection,) = one.watchman.connections
        client.send(b"\r\n" * 10)
        has_come(one)
        one.now = connection.end + 1
        connection.expire()
        assert client.rest() == b""


def test_stop_is_not_held_open_by_who_never_stops_to_send() -> None:
    class AlwaysSends(pywsgi.WSGIHandler):
        def _has_come(self) -> bool:
            return True

    with idle_client(tls=True, handler_class=AlwaysSends) as (one, client):
        one.stop(timeout=0.02)
        assert one.watchman.connections == set()
        assert client.rest() == b""
