"""multiprocessing's pipes and locks, for the opt-in patch: who waits for them lets others run.

Pipes are left as they are, blocking or not: they are waited for before each call. A semaphore of
the system's can only be tried again and again. It knows threads, not tasks: of an RLock the tasks
of one thread are one owner. Two tasks must not receive, or send, by one Connection at once, as two
threads must not; queues and pools take care of that themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from .loop import get_loop
from .sleeping import sleep
from .waiting import wait_read, wait_write

_read = os.read
_write = os.write
_ATOMIC = 4096  # bytes that a pipe takes at once, where it is writable: PIPE_BUF
_LONGEST = 0.01  # seconds between two looks at a semaphore

Row = tuple[str, str, Any]


def read(fd: int, size: int) -> bytes:
    """os.read(), once there is something."""
    while True:
        wait_read(fd)
        try:
            return _read(fd, size)
        except BlockingIOError:  # another was faster
            continue


def write(fd: int, data: Any) -> int:
    """os.write() of as much as does not block."""
    while True:
        wait_write(fd)
        try:
            return _write(fd, memoryview(data)[:_ATOMIC])
        except BlockingIOError:
            continue


def acquire(semaphore: Any, block: bool = True, timeout: float | None = None) -> bool:
    """acquire() of a semaphore of the system's."""
    if semaphore.acquire(False):
        return True
    clock = get_loop().clock
    deadline = None if timeout is None else clock() + timeout
    pause = 0.0
    while block:
        if deadline is not None and (left := deadline - clock()) <= pause:
            sleep(max(0.0, left))
            return bool(semaphore.acquire(False))
        sleep(pause)
        if semaphore.acquire(False):
            return True
        pause = min(_LONGEST, pause * 2 or 0.0005)
    return False


def rows() -> list[Row]:
    """What replaces what, as in monkey's table. Imports multiprocessing."""
    connection = import_module("multiprocessing.connection").Connection
    semaphore = import_module("multiprocessing.synchronize").SemLock
    receive, send, close = connection._recv, connection._send, connection._close
    make_methods: Callable[[Any], None] = semaphore._make_methods

    def _close(self: Any) -> None:
        get_loop().unwatch(self._handle)  # whoever waits for it gets an OSError
        close(self)

    def _make_methods(self: Any) -> None:
        make_methods(self)
        self.acquire = partial(acquire, self._semlock)

    def __enter__(self: Any) -> bool:  # noqa: N807
        return self.acquire()  # type: ignore[no-any-return]

    return [
        ("multiprocessing.connection:Connection", "_recv", _with(receive, read)),
        ("multiprocessing.connection:Connection", "_send", _with(send, write)),
        ("multiprocessing.connection:Connection", "_close", _close),
        ("multiprocessing.synchronize:SemLock", "_make_methods", _make_methods),
        ("multiprocessing.synchronize:SemLock", "__enter__", __enter__),
    ]


def _with(method: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """The method of Connection, which makes its system calls by what it is given for it."""

    def wrapped(self: Any, what: Any) -> Any:
        return method(self, what, call)

    wrapped.__name__ = method.__name__
    return wrapped
