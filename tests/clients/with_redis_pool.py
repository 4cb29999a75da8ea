"""redis-py, one client for all: its pool of connections is guarded by locks of threading."""

from __future__ import annotations

import redis

from clients import with_redis


class Client(with_redis.Client):
    pool: redis.BlockingConnectionPool | None = None

    def open(self) -> redis.Redis:
        if self.pool is None or self.pool.connection_kwargs["port"] != self.port:
            self.pool = redis.BlockingConnectionPool(
                port=self.port, max_connections=250, socket_timeout=60, retry=None
            )
        return redis.Redis(connection_pool=self.pool)

    def close(self, connection: redis.Redis) -> None:
        connection.connection_pool.disconnect()
