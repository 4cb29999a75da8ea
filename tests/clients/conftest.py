"""The servers, one of each for all tests, and what clients and servers are called elsewhere."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

from clients import servers

Server = Callable[[], AbstractContextManager[tuple[int, Path]]]

# Server -> what starts it, and what it takes: (program or module, how to get it).
EXTRA = "pip install 'pycoro[clients]'"
SERVERS: dict[str, tuple[Server, list[tuple[str, str]]]] = {
    "redis": (servers.redis, [("redis-server", "apt-get install redis-server")]),
    "postgresql": (servers.postgresql, [("initdb", "apt-get install postgresql")]),
    "mariadb": (
        servers.mariadb,
        [
            ("mariadbd", "apt-get install mariadb-server"),
            ("mariadb-install-db", "apt-get install mariadb-server"),
        ],
    ),
    "rabbitmq": (servers.rabbitmq, [("rabbitmq-server", "apt-get install rabbitmq-server")]),
    "sshd": (servers.sshd, [("sshd", "apt-get install openssh-server")]),
    "http": (partial(servers.delayed, "http"), []),
    "https": (partial(servers.delayed, "https"), []),
    "smtp": (partial(servers.delayed, "smtp"), [("aiosmtpd", EXTRA)]),
    "websocket": (partial(servers.delayed, "websocket"), [("websockets", EXTRA)]),
}

# Client -> its module, and its server.
CLIENTS = {
    "redis": ("redis", "redis"),
    "redis_pool": ("redis", "redis"),
    "pg8000": ("pg8000", "postgresql"),
    "pymysql": ("pymysql", "mariadb"),
    "requests": ("requests", "https"),
    "urllib3": ("urllib3", "http"),
    "httpx": ("httpx", "https"),
    "smtplib": ("smtplib", "smtp"),
    "websocket": ("websocket", "websocket"),
    "paramiko": ("paramiko", "sshd"),
}


def is_here(need: str, remedy: str) -> bool:
    """A module of the extra; else a program. Some modules bring a program of their name, which may
    be another environment's."""
    if remedy == EXTRA:
        return importlib.util.find_spec(need) is not None
    path = f"/usr/sbin:{Path.home()}/.local/bin"
    return bool(
        shutil.which(need) or shutil.which(need, path=path) or servers.postgresql_program(need)
    )


def skip_without(needs: Iterable[tuple[str, str]], **options: bool) -> None:
    """Skips where one of them is missing; options are pytest.skip()'s."""
    for need, remedy in needs:
        if not is_here(need, remedy):
            pytest.skip(f"{need} is missing: {remedy}", **options)


@pytest.fixture(scope="module")  # tests of others may wait for children, whichever
def started() -> Iterator[Callable[[str], tuple[int, Path]]]:
    """started(SERVER): (port, folder) of a server, which is started when it is first asked for.
    Skips where what starts it is missing."""
    found: dict[str, tuple[int, Path]] = {}
    with ExitStack() as stack:

        def start(name: str) -> tuple[int, Path]:
            if name not in found:
                server, needs = SERVERS[name]
                skip_without(needs)
                found[name] = stack.enter_context(server())
            return found[name]

        yield start


@pytest.fixture(params=CLIENTS)
def client(
    request: pytest.FixtureRequest, started: Callable[[str], tuple[int, Path]]
) -> tuple[str, int, Path]:
    """(name, its server's port, its server's folder)"""
    module, server = CLIENTS[request.param]
    skip_without([(module, EXTRA)])
    return request.param, *started(server)
