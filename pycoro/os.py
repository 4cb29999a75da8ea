"""Processes and descriptors, waited for in the calling task alone: gevent.os's names.

A child process is waited for by a descriptor of its own (pidfd_open(2), Linux 5.3), so that no
signal handler is needed and the user's stays as it is. What that does not tell of (any child,
stopped ones) a thread waits for, by waitid(2), which leaves the child to be reaped here.
"""

from __future__ import annotations

import fcntl
import os as _stdlib
from collections.abc import Callable
from time import monotonic
from typing import Any

from .event import AsyncResult
from .forks import in_child
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
    """As os.waitpid(). A child of fork_and_watch() can be asked for like any other, in the minute
    after it has been reaped, too. Errors: ChildProcessError where there is no such child."""
    while True:
        if (end := _kept_end(pid)) is not None:
            return end
        done = _waitpid(pid, options | _stdlib.WNOHANG)  # or ChildProcessError
        if done[0] in _watched and (_stdlib.WIFEXITED(done[1]) or _stdlib.WIFSIGNALED(done[1])):
            _watched[done[0]] = done[1]
        if done[0] or options & _stdlib.WNOHANG:
            return done
        _wait_for_change(pid, options)  # another task may be quicker: once more


def _wait_for_change(pid: int, options: int) -> None:
    if pid > 0 and not options & _STOPS and wait_for_exit(pid):
        return
    what = *_who(pid), _which(options)
    if pid > 0:
        call_in_thread(_look, *what)
        return
    # The thread may be late, and see nothing of a child that its task has reaped by then.
    asking = AsyncResult()
    _asking.add(asking)
    looking = spawn(_look_for, asking, *what)
    try:
        if not _kept:  # or else another thread's task has just put it there
            asking.get()
    finally:
        _asking.discard(asking)
        looking.kill(block=False)


def _look_for(asking: AsyncResult, *what: int) -> None:
    try:
        asking.set(call_in_thread(_look, *what))
    except Exception as error:
        asking.set_exception(error)


def _look(*what: int) -> None:
    """In a thread."""
    try:
        _waitid(*what)
    except ChildProcessError:
        pass  # the next waitpid() says so, if nobody has kept what it wants


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
    """Forks; in the parent, a task reaps the child and calls callback(pid, status) then, whether
    or not somebody calls waitpid(), too. `loop` and `ref` are there for gevent's callers. Gives
    what fork() gives."""
    pid = fork()
    if pid:
        _drop_old()
        _kept.pop(pid, None)
        _watched[pid] = None
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


_watched: dict[int, int | None] = {}  # children; the status, where a waitpid() was quicker
_kept: dict[int, tuple[int, float]] = {}  # those reaped by their task: the status, and when
_KEPT_FOR = 60.0  # seconds; gevent's
_asking: set[AsyncResult] = set()  # waitpid()s for any child; told when one is kept


def _reap(pid: int, callback: Callable[[int, int], Any] | None) -> None:
    status: int | None = None
    try:
        while status is None and (status := _watched.get(pid)) is None:
            done, found = _waitpid(pid, _stdlib.WNOHANG)
            if done:
                _kept[pid] = found, monotonic()
                status = found
                for asking in list(_asking):
                    asking.set()
            else:
                _wait_for_change(pid, 0)
    except ChildProcessError:  # reaped behind our back, by the real os.waitpid()
        return
    finally:
        _watched.pop(pid, None)
    if callback is not None:
        callback(pid, status)


def _kept_end(pid: int) -> tuple[int, int] | None:
    """What waitpid() is to give, where a task has reaped the child already."""
    if not _kept:
        return None
    _drop_old()  # by now the number may be another child's, which is not watched
    found = next(iter(_kept), 0) if pid in (-1, 0) else pid  # 0: hardly any leaves our group
    kept = _kept.pop(found, None)
    return None if kept is None else (found, kept[0])


def _drop_old() -> None:
    """Those that nobody has asked for in time."""
    for old, (_, when) in list(_kept.items()):
        if monotonic() - when > _KEPT_FOR:
            _kept.pop(old, None)


@in_child
def _forget_children() -> None:
    """They are the parent's."""
    _watched.clear()
    _kept.clear()
    _asking.clear()


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
