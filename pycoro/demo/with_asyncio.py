"""The echo run on asyncio, by its streams: what most programs use, and faster than sock_recv().

A switch is what a task does by `await asyncio.sleep(0)`: through the loop, for that is the only way
from one task to another.
"""

from __future__ import annotations

import asyncio
import sys
import time

from . import bare, worker
from .echo import BACKLOG, CONNECTING, LOOK, check_reply, explain, make_message
from .system import used_memory
from .world import Address, BareResult, DemoError, EchoResult, Show

BARE_COUNT = 10_000
TURNS = 50_000


class Echo:
    """echo.Echo once more, with `await`; see there."""

    def __init__(self, clients: int, messages: int, show: Show) -> None:
        self.clients = clients
        self.messages = messages
        self.show = show
        self.opened = self.accepted = self.done = self.bytes = self.memory = 0
        self.failure: BaseException | None = None
        self.started = self.ended = self.processor = 0.0
        self.gate = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self) -> EchoResult:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, backlog=BACKLOG)
        address = server.sockets[0].getsockname()
        memory_before, begin = used_memory(), time.perf_counter()
        for number in range(self.clients):
            self.tasks.append(asyncio.create_task(self.talk(address, number)))
            while number - self.opened >= CONNECTING and not self.failure:
                await self.watch("connecting", self.opened, self.clients)
        while not self.opened == self.accepted == self.clients and not self.failure:
            await self.watch("connecting", self.opened, self.clients)
        if not self.failure:
            self.memory = used_memory() - memory_before
            self.started, self.processor = time.perf_counter(), time.process_time()
        self.gate.set()
        total = self.clients * self.messages
        while self.done < total and not self.failure:
            await self.watch("echoing", self.done, total)
        if self.failure:
            raise DemoError(explain(self.failure, self.opened)) from self.failure
        processor = time.process_time() - self.processor
        await asyncio.gather(*self.tasks)
        server.close()
        await server.wait_closed()
        return EchoResult(
            connections=self.accepted,
            messages=self.done,
            bytes=self.bytes,
            connect_seconds=self.started - begin,
            echo_seconds=self.ended - self.started,
            echo_processor_seconds=processor,
            memory=self.memory,
        )

    async def watch(self, stage: str, done: int, total: int) -> None:
        self.show(stage, done, total)
        await asyncio.sleep(LOOK)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError as error:
            self.failure = self.failure or error

    async def talk(self, address: Address, number: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(*address)
            self.opened += 1
            await self.gate.wait()
            for turn in range(self.messages):
                await self.exchange(reader, writer, make_message(number, turn))
            writer.close()
            await writer.wait_closed()
        except (OSError, MemoryError, EOFError, DemoError) as error:
            self.failure = self.failure or error

    async def exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
    ) -> None:
        writer.write(message)
        await writer.drain()
        reply = await reader.readexactly(len(message))
        check_reply(message, reply)
        self.bytes += len(reply)
        self.done += 1
        self.ended = time.perf_counter()


def run_echo(clients: int, messages: int, show: Show) -> EchoResult:
    async def run() -> EchoResult:
        return await Echo(clients, messages, show).run()

    return asyncio.run(run())


def round_trips(turns: int) -> None:
    async def turn() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(turn(), turn())

    asyncio.run(both())


class Suspended:
    """Tasks that wait until this object goes."""

    def __init__(self, count: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.gate = asyncio.Event()
        self.tasks = [self.loop.create_task(self.wait()) for _ in range(count)]
        self.loop.run_until_complete(asyncio.sleep(0))

    async def wait(self) -> None:
        await self.gate.wait()

    def __del__(self) -> None:
        self.gate.set()
        self.loop.run_until_complete(asyncio.gather(*self.tasks))
        self.loop.close()


def run_bare() -> BareResult:
    return bare.measure(round_trips, TURNS, Suspended, BARE_COUNT)


if __name__ == "__main__":
    worker.main("asyncio", run_echo, run_bare, sys.argv[1:])
