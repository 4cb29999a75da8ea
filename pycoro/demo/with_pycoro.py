"""The echo run on pycoro itself, and its bare coroutines."""

from __future__ import annotations

import sys

import pycoro
import pycoro.socket

from . import bare, worker
from .echo import Echo
from .world import Address, BareResult, EchoResult, Show, World

BARE_COUNT = 10_000
TURNS = 400_000


def listen(backlog: int) -> pycoro.socket.socket:
    listener: pycoro.socket.socket
    listener = pycoro.socket.create_server(("127.0.0.1", 0), backlog=backlog)
    return listener


def connect(address: Address) -> pycoro.socket.socket:
    connection: pycoro.socket.socket = pycoro.socket.create_connection(address)
    return connection


WORLD = World(spawn=pycoro.spawn, sleep=pycoro.sleep, listen=listen, connect=connect)


def run_echo(clients: int, messages: int, show: Show) -> EchoResult:
    return Echo(WORLD, clients, messages, show).run()


def round_trips(turns: int) -> None:
    main = pycoro.current()

    def answer() -> None:
        while True:
            main.switch()

    other = pycoro.Coroutine(answer)
    for _ in range(turns):
        other.switch()


def suspend(count: int) -> object:
    main = pycoro.current()

    def wait() -> None:
        main.switch()

    made = [pycoro.Coroutine(wait) for _ in range(count)]
    for one in made:
        one.switch()
    return made


def run_bare() -> BareResult:
    return bare.measure(round_trips, TURNS, suspend, BARE_COUNT)


if __name__ == "__main__":
    worker.main("pycoro", run_echo, run_bare, sys.argv[1:])
