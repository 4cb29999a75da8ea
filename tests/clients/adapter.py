"""What scenarios.py wants of a client library.

Its module with_NAME.py defines `class Client(Adapter)`, and imports the library on top, as programs
do. Its server and extra are told in conftest.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CERTIFICATE = str(Path(__file__).parent.parent / "data" / "localhost.pem")


class Adapter:
    """One client library, for the server at this port of 127.0.0.1; `folder` has its files."""

    per_connection = 1
    """How many operations at once a connection is to carry."""

    errors: tuple[type[BaseException], ...] = ()
    """The library's own, for a connection that is refused, or lost in the middle."""

    def __init__(self, port: int, folder: str) -> None:
        self.port = port
        self.folder = folder

    def open(self) -> Any:
        """A new connection."""
        raise NotImplementedError

    def ask(self, connection: Any, number: int, seconds: float) -> int:
        """An answer that the server gives after so many seconds: the number, as it knows it."""
        raise NotImplementedError

    def close(self, connection: Any) -> None:
        connection.close()
