"""`python -m pycoro.monkey --module clients.scenarios SCENARIO CLIENT PORT FOLDER`: plays one
scenario with a client library, and prints as JSON what came of it.

at_once: many operations, each in a task of its own; threads: the same in a pool of threads, as in a
program that knows nothing of us; refused and lost: what is raised where nobody listens, and where
the connection ends or is reset in the middle; broken_off: a task that waits for its answer is
killed, or its time is over. Connections are lost by a relay between client and server.
"""

from __future__ import annotations

import gc
import importlib
import json
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pycoro
from clients.adapter import Adapter
from pycoro import monkey

COUNT = 200
SECONDS = 1.0
SOON = 0.2  # seconds until who waits for an answer is disturbed
LONG = 5.0  # seconds of what is not going to be answered before that


def at_once(client: Adapter) -> dict[str, Any]:
    start = time.monotonic()
    opening = [pycoro.spawn(client.open) for _ in range(COUNT // client.per_connection)]
    connections = [task.get() for task in opening]
    asking = [
        pycoro.spawn(client.ask, connections[number % len(connections)], number, SECONDS)
        for number in range(COUNT)
    ]
    answers = [task.get() for task in asking]
    for connection in connections:
        client.close(connection)
    return {"answers": answers, "seconds": time.monotonic() - start}


def threads(client: Adapter) -> dict[str, Any]:
    start = time.monotonic()
    connections = [client.open() for _ in range(COUNT // client.per_connection)]
    with ThreadPoolExecutor(COUNT) as pool:
        answers = list(
            pool.map(
                lambda number: client.ask(connections[number % len(connections)], number, SECONDS),
                range(COUNT),
            )
        )
    for connection in connections:
        client.close(connection)
    return {"answers": answers, "seconds": time.monotonic() - start}


def error_of(client: Adapter, function: Any, *args: Any) -> str:
    """What it raised: its name, if it is one of the library's own."""
    try:
        return f"no error, but {function(*args)!r}"
    except client.errors as error:
        return f"good: {type(error).__name__}"
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def refused(client: Adapter) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client.port = listener.getsockname()[1]

    def whole() -> None:
        client.ask(client.open(), 1, 0.01)

    return {"refused": error_of(client, whole)}


class Relay:
    """Between client and server; end() ends all connections of the client's side."""

    def __init__(self, port: int) -> None:
        self.server = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends: list[socket.socket] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            one, _ = self.listener.accept()
            other = socket.create_connection(("127.0.0.1", self.server))
            self.ends += [one, other]
            for pair in ((one, other), (other, one)):
                threading.Thread(target=self.carry, args=pair, daemon=True).start()

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one of them has ended
            pass

    def end(self, reset: bool) -> None:
        if reset:
            for end in self.ends:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in self.ends:
            end.close()
        self.ends.clear()


def lost(client: Adapter) -> dict[str, Any]:
    told = {}
    for how in ("ended", "reset"):
        relay = Relay(client.port)
        client.port, port = relay.port, client.port
        connection = client.open()
        assert client.ask(connection, 1, 0.01) == 1  # it works through the relay
        task = pycoro.spawn(error_of, client, client.ask, connection, 2, LONG)
        pycoro.sleep(SOON)
        relay.end(reset=how == "reset")
        told[how] = task.get()
        try:
            client.close(connection)
        except client.errors:  # it is no more than to be closable
            pass
        client.port = port
    return told


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def broken_off(client: Adapter) -> dict[str, Any]:
    told: dict[str, Any] = {}
    before = 0
    for how in ("warm-up", "killed", "timeout"):
        before = before or (descriptors() if how != "warm-up" else 0)
        connection = client.open()
        log: list[str] = []

        def wait(connection: Any = connection, log: list[str] = log) -> None:
            try:
                with pycoro.Timeout(SOON if how == "timeout" else None):  # noqa: B023
                    log.append(f"answered: {client.ask(connection, 3, LONG)}")
            except BaseException as error:
                log.append(type(error).__name__)

        if how != "warm-up":
            task = pycoro.spawn(wait)
            pycoro.sleep(SOON / 2)
            if how == "killed":
                task.kill()
            task.join()
        client.close(connection)
        another = client.open()
        log.append(str(client.ask(another, 4, 0.01)))
        client.close(another)
        told[how] = log
    deadline = time.monotonic() + 10
    while descriptors() > before and time.monotonic() < deadline:
        pycoro.sleep(0.05)  # tasks of the library's own end
    told["descriptors"] = descriptors() - before
    return told


def main() -> None:
    scenario, name, port, folder = sys.argv[1:]
    assert monkey.is_module_patched("socket") and monkey.is_module_patched("threading")
    client: Adapter = importlib.import_module(f"clients.with_{name}").Client(int(port), folder)
    print(json.dumps(globals()[scenario](client)))


if __name__ == "__main__":
    main()
