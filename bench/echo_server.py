"""The servers of test_echo.py and test_connections.py: `python -m bench.echo_server KIND MODE CORE`
prints its port and serves until it is killed, on that core alone.

All do the same: receive something, send one fixed HTTP response, until the client goes; in the mode
"close" only once, and then they close; in the mode "tls" over TLS. The plain handlers, on sockets,
are literally the same for pycoro, gevent and threads. All listen with the same backlog, at a free
port of the loopback interface, and with TCP_NODELAY, which asyncio sets by itself: without, the
first response over TLS waits 40 ms for the client to acknowledge the session tickets.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pycoro
from bench import ceiling, peers

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"
)
LAST_RESPONSE = RESPONSE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
ADDRESS = ("127.0.0.1", 0)
BACKLOG = 2048
CERTIFICATE = Path(__file__).parent.parent / "tests" / "data" / "localhost.pem"
MODES = ("keep-alive", "close", "tls")

Serve = Callable[[Callable[[int], None], str], None]
"""Serves for ever in a mode; calls the function with the port when it listens."""


def handle(connection: Any, _address: Any = None) -> None:
    try:
        while connection.recv(4096):
            connection.sendall(RESPONSE)
    except OSError:  # the client is gone
        pass
    finally:
        connection.close()


def handle_once(connection: Any, _address: Any = None) -> None:
    try:
        if connection.recv(4096):
            connection.sendall(LAST_RESPONSE)
    except OSError:
        pass
    finally:
        connection.close()


def tls_context(module: Any = ssl) -> Any:
    context = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def handler_for(mode: str, context: Any) -> Callable[..., None]:
    """For sockets. The handshake is the handler's, or nobody else would be served meanwhile."""

    def handle_tls(connection: Any, address: Any = None) -> None:
        try:
            connection = context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        handle(connection, address)

    return {"keep-alive": handle, "close": handle_once, "tls": handle_tls}[mode]


def send_at_once(listener: Any) -> None:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it


def serve_pycoro(announce: Callable[[int], None], mode: str) -> None:
    module = peers.load("pycoro.socket")
    handler = handler_for(mode, tls_context(peers.load("pycoro.ssl")))
    listener = module.create_server(ADDRESS, backlog=BACKLOG)
    send_at_once(listener)
    announce(listener.getsockname()[1])
    while True:
        connection, address = listener.accept()
        pycoro.spawn(handler, connection, address)


def serve_gevent(announce: Callable[[int], None], mode: str) -> None:
    handler = handler_for(mode, tls_context(peers.load("gevent.ssl")))
    server = peers.load("gevent.server").StreamServer(ADDRESS, handler, backlog=BACKLOG)
    server.start()
    send_at_once(server.socket)
    announce(server.server_port)
    server.serve_forever()


def serve_threads(announce: Callable[[int], None], mode: str) -> None:
    handler = handler_for(mode, tls_context())
    listener = socket.create_server(ADDRESS, backlog=BACKLOG)
    send_at_once(listener)
    announce(listener.getsockname()[1])
    while True:
        threading.Thread(target=handler, args=listener.accept(), daemon=True).start()


def serve_protocols(
    announce: Callable[[int], None], mode: str, new_event_loop: Callable[[], Any]
) -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(RESPONSE)

    class Once(Echo):
        def data_received(self, data: bytes) -> None:
            self.transport.write(LAST_RESPONSE)
            self.transport.close()

    loop = new_event_loop()
    protocol = Once if mode == "close" else Echo
    context = tls_context() if mode == "tls" else None
    serving = loop.create_server(protocol, *ADDRESS, backlog=BACKLOG, ssl=context)
    server = loop.run_until_complete(serving)
    announce(server.sockets[0].getsockname()[1])
    loop.run_forever()


def serve_streams(announce: Callable[[int], None], mode: str) -> None:
    async def handle_stream(reader: Any, writer: Any) -> None:
        try:
            while await reader.read(4096):
                writer.write(RESPONSE)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def handle_stream_once(reader: Any, writer: Any) -> None:
        try:
            if await reader.read(4096):
                writer.write(LAST_RESPONSE)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def main() -> None:
        handler = handle_stream_once if mode == "close" else handle_stream
        context = tls_context() if mode == "tls" else None
        server = await asyncio.start_server(handler, *ADDRESS, backlog=BACKLOG, ssl=context)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def serve_ceiling(_announce: Callable[[int], None], mode: str) -> None:
    ceiling.become(mode, CERTIFICATE, LAST_RESPONSE if mode == "close" else RESPONSE)


def kinds(mode: str) -> dict[str, Serve]:
    """What can serve here in that mode, by name; pycoro first."""
    found: dict[str, Serve] = {"pycoro": serve_pycoro}
    if peers.load("gevent") is not None:
        found["gevent StreamServer"] = serve_gevent
    for name, new_event_loop in peers.loop_factories().items():
        found[f"{name} Protocols"] = partial(serve_protocols, new_event_loop=new_event_loop)
    found |= {"asyncio streams": serve_streams, "threads": serve_threads}
    return {**found, ceiling.NAME: serve_ceiling} if ceiling.exists(mode) else found


def main() -> None:
    kind, mode, core = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    kinds(mode)[kind](lambda port: print(port, flush=True), mode)


if __name__ == "__main__":
    main()
