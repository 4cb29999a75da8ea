"""The main job: an echo server and its clients in one process, all connected before the first echo.

Written as anyone would write it with threads. Which world it runs in is decided by the World that
it is given. Every reply is compared with what was sent.

Counts that several tasks write are lists with an item for each, for in the threads' world nothing
else is safe without a lock.
"""

from __future__ import annotations

import errno
import socket
import time

from .system import used_memory
from .world import DemoError, EchoResult, Show, World

BACKLOG = 1024
CONNECTING = 256  # connections under way at once: fewer than the backlog, so that none waits
LOOK = 0.01  # seconds between two looks at the counts


class Echo:
    """One run. `opened` and `accepted` hold the two ends' numbers, `done` messages by client."""

    def __init__(self, world: World, clients: int, messages: int, show: Show) -> None:
        self.world = world
        self.clients = clients
        self.messages = messages
        self.show = show
        self.opened: list[int] = []
        self.accepted: list[int] = []
        self.done = [0] * clients
        self.bytes = [0] * clients
        self.failure: BaseException | None = None
        self.memory = 0
        self.started = self.ended = self.processor = 0.0

    def run(self) -> EchoResult:
        """Serves and drives; DemoError with a sentence where that fails."""
        listener = self.world.listen(BACKLOG)
        self.address = listener.getsockname()
        memory_before, begin = used_memory(), time.perf_counter()
        tasks = [self.world.spawn(self.serve, listener)]
        self.gate = self.world.spawn(self.wait_for_all)
        for number in range(self.clients):
            tasks.append(self.world.spawn(self.talk, number))
            while number - len(self.opened) >= CONNECTING and not self.failure:
                self.watch("connecting", len(self.opened), self.clients)
        while len(self.opened) < self.clients and not self.failure:
            self.watch("connecting", len(self.opened), self.clients)
        self.gate.join()
        total = self.clients * self.messages
        while (messages := sum(self.done)) < total and not self.failure:
            self.watch("echoing", messages, total)
        if self.failure:
            raise DemoError(explain(self.failure, len(self.opened))) from self.failure
        processor = time.process_time() - self.processor
        for task in tasks:
            task.join()
        listener.close()
        return EchoResult(
            connections=len(self.accepted),
            messages=sum(self.done),
            bytes=sum(self.bytes),
            connect_seconds=self.started - begin,
            echo_seconds=self.ended - self.started,
            echo_processor_seconds=processor,
            memory=self.memory - memory_before,
        )

    def watch(self, stage: str, done: int, total: int) -> None:
        self.show(stage, done, total)
        self.world.sleep(LOOK)

    def wait_for_all(self) -> None:
        """The gate: ends when every connection is open at both ends."""
        while not len(self.opened) == len(self.accepted) == self.clients:
            if self.failure:
                return
            self.world.sleep(LOOK)
        self.memory = used_memory()
        self.started, self.processor = time.perf_counter(), time.process_time()

    def serve(self, listener: socket.socket) -> None:
        try:
            for number in range(self.clients):
                connection, _ = listener.accept()
                self.accepted.append(number)
                self.world.spawn(self.answer, connection)
        except (OSError, MemoryError, RuntimeError) as error:
            self.failure = self.failure or error

    def answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError as error:
                self.failure = self.failure or error

    def talk(self, number: int) -> None:
        try:
            with self.world.connect(self.address) as connection:
                self.opened.append(number)
                self.gate.join()
                for turn in range(self.messages):
                    self.exchange(connection, number, turn)
        except (OSError, MemoryError, DemoError) as error:
            self.failure = self.failure or error

    def exchange(self, connection: socket.socket, number: int, turn: int) -> None:
        message = make_message(number, turn)
        connection.sendall(message)
        reply = connection.recv(4096)
        while len(reply) < len(message) and (more := connection.recv(4096)):
            reply += more
        check_reply(message, reply)
        self.bytes[number] += len(reply)
        self.done[number] += 1
        self.ended = time.perf_counter()


def make_message(number: int, turn: int) -> bytes:
    """64 bytes that no other client and no other turn sends."""
    return f"client {number}, message {turn}".encode().ljust(63, b".") + b"\n"


def check_reply(message: bytes, reply: bytes) -> None:
    """Errors: DemoError for a reply that is not the message."""
    if reply != message:
        raise DemoError(f"the server answered {reply!r} to {message!r}")


def explain(error: BaseException, opened: int) -> str:
    """A sentence for what stopped a run that had so many connections open."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE):
        return (
            f"no descriptor left with {opened:,} connections open: raise the limit (ulimit -n) "
            "or ask for fewer by --clients"
        )
    if number == errno.EADDRNOTAVAIL:
        return (
            f"no local port left with {opened:,} connections open: ask for fewer by --clients, or "
            "widen net.ipv4.ip_local_port_range (sysctl)"
        )
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return f"no memory left with {opened:,} connections open: {error or 'malloc failed'}"
    if "start new thread" in str(error):
        return f"no thread left with {opened:,} connections open: the system's limit is reached"
    return f"the run stopped with {opened:,} connections open: {error}"
