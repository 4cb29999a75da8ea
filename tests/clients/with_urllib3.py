"""urllib3, one pool of connections for all, guarded by a queue."""

from __future__ import annotations

import urllib3

from clients.adapter import Adapter


class Client(Adapter):
    errors = (urllib3.exceptions.HTTPError,)

    def __init__(self, port: int, folder: str) -> None:
        super().__init__(port, folder)
        self.pool = urllib3.PoolManager(maxsize=250, block=True, retries=False)

    def open(self) -> urllib3.PoolManager:
        return self.pool

    def ask(self, connection: urllib3.PoolManager, number: int, seconds: float) -> int:
        url = f"http://127.0.0.1:{self.port}/{number}/{seconds}"
        return int(connection.request("GET", url).data)

    def close(self, connection: urllib3.PoolManager) -> None:
        connection.clear()
