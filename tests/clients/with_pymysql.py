"""PyMySQL, a client of MariaDB and MySQL in Python."""

from __future__ import annotations

from typing import Any

import pymysql

from clients.adapter import Adapter


class Client(Adapter):
    errors = (pymysql.Error,)

    def open(self) -> Any:
        # No TLS: it would read all certificates of the system for each connection.
        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", ssl_disabled=True)

    def ask(self, connection: Any, number: int, seconds: float) -> int:
        with connection.cursor() as cursor:
            cursor.execute("select %s, sleep(%s)", (number, seconds))
            return int(cursor.fetchone()[0])
