"""The stdlib's select(), poll() and epoll(), which let other tasks run while they wait.

What is ready is asked of the kernel's own poll() or epoll_wait(), which does not wait then; the
loop is only told to wake us when to ask again. An epoll object is a descriptor itself, readable
when something of it is ready.
"""

from __future__ import annotations

import select as _stdlib
from collections.abc import Iterable
from typing import Any

from .coroutine import current
from .loop import Loop, get_loop
from .poller import READ, WRITE
from .task import sleep
from .waiting import wait_any

_poll = _stdlib.poll
_epoll: Any = getattr(_stdlib, "epoll", None)

POLLIN, POLLPRI, POLLOUT = _stdlib.POLLIN, _stdlib.POLLPRI, _stdlib.POLLOUT
POLLERR, POLLHUP, POLLNVAL = _stdlib.POLLERR, _stdlib.POLLHUP, _stdlib.POLLNVAL
_READABLE = POLLIN | POLLPRI | getattr(_stdlib, "POLLRDHUP", 0) | _stdlib.POLLRDNORM
_READABLE |= _stdlib.POLLRDBAND
_EPOLL_DEFAULT = POLLIN | POLLPRI | POLLOUT
_WRITABLE = POLLOUT | _stdlib.POLLWRNORM | _stdlib.POLLWRBAND

error = OSError


def _number_of(fd: Any) -> int:
    if isinstance(fd, int):
        number = fd
    else:
        try:
            number = fd.fileno()
        except AttributeError:
            raise TypeError("argument must be an int, or have a fileno() method.") from None
        if not isinstance(number, int):
            raise TypeError("fileno() returned a non-integer")
    if number < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({number})")
    return number


class poll:  # noqa: N801 - the stdlib's name
    """As the stdlib's polling object."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}
        self._kernel = _poll()
        self._busy = False

    def register(self, fd: Any, eventmask: int = POLLIN | POLLPRI | POLLOUT) -> None:
        number = _number_of(fd)
        self._kernel.register(number, eventmask)
        self._masks[number] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        number = _number_of(fd)
        self._kernel.modify(number, eventmask)
        self._masks[number] = eventmask

    def unregister(self, fd: Any) -> None:
        number = _number_of(fd)
        self._kernel.unregister(number)
        del self._masks[number]

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """(descriptor, events) pairs. `timeout`: milliseconds; negative or None: no limit. Errors:
        OverflowError for more than 2**31 of them, RuntimeError where another task is in here."""
        if timeout is not None:
            if timeout != timeout:
                raise ValueError("timeout must be a number of milliseconds, not NaN")
            if not -(2**31) <= timeout < 2**31:
                raise OverflowError("timeout is too large")
        if self._busy:
            raise RuntimeError("concurrent poll() invocation")
        self._busy = True
        try:
            return self._poll(timeout)
        finally:
            self._busy = False

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        ready = self._kernel.poll(0)
        if ready or timeout == 0:
            _give_way()
            return ready
        loop = get_loop()
        deadline = None
        if timeout is not None and timeout >= 0:
            deadline = loop.clock() + timeout / 1000
        while not ready:
            watches = []
            for fd, mask in self._masks.items():
                watch = loop.watch(fd)
                if mask & _WRITABLE:
                    watches.append((watch, WRITE))
                if mask & _READABLE or not mask & _WRITABLE:
                    watches.append((watch, READ))
            left = None if deadline is None else max(0.0, deadline - loop.clock())
            woken = wait_any(loop, watches, left)
            ready = self._kernel.poll(0)
            if not woken:
                break
        return ready


class epoll:  # noqa: N801 - the stdlib's name
    """As the stdlib's edge and level polling object."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._kernel = _epoll(sizehint, flags)

    @classmethod
    def fromfd(cls, fd: int) -> epoll:
        made = cls.__new__(cls)
        made._kernel = _epoll.fromfd(fd)
        return made

    @property
    def closed(self) -> bool:
        return bool(self._kernel.closed)

    def close(self) -> None:
        if not self._kernel.closed:
            get_loop().unwatch(self._kernel.fileno())
        self._kernel.close()

    def fileno(self) -> int:
        return int(self._kernel.fileno())

    def register(self, fd: Any, eventmask: int = _EPOLL_DEFAULT) -> None:
        self._kernel.register(fd, eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        self._kernel.modify(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        self._kernel.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """(descriptor, events) pairs. `timeout`: seconds; negative or None: no limit."""
        ready: list[tuple[int, int]] = self._kernel.poll(0, maxevents)
        if ready or timeout == 0:
            _give_way()
            return ready
        clock = get_loop().clock
        deadline = None if timeout is None or timeout < 0 else clock() + timeout
        while not ready:
            left = None if deadline is None else max(0.0, deadline - clock())
            woken = wait_any(get_loop(), [(get_loop().watch(self.fileno()), READ)], left)
            ready = self._kernel.poll(0, maxevents)
            if not woken:
                break
        return ready

    def __enter__(self) -> epoll:
        if self._kernel.closed:
            raise ValueError("I/O operation on closed epoll object")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _give_way() -> None:
    """Who asks again and again without waiting must not keep the others from running."""
    if type(current()) is not Loop:  # a callback must not wait
        sleep(0)


def select(
    rlist: Iterable[Any],
    wlist: Iterable[Any],
    xlist: Iterable[Any],
    timeout: float | None = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """As the stdlib's, without its limit of 1024 on the numbers of descriptors."""
    if timeout is not None:
        try:
            timeout = timeout + 0.0
        except TypeError:
            raise TypeError("timeout must be a float or None") from None
        if not timeout >= 0:  # NaN is neither
            raise ValueError("timeout must be non-negative")
    wanted = [[(_number_of(fd), fd) for fd in fds] for fds in (rlist, wlist, xlist)]
    masks: dict[int, int] = {}
    for entries, mask in zip(wanted, (POLLIN, POLLOUT, POLLPRI), strict=True):
        for number, _ in entries:
            masks[number] = masks.get(number, 0) | mask
    poller = poll()
    for number, mask in masks.items():
        poller.register(number, mask)
    found = dict(poller._poll(None if timeout is None else timeout * 1000))
    if any(bits & POLLNVAL for bits in found.values()):
        raise OSError(9, "Bad file descriptor")
    signs = (POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI)
    readable, writable, exceptional = (
        [fd for number, fd in entries if found.get(number, 0) & bits]
        for entries, bits in zip(wanted, signs, strict=True)
    )
    return readable, writable, exceptional


__implements__ = ["select", "poll", *(["epoll"] if _epoll is not None else [])]


def __getattr__(name: str) -> Any:
    if name in ("kqueue", "devpoll"):
        raise AttributeError(f"pycoro.select has no {name}: it would block all tasks")
    return getattr(_stdlib, name)
