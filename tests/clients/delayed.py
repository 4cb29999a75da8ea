"""Servers whose answers take as long as they are asked to: `python delayed.py KIND PORT`.

They know nothing of pycoro. `http` and `https` answer GET /NUMBER/SECONDS with the number, after so
many seconds; `smtp` a mail, and `websocket` a message, that consist of both.
"""

from __future__ import annotations

import asyncio
import http.server
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

BACKLOG = 512
CERTIFICATE = Path(__file__).parent.parent / "data" / "localhost.pem"


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        if self.server.context is not None:  # type: ignore[attr-defined]
            self.request = self.server.context.wrap_socket(  # type: ignore[attr-defined]
                self.request, server_side=True
            )
        super().setup()

    def do_GET(self) -> None:
        number, seconds = self.path.strip("/").split("/")
        time.sleep(float(seconds))
        self.send_response(200)
        self.send_header("Content-Length", str(len(number)))
        self.end_headers()
        self.wfile.write(number.encode())

    def log_message(self, *_: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = BACKLOG
    context: ssl.SSLContext | None = None

    def handle_error(self, *_: Any) -> None:  # clients leave in the middle
        pass


def serve_http(port: int, context: ssl.SSLContext | None = None) -> None:
    with Server(("127.0.0.1", port), Handler) as server:
        server.context = context
        server.serve_forever()


def serve_https(port: int) -> None:
    serve_http(port, tls_context())


def serve_smtp(port: int) -> None:
    from aiosmtpd.smtp import SMTP

    class Late:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            number, seconds = envelope.content.split()[-2:]
            await asyncio.sleep(float(seconds))
            return f"250 {number.decode()}"

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Late(), hostname="localhost", tls_context=tls_context()),
            "127.0.0.1",
            port,
            backlog=BACKLOG,
        )
        await server.serve_forever()

    asyncio.run(serve())


def serve_websocket(port: int) -> None:
    from websockets.asyncio.server import serve

    async def answer(connection: Any) -> None:
        async for message in connection:
            number, seconds = message.split()
            await asyncio.sleep(float(seconds))
            await connection.send(number)

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        async with serve(answer, sock=listener, backlog=BACKLOG):
            await asyncio.get_running_loop().create_future()

    asyncio.run(main())


if __name__ == "__main__":
    globals()[f"serve_{sys.argv[1]}"](int(sys.argv[2]))
