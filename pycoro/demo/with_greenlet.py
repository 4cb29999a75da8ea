"""Bare switching on greenlet, which is what gevent switches by. It has no sockets to echo on."""

from __future__ import annotations

import sys

import greenlet  # type: ignore[import-not-found, import-untyped, unused-ignore]

from . import bare, worker
from .world import BareResult, DemoError, EchoResult, Show

BARE_COUNT = 10_000
TURNS = 200_000


def round_trips(turns: int) -> None:
    main = greenlet.getcurrent()

    def answer() -> None:
        while True:
            main.switch()

    other = greenlet.greenlet(answer)
    for _ in range(turns):
        other.switch()


def suspend(count: int) -> object:
    main = greenlet.getcurrent()

    def wait() -> None:
        main.switch()

    made = [greenlet.greenlet(wait) for _ in range(count)]
    for one in made:
        one.switch()
    return made


def run_bare() -> BareResult:
    return bare.measure(round_trips, TURNS, suspend, BARE_COUNT)


def run_echo(clients: int, messages: int, show: Show) -> EchoResult:
    raise DemoError("greenlet alone has no sockets: install gevent")


if __name__ == "__main__":
    worker.main("greenlet", run_echo, run_bare, sys.argv[1:])
