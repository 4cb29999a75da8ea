"""redis-py. BLPOP waits in the server, for this connection alone."""

from __future__ import annotations

import redis

from clients.adapter import Adapter


class Client(Adapter):
    errors = (redis.ConnectionError,)

    def open(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=60, retry=None)

    def ask(self, connection: redis.Redis, number: int, seconds: float) -> int:
        connection.set(f"number-{number}", number)
        assert connection.blpop([f"nothing-{number}"], seconds) is None
        return int(connection.get(f"number-{number}"))
