"""websocket-client."""

from __future__ import annotations

import websocket

from clients.adapter import Adapter


class Client(Adapter):
    # What the socket says it leaves as it is.
    errors = (websocket.WebSocketException, ConnectionError)

    def open(self) -> websocket.WebSocket:
        return websocket.create_connection(f"ws://127.0.0.1:{self.port}/", timeout=60)

    def ask(self, connection: websocket.WebSocket, number: int, seconds: float) -> int:
        connection.send(f"{number} {seconds}")
        return int(connection.recv())
