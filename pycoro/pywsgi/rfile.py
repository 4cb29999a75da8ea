"""What a client sends, as a file: WSGIHandler.rfile, for handlers that speak another protocol."""

from __future__ import annotations

from io import RawIOBase
from typing import Any


class Incoming(RawIOBase):
    """The bytes of a Connection that have come and not been used, then those of its socket."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        connection = self._connection
        data: bytes = connection._buffer[: len(buffer)]
        connection._buffer = connection._buffer[len(data) :]
        if not data:
            data = connection.socket.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
