"""Which descriptors are ready: edge-triggered epoll, and a portable stand-in over `selectors`.

A descriptor has one Watch for its life, and the kernel one registration, for both directions. An
edge is reported once, so whoever waits must have tried its system call first, or have asked for
rearm(). Here is no policy: what happens to those who wait is the loop's.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from selectors import DefaultSelector
from typing import Any, Protocol

READ = 1
WRITE = 2

_epoll: Any = getattr(select, "epoll", None)

# Values of Linux and of every poll(2); select lacks the names where there is no epoll.
_IN, _PRI, _OUT, _ERR, _HUP, _RDHUP = 0x1, 0x2, 0x4, 0x8, 0x10, 0x2000
READABLE = _IN | _PRI | _ERR | _HUP | _RDHUP
WRITABLE = _OUT | _ERR | _HUP
UNUSUAL = _PRI | _ERR | _HUP | _RDHUP


class Watch:
    """A descriptor, and who waits for it. `reader` and `writer`: one coroutine each, or None;
    `crowd`: further ones: direction, coroutine, what it waits for; `on_read`, `on_write`: callbacks."""

    __slots__ = ("crowd", "drained", "fd", "loop", "on_read", "on_write", "reader", "unusual", "writer")

    def __init__(self, fd: int, loop: Any) -> None:
        self.fd = fd
        self.loop = loop
        self.reader: Any = None
        self.writer: Any = None
        self.crowd: list[tuple[int, Any, Any]] | None = None
        self.on_read: Any = None
        self.on_write: Any = None
        self.drained = False  # read until it was empty, and no edge since
        self.unusual = False  # an edge told of more than data: end, error, urgent data

    def join_crowd(self, direction: int, waiter: Any, where: Any) -> None:
        """For who is not the only one in that direction, or waits for others too: `where`."""
        if self.crowd is None:
            self.crowd = []
        self.crowd.append((direction, waiter, where))

    def forget(self, waiter: Any) -> None:
        """The coroutine waits no more."""
        if self.reader is waiter:
            self.reader = None
        if self.writer is waiter:
            self.writer = None
        if self.crowd is not None:
            self.crowd = [entry for entry in self.crowd if entry[1] is not waiter] or None

    @property
    def wanted(self) -> int:
        """READ, WRITE or both, where somebody waits; else 0."""
        wanted = READ if self.reader is not None or self.on_read is not None else 0
        if self.writer is not None or self.on_write is not None:
            wanted |= WRITE
        for direction, _, _ in self.crowd or ():
            wanted |= direction
        return wanted

    def __repr__(self) -> str:
        return f"<Watch of descriptor {self.fd}>"


class Poller(Protocol):
    """What the loop needs."""

    def add(self, watch: Watch) -> None:
        """From now on its edges are reported, what is true already as the first. OSError where
        the descriptor cannot be watched: EBADF, or EPERM for a regular file."""

    def rearm(self, watch: Watch) -> None:
        """Has what is true now reported once more."""

    def discard(self, watch: Watch) -> None:
        """No more reports; the descriptor may be closed already."""

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Waits up to `timeout` seconds, without end if negative: (descriptor, bits) pairs."""

    def close(self) -> None: ...


class EpollPoller:
    """The one for Linux: a system call for each descriptor's life, and one for each poll."""

    _MASK = _IN | _PRI | _OUT | _RDHUP | 1 << 31  # EPOLLET

    def __init__(self, watches: dict[int, Watch]) -> None:
        self._epoll = _epoll()
        self.poll: Callable[[float], list[tuple[int, int]]] = self._epoll.poll

    def add(self, watch: Watch) -> None:
        try:
            self._epoll.register(watch.fd, self._MASK)
        except FileExistsError:  # closed behind our back, and its number used again
            self._epoll.modify(watch.fd, self._MASK)

    def rearm(self, watch: Watch) -> None:
        try:
            self._epoll.modify(watch.fd, self._MASK)
        except FileNotFoundError:
            self._epoll.register(watch.fd, self._MASK)

    def discard(self, watch: Watch) -> None:
        try:
            self._epoll.unregister(watch.fd)
        except OSError:  # closed before: the kernel has forgotten it
            pass

    def close(self) -> None:
        self._epoll.close()


class SelectorPoller:
    """The portable one: level-triggered, told before each poll what somebody waits for. Its cost
    grows with the number of watches."""

    def __init__(self, watches: dict[int, Watch]) -> None:
        self._watches = watches
        self._selector = DefaultSelector()

    def add(self, watch: Watch) -> None:
        self._selector.register(watch.fd, READ | WRITE)  # raises where that cannot work
        self._selector.unregister(watch.fd)

    def rearm(self, watch: Watch) -> None:
        pass

    def discard(self, watch: Watch) -> None:
        try:
            self._selector.unregister(watch.fd)
        except (KeyError, ValueError):
            pass

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


def make_poller(watches: dict[int, Watch]) -> Poller:
    """The best one here, for these watches by descriptor, which the caller keeps up to date."""
    if _epoll is not None:
        return EpollPoller(watches)
    return SelectorPoller(watches)
