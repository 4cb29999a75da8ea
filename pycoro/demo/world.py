"""What a way of waiting must offer so that echo.py can run on it, and what the runs give back.

The three blocking worlds (pycoro, gevent, threads) share every line of the echo program and differ
only in what is in here. asyncio cannot share it, for its calls must say `await`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Address = tuple[str, int]
Show = Callable[[str, int, int], None]  # what is under way, how many are done, of how many


class Joinable(Protocol):
    """A task, a greenlet, a thread."""

    def join(self) -> Any: ...


@dataclass(frozen=True)
class World:
    """spawn(function, *arguments) runs it concurrently. Sockets block the caller alone.

    listen(backlog) gives a socket on a free port of 127.0.0.1; connect(address) one to it.
    """

    spawn: Callable[..., Joinable]
    sleep: Callable[[float], Any]
    listen: Callable[[int], socket.socket]
    connect: Callable[[Address], socket.socket]


@dataclass
class EchoResult:
    """What was served. Seconds and bytes; `memory` is what the open connections took."""

    connections: int
    messages: int
    bytes: int
    connect_seconds: float
    echo_seconds: float
    echo_processor_seconds: float
    memory: int


@dataclass
class BareResult:
    """Switching alone: `switches` a second between two, `memory` bytes of each of `count` that
    are suspended and hold nothing."""

    switches: float
    memory: float
    count: int


class DemoError(Exception):
    """The run cannot go on; the message is a sentence for the user."""
