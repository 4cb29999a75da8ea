"""The servers of test_echo.py: `python -m bench.echo_server KIND CORE` prints its port and serves
until it is killed, on that core alone.

All do the same: receive something, send one fixed HTTP response, until the client goes. The plain
handler, on sockets, is literally the same for pycoro, gevent and threads. All listen with the same
backlog, at a free port of the loopback interface.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pycoro
from bench import peers

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"
)
ADDRESS = ("127.0.0.1", 0)
BACKLOG = 2048

Serve = Callable[[Callable[[int], None]], None]
"""Serves for ever; calls the function with the port when it listens."""


def handle(connection: Any, _address: Any = None) -> None:
    try:
        while connection.recv(4096):
            connection.sendall(RESPONSE)
    except OSError:  # the client is gone
        pass
    finally:
        connection.close()


def serve_pycoro(announce: Callable[[int], None]) -> None:
    module = peers.load("pycoro.socket")
    listener = module.create_server(ADDRESS, backlog=BACKLOG)
    announce(listener.getsockname()[1])
    while True:
        connection, address = listener.accept()
        pycoro.spawn(handle, connection, address)


def serve_gevent(announce: Callable[[int], None]) -> None:
    server = peers.load("gevent.server").StreamServer(ADDRESS, handle, backlog=BACKLOG)
    server.start()
    announce(server.server_port)
    server.serve_forever()


def serve_threads(announce: Callable[[int], None]) -> None:
    listener = socket.create_server(ADDRESS, backlog=BACKLOG)
    announce(listener.getsockname()[1])
    while True:
        threading.Thread(target=handle, args=listener.accept(), daemon=True).start()


def serve_protocols(announce: Callable[[int], None], new_event_loop: Callable[[], Any]) -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(RESPONSE)

    loop = new_event_loop()
    server = loop.run_until_complete(loop.create_server(Echo, *ADDRESS, backlog=BACKLOG))
    announce(server.sockets[0].getsockname()[1])
    loop.run_forever()


def serve_streams(announce: Callable[[int], None]) -> None:
    async def handle_stream(reader: Any, writer: Any) -> None:
        try:
            while await reader.read(4096):
                writer.write(RESPONSE)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle_stream, *ADDRESS, backlog=BACKLOG)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def kinds() -> dict[str, Serve]:
    """What can serve here, by name; pycoro first."""
    found: dict[str, Serve] = {"pycoro": serve_pycoro}
    if peers.load("gevent") is not None:
        found["gevent StreamServer"] = serve_gevent
    for name, new_event_loop in peers.loop_factories().items():
        found[f"{name} Protocols"] = partial(serve_protocols, new_event_loop=new_event_loop)
    return {**found, "asyncio streams": serve_streams, "threads": serve_threads}


def main() -> None:
    kind, core = sys.argv[1], int(sys.argv[2])
    os.sched_setaffinity(0, {core})
    kinds()[kind](lambda port: print(port, flush=True))


if __name__ == "__main__":
    main()
