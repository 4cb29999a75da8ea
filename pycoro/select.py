"""The stdlib's select() and poll(), which let other tasks run while they wait.

What is ready is asked of the kernel's own poll(), which does not wait then; the loop is only told
to wake us when to ask again. epoll and kqueue objects are not here: a level-triggered one can be
waited for by wait_read(), being a descriptor itself.
"""

from __future__ import annotations

import select as _stdlib
from collections.abc import Iterable
from time import monotonic
from typing import Any

from .coroutine import current
from .loop import Loop, get_loop
from .poller import READ, WRITE
from .task import sleep
from .waiting import wait_any

_poll = _stdlib.poll

POLLIN, POLLPRI, POLLOUT = _stdlib.POLLIN, _stdlib.POLLPRI, _stdlib.POLLOUT
POLLERR, POLLHUP, POLLNVAL = _stdlib.POLLERR, _stdlib.POLLHUP, _stdlib.POLLNVAL
_READABLE = POLLIN | POLLPRI | getattr(_stdlib, "POLLRDHUP", 0) | _stdlib.POLLRDNORM
_READABLE |= _stdlib.POLLRDBAND
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
        """(descriptor, events) pairs. `timeout`: milliseconds; negative or None: no limit."""
        if timeout is not None and timeout != timeout:
            raise ValueError("timeout must be a number of milliseconds, not NaN")
        deadline = None
        if timeout is not None and timeout >= 0:
            deadline = monotonic() + timeout / 1000
        ready = self._kernel.poll(0)
        if ready or timeout == 0:
            if type(current()) is not Loop:  # a callback must not wait
                sleep(0)  # who asks again and again must not keep the others from running
            return ready
        loop = get_loop()
        while not ready:
            watches = []
            for fd, mask in self._masks.items():
                watch = loop.watch(fd)
                if mask & _WRITABLE:
                    watches.append((watch, WRITE))
                if mask & _READABLE or not mask & _WRITABLE:
                    watches.append((watch, READ))
            left = None if deadline is None else max(0.0, deadline - monotonic())
            woken = wait_any(loop, watches, left)
            ready = self._kernel.poll(0)
            if not woken:
                break
        return ready


def select(
    rlist: Iterable[Any],
    wlist: Iterable[Any],
    xlist: Iterable[Any],
    timeout: float | None = None,
    /,
) -> tuple[list[Any], list[Any], list[Any]]:
    """As the stdlib's, without its limit of 1024 on the numbers of descriptors."""
    if timeout is not None:
        try:
            timeout = timeout + 0.0
        except TypeError:
            raise TypeError("timeout must be a float or None") from None
        if not timeout >= 0:  # NaN is neither
            raise ValueError("timeout must be non-negative")
    wanted = [
        [(_number_of(fd), fd) for fd in fds] for fds in (list(rlist), list(wlist), list(xlist))
    ]
    masks: dict[int, int] = {}
    for entries, mask in zip(wanted, (POLLIN, POLLOUT, POLLPRI), strict=True):
        for number, _ in entries:
            masks[number] = masks.get(number, 0) | mask
    poller = poll()
    for number, mask in masks.items():
        poller.register(number, mask)
    found = dict(poller.poll(None if timeout is None else timeout * 1000))
    if any(bits & POLLNVAL for bits in found.values()):
        raise OSError(9, "Bad file descriptor")
    signs = (POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI)
    readable, writable, exceptional = (
        [fd for number, fd in entries if found.get(number, 0) & bits]
        for entries, bits in zip(wanted, signs, strict=True)
    )
    return readable, writable, exceptional


def __getattr__(name: str) -> Any:
    if name in ("epoll", "kqueue", "devpoll"):
        raise AttributeError(f"pycoro.select has no {name}: it would block all tasks")
    return getattr(_stdlib, name)
