"""httpx, not async, over TLS, one client for each operation."""

from __future__ import annotations

import ssl

import httpx

from clients.adapter import CERTIFICATE, Adapter


class Client(Adapter):
    errors = (httpx.HTTPError,)

    def __init__(self, port: int, folder: str) -> None:
        super().__init__(port, folder)
        self.context = ssl.create_default_context(cafile=CERTIFICATE)

    def open(self) -> httpx.Client:
        return httpx.Client(verify=self.context, timeout=60, trust_env=False)

    def ask(self, connection: httpx.Client, number: int, seconds: float) -> int:
        url = f"https://localhost:{self.port}/{number}/{seconds}"
        return int(connection.get(url).raise_for_status().text)
