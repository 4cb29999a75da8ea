"""Processes and descriptors, waited for in the calling task alone: gevent.os's names.

A child process is waited for by a descriptor of its own (pidfd_open(2), Linux 5.3), so that no
signal handler is needed and the user's stays as it is. What that does not tell of (any child,
stopped ones) a thread waits for, by waitid(2), which leaves the child to be reaped here.
"""

from __future__ import annotations

import fcntl
import os as _stdlib
from collections.abc import Callable
from typing import Any

from .jobs import call_in_thread
from .loop import get_loop
from .task import spawn
from .waiting import wait_read, wait_write

_read = _stdlib.read
_write = _stdlib.write
_waitpid = _stdlib.waitpid
_waitid = _stdlib.waitid
_fork = _stdlib.fork
_pidfd_open: Callable[[int], int] | None = getattr(_stdlib, "pidfd_open", None)

_STOPS = _stdlib.WUNTRACED | _stdlib.WCONTINUED

fork = _fork  # the loop sees to itself: see Loop.after_fork()


# ---- descriptors ----


def make_nonblocking(fd: int) -> bool | None:
    """Has it not block: True; None where it was so before. Errors: OSError."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & _stdlib.O_NONBLOCK:
        return None
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | _stdlib.O_NONBLOCK)
    return True


def nb_read(fd: int, n: int) -> bytes:
    """Up to `n` bytes from a descriptor that does not block; b"" at the end. Errors: OSError."""
    while True:
        try:
            return _read(fd, n)
        except BlockingIOError:
            wait_read(fd)


def nb_write(fd: int, buf: Any) -> int:
    """Writes some of the bytes to a descriptor that does not block, at least one: how many."""
    while True:
        try:
            return _write(fd, buf)
        except BlockingIOError:
            wait_write(fd)


def tp_read(fd: int, n: int) -> bytes:
    """os.read() in a thread: for descriptors that block, of terminals and regular files, say."""
    return call_in_thread(_read, fd, n)  # type: ignore[no-any-return]


def tp_write(fd: int, buf: Any) -> int:
    """os.write() in a thread."""
    return call_in_thread(_write, fd, buf)  # type: ignore[no-any-return]


# ---- processes ----


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """As os.waitpid(). Errors: ChildProcessError where there is no such child."""
    done = _waitpid(pid, options | _stdlib.WNOHANG)  # or ChildProcessError
    if done[0] or options & _stdlib.WNOHANG:
        return done
    while True:
        if pid <= 0 or options & _STOPS or not wait_for_exit(pid):
            call_in_thread(_waitid, *_who(pid), _which(options))
        # Another task may have been quicker.
        done = _waitpid(pid, options | _stdlib.WNOHANG)
        if done[0]:
            return done


def wait_for_exit(pid: int, timeout: float | None = None) -> bool:
    """Waits until the child has ended, without reaping it. False at once where that cannot be told
    on this system. Errors: TimeoutError after `timeout` seconds."""
    if _pidfd_open is None:
        return False
    try:
        fd = _pidfd_open(pid)
    except ProcessLookupError:  # reaped by somebody else meanwhile
        return True
    except OSError:  # an old kernel, a sandbox, or too many files are open
        return False
    try:
        wait_read(fd, timeout)
    finally:
        get_loop().unwatch(fd)
        _stdlib.close(fd)
    return True


def _who(pid: int) -> tuple[int, int]:
    """For waitid(): what waitpid() means by its number."""
    if pid == -1:
        return _stdlib.P_ALL, 0
    if pid > 0:
        return _stdlib.P_PID, pid
    return _stdlib.P_PGID, -pid if pid else _stdlib.getpgrp()


def _which(options: int) -> int:
    """For waitid(): what happens to children is to be told, without reaping them."""
    wanted = _stdlib.WEXITED | _stdlib.WNOWAIT
    if options & _stdlib.WUNTRACED:
        wanted |= _stdlib.WSTOPPED
    return wanted | (options & _stdlib.WCONTINUED)


def fork_and_watch(
    callback: Callable[[int, int], Any] | None = None,
    loop: Any = None,
    ref: bool = False,
    fork: Callable[[], int] = _fork,
) -> int:
    """Forks; in the parent, a task reaps the child and calls callback(pid, status) then. `loop`
    and `ref` are there for gevent's callers. Gives what fork() gives."""
    pid = fork()
    if pid:
        spawn(_reap, pid, callback)
    return pid


def forkpty_and_watch(
    callback: Callable[[int, int], Any] | None = None,
    loop: Any = None,
    ref: bool = False,
    forkpty: Callable[[], tuple[int, int]] = _stdlib.forkpty,
) -> tuple[int, int]:
    """fork_and_watch() of a child with a terminal of its own. Gives what forkpty() gives: the
    child's number and a descriptor of that terminal."""
    made: list[tuple[int, int]] = []

    def fork() -> int:
        made.append(forkpty())
        return made[0][0]

    fork_and_watch(callback, loop, ref, fork)
    return made[0]


def _reap(pid: int, callback: Callable[[int, int], Any] | None) -> None:
    try:
        done, status = waitpid(pid, 0)
    except ChildProcessError:  # somebody else's waitpid() was quicker
        return
    if callback is not None:
        callback(done, status)


forkpty = _stdlib.forkpty
fork_gevent = fork
forkpty_gevent = forkpty


__implements__ = ["fork", "forkpty", "waitpid"]
__all__ = [
    "fork",
    "fork_and_watch",
    "fork_gevent",
    "forkpty",
    "forkpty_and_watch",
    "forkpty_gevent",
    "make_nonblocking",
    "nb_read",
    "nb_write",
    "tp_read",
    "tp_write",
    "waitpid",
]


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)
