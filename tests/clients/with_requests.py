"""requests, over TLS, a session for each operation."""

from __future__ import annotations

import requests

from clients.adapter import CERTIFICATE, Adapter


class Client(Adapter):
    errors = (requests.RequestException,)

    def open(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no proxy
        session.verify = CERTIFICATE
        return session

    def ask(self, connection: requests.Session, number: int, seconds: float) -> int:
        url = f"https://localhost:{self.port}/{number}/{seconds}"
        with connection.get(url) as response:
            response.raise_for_status()
            return int(response.text)
