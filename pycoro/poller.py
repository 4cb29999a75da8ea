"""Which descriptors are ready: edge-triggered epoll, and a portable stand-in over `selectors`.

A descriptor is registered once, for its life and both directions. An edge is reported once: whoever
waits must have tried its system call first, or ask for rearm(). Who waits is not known here. One
that is always read from, but by a library that does not tell whether it has read all, can be made
level-triggered.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from selectors import DefaultSelector
from typing import Any, Protocol

READ = 1
WRITE = 2

_epoll: Any = getattr(select, "epoll", None)

# Values of Linux and of every poll(2); select lacks the names where there is no epoll.
_IN, _PRI, _OUT, _ERR, _HUP, _RDHUP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x2000
DATA = _IN | _OUT  # there is some, and room for an answer
MORE = _IN  # there is some, of a descriptor that make_level() was called for
READABLE = _IN | _PRI | _ERR | _HUP | _RDHUP
WRITABLE = _OUT | _ERR | _HUP
UNUSUAL = _PRI | _ERR | _HUP | _RDHUP


class Poller(Protocol):
    """What the loop needs."""

    def add(self, fd: int) -> None:
        """From now on its edges are reported, what is true already as the first. OSError where
        the descriptor cannot be watched: EBADF, or EPERM for a regular file."""

    def rearm(self, fd: int) -> bool:
        """Has what is true now reported once more. False: it was not known any more, having been
        closed behind our back, and has been added."""

    def make_level(self, fd: int) -> bool:
        """Until rearm(), each poll reports that there is something to be read, and nothing of
        writing. False where this poller cannot."""

    def discard(self, fd: int) -> bool:
        """No more reports; the descriptor may be closed already. False: so it was, and if it is
        open elsewhere, by dup() or in a child, there are reports of it as before."""

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Waits up to `timeout` seconds, without end if negative: (descriptor, bits) pairs."""

    def close(self) -> None: ...


class Wanted(Protocol):
    """What the portable poller is told of a descriptor. `wanted`: READ, WRITE, both, or 0."""

    @property
    def wanted(self) -> int: ...


class EpollPoller:
    """The one for Linux: a system call for each descriptor's life, and one for each poll."""

    _LEVEL = _IN | _PRI | _RDHUP
    _MASK = _LEVEL | _OUT | 1 << 31  # EPOLLET

    def __init__(self, watches: Mapping[int, Wanted]) -> None:
        self._epoll = _epoll()
        self.poll: Callable[[float], list[tuple[int, int]]] = self._epoll.poll

    def add(self, fd: int) -> None:
        try:
            self._epoll.register(fd, self._MASK)
        except FileExistsError:  # closed behind our back, and its number used again
            self._epoll.modify(fd, self._MASK)

    def rearm(self, fd: int) -> bool:
        try:
            self._epoll.modify(fd, self._MASK)
            return True
        except FileNotFoundError:
            self._epoll.register(fd, self._MASK)
            return False

    def make_level(self, fd: int) -> bool:
        try:
            self._epoll.modify(fd, self._LEVEL)
        except OSError:
            return False
        return True

    def discard(self, fd: int) -> bool:
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):  # it was closed before; or we were
            return False
        return True

    def close(self) -> None:
        self._epoll.close()


class SelectorPoller:
    """The portable one: level-triggered, told before each poll what somebody waits for. Its cost
    grows with the number of watches."""

    def __init__(self, watches: Mapping[int, Wanted]) -> None:
        self._watches = watches
        self._selector = DefaultSelector()

    def add(self, fd: int) -> None:
        self._selector.register(fd, READ | WRITE)  # raises where that cannot work
        self._selector.unregister(fd)

    def rearm(self, fd: int) -> bool:
        return True

    def make_level(self, fd: int) -> bool:
        return False

    def discard(self, fd: int) -> bool:
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass
        return True

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        registered = self._selector.get_map()
        for fd, watch in self._watches.items():
            wanted = watch.wanted
            if fd not in registered:
                if wanted:
                    self._selector.register(fd, wanted)
            elif not wanted:
                self._selector.unregister(fd)
            elif registered[fd].events != wanted:
                self._selector.modify(fd, wanted)
        ready = self._selector.select(None if timeout < 0 else timeout)
        return [
            (key.fd, (_IN if events & READ else 0) | (_OUT if events & WRITE else 0))
            for key, events in ready
        ]

    def close(self) -> None:
        self._selector.close()


def make_poller(watches: Mapping[int, Wanted]) -> Poller:
    """The best one here, for these watches by descriptor, which the caller keeps up to date."""
    if _epoll is not None:
        return EpollPoller(watches)
    return SelectorPoller(watches)
