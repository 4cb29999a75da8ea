"""pg8000, a PostgreSQL client in Python."""

from __future__ import annotations

from typing import Any

import pg8000.dbapi

from clients.adapter import Adapter


class Client(Adapter):
    # A reset in the middle it leaves as it is.
    errors = (pg8000.dbapi.Error, ConnectionError)

    def open(self) -> Any:
        # No TLS: it would read all certificates of the system for each connection.
        return pg8000.dbapi.connect(
            "pycoro",
            host="127.0.0.1",
            port=self.port,
            database="postgres",
            ssl_context=False,
        )

    def ask(self, connection: Any, number: int, seconds: float) -> int:
        cursor = connection.cursor()
        cursor.execute("select cast(%s as int), pg_sleep(%s)", (number, seconds))
        return int(cursor.fetchone()[0])
