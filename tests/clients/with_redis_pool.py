"""redis-py, one client for all: its pool of connections is guarded by locks of threading."""

from __future__ import annotations

import redis

from clients import with_redis


class Client(with_redis.Client):
    def __init__(self, port: int, folder: str) -> None:
        super().__init__(port, folder)
        self.pool = redis.BlockingConnectionPool(port=port, max_connections=250, retry=None)

    def open(self) -> redis.Redis:
        return redis.Redis(connection_pool=self.pool)

    def close(self, connection: redis.Redis) -> None:
        connection.close()
        self.pool.disconnect()
