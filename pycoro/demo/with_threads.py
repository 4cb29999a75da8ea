"""The echo run with a thread for each end of each connection."""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Any

from . import bare, worker
from .echo import Echo
from .world import Address, BareResult, DemoError, EchoResult, Show, World

BARE_COUNT = 1_000
TURNS = 5_000


def spawn(function: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def listen(backlog: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=backlog)


def connect(address: Address) -> socket.socket:
    return socket.create_connection(address)


WORLD = World(spawn=spawn, sleep=time.sleep, listen=listen, connect=connect)


def run_echo(clients: int, messages: int, show: Show) -> EchoResult:
    try:
        return Echo(WORLD, clients, messages, show).run()
    except RuntimeError as error:  # can't start new thread
        raise DemoError(f"the system gives no more threads: {error}") from error


def round_trips(turns: int) -> None:
    mine, its = threading.Lock(), threading.Lock()
    mine.acquire()
    its.acquire()

    def answer() -> None:
        for _ in range(turns):
            its.acquire()
            mine.release()

    thread = spawn(answer)
    for _ in range(turns):
        its.release()
        mine.acquire()
    thread.join()


class Suspended:
    """Threads that wait until this object goes."""

    def __init__(self, count: int) -> None:
        self.gate = threading.Event()
        self.threads = [spawn(self.gate.wait) for _ in range(count)]

    def __del__(self) -> None:
        self.gate.set()
        for thread in self.threads:
            thread.join()


def run_bare() -> BareResult:
    return bare.measure(round_trips, TURNS, Suspended, BARE_COUNT)


if __name__ == "__main__":
    worker.main("threads", run_echo, run_bare, sys.argv[1:])
