"""paramiko, against OpenSSH: each connection has a thread of its own, which is a task."""

from __future__ import annotations

import logging
from pathlib import Path

import paramiko

from clients.adapter import Adapter

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it tells of lost connections


class Client(Adapter):
    per_connection = 20  # exchanging keys takes long
    errors = (
        paramiko.SSHException,
        paramiko.ssh_exception.NoValidConnectionsError,
        EOFError,
        ConnectionError,
    )

    def open(self) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            self.port,
            username=Path(self.folder, "user").read_text(),
            key_filename=f"{self.folder}/key",
            allow_agent=False,
            look_for_keys=False,
            banner_timeout=60,
            auth_timeout=60,
        )
        return client

    def ask(self, connection: paramiko.SSHClient, number: int, seconds: float) -> int:
        _, output, _ = connection.exec_command(f"sleep {seconds}; echo {number}")
        answer = output.read()
        if not answer:
            raise paramiko.SSHException("the connection was lost")
        return int(answer)
