"""The echo run on gevent; its switches are greenlet's, measured without gevent."""

from __future__ import annotations

import sys
from typing import Any

import gevent  # type: ignore[import-not-found, import-untyped, unused-ignore]
import gevent.socket  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import with_greenlet, worker
from .echo import Echo
from .world import Address, EchoResult, Show, World


def listen(backlog: int) -> Any:
    listener = gevent.socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def connect(address: Address) -> Any:
    return gevent.socket.create_connection(address)


WORLD = World(spawn=gevent.spawn, sleep=gevent.sleep, listen=listen, connect=connect)


def run_echo(clients: int, messages: int, show: Show) -> EchoResult:
    return Echo(WORLD, clients, messages, show).run()


if __name__ == "__main__":
    worker.main("gevent", run_echo, with_greenlet.run_bare, sys.argv[1:])
