"""Load on loopback, counted at both ends: `python -m tests.load [SCENARIO...]` plays it in full.

Each scenario is a function of how many; it gives what clients and server have counted, which must
be equal. Both are tasks of one loop. tests/test_load.py plays them with smaller numbers. After
each, descriptors, coroutines, watches and timers are as many as before.

A connection's port stays in TIME_WAIT for a minute at the end that closed first, and there are some
28,000 for each address of a server: churn() takes ten addresses, 127.0.0.1 to 127.0.0.10, and of
three connections one is ended by each side, and one by a reset (SO_LINGER of 0 seconds), which
leaves nothing behind.
"""

from __future__ import annotations

import argparse
import gc
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import pycoro
from pycoro import _native, event, idle, joinall, pool, socket, spawn

Counts = Counter[str]
Ends = tuple[Counts, Counts]  # of the clients, of the server

BACKLOG = 4096
NUMBER = struct.Struct("!Q")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER


# ---- what they share ----


@contextmanager
def nothing_left() -> Iterator[None]:
    """Descriptors, coroutines, watches and timers are as many as before. The loop and its own are
    there already."""
    pycoro.sleep(0)
    before = census()
    yield
    deadline = time.monotonic() + 10
    while (after := census()) != before and time.monotonic() < deadline:
        pycoro.sleep(0.01)  # what was closed last is told of
        gc.collect()
    assert after == before, f"left behind: {after} instead of {before}"


def census() -> dict[str, int]:
    loop = pycoro.get_loop()
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "coroutines": len(_native.thread_suspended()),
        "watches": len(loop._watches._watches),
        "timers": sum(1 for _ in loop._timers),
    }


def raise_descriptor_limit(count: int) -> bool:
    """Is there room for so many?"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        return False
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return True


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def serving(
    handle: Callable[[socket.socket], None], addresses: int = 1
) -> Iterator[list[tuple[str, int]]]:
    """An accept loop on each of so many addresses of loopback; at its end all handlers have
    ended."""
    listeners = [
        socket.create_server((f"127.0.0.{number + 1}", 0), backlog=BACKLOG)
        for number in range(addresses)
    ]
    handlers = pool.Group()

    def accept(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            handlers.spawn(guarded, connection)

    def guarded(connection: socket.socket) -> None:
        with connection:
            handle(connection)

    accepting = [spawn(accept, listener) for listener in listeners]
    try:
        yield [listener.getsockname() for listener in listeners]
        assert handlers.join(timeout=60), f"{len(handlers)} handlers do not end"
    finally:
        pycoro.killall(accepting)
        handlers.kill()
        for listener in listeners:
            listener.close()


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, fewer only at the end of the stream."""
    data = connection.recv(size)
    while 0 < len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def run_all(tasks: list[Any]) -> None:
    """Waits for them; raises what the first that failed has raised."""
    joinall(tasks, raise_error=True)


# ---- the scenarios ----


def at_once(count: int) -> Ends:
    """So many connections, all open at the same time; then each is used and closed."""
    clients, server = Counts(), Counts()
    all_here = event.Event()
    now = 0

    def handle(connection: socket.socket) -> None:
        nonlocal now
        now += 1
        server["most at once"] = max(server["most at once"], now)
        while data := connection.recv(NUMBER.size):
            server["sum"] += NUMBER.unpack(data)[0]
            connection.sendall(data)
        now -= 1
        server["ended"] += 1

    def client(number: int, address: tuple[str, int]) -> None:
        with socket.create_connection(address) as connection:
            clients["most at once"] += 1
            if clients["most at once"] == count:
                all_here.set()
            all_here.wait()
            connection.sendall(NUMBER.pack(number))
            answer = NUMBER.unpack(receive(connection, NUMBER.size))[0]
            clients["sum"] += answer
            clients["ended"] += 1

    with serving(handle) as [address]:
        run_all([spawn(client, number, address) for number in range(count)])
    return clients, server


def churn(count: int) -> Ends:
    """So many connections after each other, 100 at a time, over ten addresses. A third each is
    ended by the client, the server, and a reset."""
    clients, server = Counts(), Counts()
    numbers = iter(range(count))

    def handle(connection: socket.socket) -> None:
        number = NUMBER.unpack(receive(connection, NUMBER.size))[0]
        connection.sendall(NUMBER.pack(number))
        server["sum"] += number
        if number % 3 == 1:
            server["ended by the server"] += 1
            return
        try:
            assert connection.recv(1) == b""
            server["ended by the client"] += 1
        except ConnectionResetError:
            server["reset"] += 1

    def client(addresses: list[tuple[str, int]]) -> None:
        for number in numbers:
            connection = socket.create_connection(addresses[number % len(addresses)])
            connection.sendall(NUMBER.pack(number))
            answer = NUMBER.unpack(receive(connection, NUMBER.size))[0]
            clients["sum"] += answer
            if number % 3 == 2:
                clients["reset"] += 1
                reset(connection)
                continue
            if number % 3 == 1:
                assert connection.recv(1) == b""
                clients["ended by the server"] += 1
            else:
                clients["ended by the client"] += 1
            connection.close()

    with serving(handle, addresses=10) as addresses:
        run_all([spawn(client, addresses) for _ in range(100)])
    return clients, server


def resets(count: int) -> Ends:
    """The client resets while the server sends much, and the other way round."""
    clients, server = Counts(), Counts()
    much = bytes(1 << 25)  # more than buffers take

    def handle(connection: socket.socket) -> None:
        kind = receive(connection, 1)
        if kind == b"r":
            server["the server has reset"] += 1
            reset(connection)
            return
        try:
            connection.sendall(much)
        except (ConnectionResetError, BrokenPipeError):
            server["the client has reset"] += 1

    def client(number: int, address: tuple[str, int]) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(b"rs"[number % 2 :][:1])
            if number % 2:
                assert len(receive(connection, 1000)) == 1000
                clients["the client has reset"] += 1
                reset(connection)
                return
            try:
                connection.sendall(much)
            except (ConnectionResetError, BrokenPipeError):
                clients["the server has reset"] += 1

    with serving(handle) as [address]:
        run_all([spawn(client, number, address) for number in range(count)])
    return clients, server


def half_closed(count: int) -> Ends:
    """The client sends, says that this was all, and only then the server answers, at length."""
    clients, server = Counts(), Counts()

    def handle(connection: socket.socket) -> None:
        data = receive(connection, 1 << 20)
        assert connection.recv(1) == b""
        server["sent"] += len(data)
        server["checksums"] += crc32(data)
        connection.sendall(data[::-1])
        server["answered"] += len(data)

    def client(number: int, address: tuple[str, int]) -> None:
        data = NUMBER.pack(number) * (100 + number % 10_000)
        with socket.create_connection(address) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            clients["sent"] += len(data)
            clients["checksums"] += crc32(data)
            answer = receive(connection, 1 << 20)
            assert connection.recv(1) == b""
            assert answer == data[::-1]
            clients["answered"] += len(answer)

    with serving(handle) as [address]:
        run_all([spawn(client, number, address) for number in range(count)])
    return clients, server


def slow_reader(megabytes: int) -> Ends:
    """A client sends through a relay to a reader that does not read for long: the client has to
    wait, no memory is taken for what is on its way, and others are served meanwhile."""
    clients, server = Counts(), Counts()
    block = bytes(range(256)) * 256
    blocks = megabytes << 4
    go_on = event.Event()

    def read_late(connection: socket.socket) -> None:
        go_on.wait()
        while data := connection.recv(1 << 16):
            server["bytes"] += len(data)

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(target) as onwards:
            while data := connection.recv(1 << 16):
                onwards.sendall(data)

    def send() -> None:
        with socket.create_connection(address) as connection:
            for _ in range(blocks):
                connection.sendall(block)
                clients["bytes"] += len(block)

    def echo(connection: socket.socket) -> None:
        while data := connection.recv(100):
            connection.sendall(data)

    def ask() -> None:
        with socket.create_connection(another) as connection:
            for number in range(100):
                connection.sendall(NUMBER.pack(number))
                assert NUMBER.unpack(receive(connection, NUMBER.size))[0] == number
            clients["others' answers"] += 100
            server["others' answers"] += 100

    with serving(read_late) as [target], serving(relay) as [address], serving(echo) as [another]:
        before = resident()
        sender = spawn(send)
        wait_until_it_stands_still(lambda: clients["bytes"])
        assert not sender.ready() and clients["bytes"] < (megabytes << 20) // 2
        run_all([spawn(ask) for _ in range(10)])
        grown = resident() - before
        assert grown < 16 << 20, f"{grown >> 20} MiB for {clients['bytes'] >> 20} on their way"
        go_on.set()
        sender.get()
    return clients, server


def wait_until_it_stands_still(count: Callable[[], int]) -> None:
    """Data goes on its way within the kernel after nobody has anything to do here."""
    former = -1
    while former != count():
        former = count()
        for _ in range(10):
            idle()
            pycoro.sleep(0.01)


SCENARIOS: dict[str, tuple[Callable[[int], Ends], int]] = {
    "at once": (at_once, 5_000),
    "churn": (churn, 100_000),
    "resets": (resets, 2_000),
    "half-closed": (half_closed, 5_000),
    "slow reader": (slow_reader, 1024),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    names = parser.parse_args(arguments).scenario
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"there is no scenario {', '.join(unknown)}")
    failed = 0
    if not raise_descriptor_limit(10_200):
        print("this process may not have 10,200 descriptors: see ulimit -Hn")
        return 1
    for name in names or SCENARIOS:
        play, count = SCENARIOS[name]
        start = time.monotonic()
        with nothing_left():
            clients, server = play(count)
        same = clients == server
        failed += not same
        told = ", ".join(f"{what} {number:,}" for what, number in clients.items())
        print(f"{name} ({count:,}): {time.monotonic() - start:.1f} s: {told}", flush=True)
        if not same:
            print(f"    BUT the server counted {dict(server)}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
