"""SimpleQueue, the queue that all others but channels are made of; what is inside is store.py's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from math import inf
from typing import Any

from .exchange import NOTHING, Empty, Full, Limit, check_blocking, within
from .loop import get_loop
from .store import Store
from .timeout import Timeout
from .waiting import pass_on_until
from .wakeup import defer_interrupt


def _limit(maxsize: int | None) -> float:
    """TypeError for what is no number."""
    return inf if maxsize is None or maxsize <= 0 else maxsize


class SimpleQueue(Store):
    """First in, first out; `maxsize` items at most (None, or 0 and less: no limit), `items` from
    the start. Whoever has waited longest gets the next item, or puts the next. Out of where get()
    or put() raises, nothing was taken or put.

    put() never waits where there is no limit, and may then be called in signal handlers and
    finalizers. A subclass may have _init(maxsize[, items]), _qsize(), _put(item), _get() and
    _peek(), as the standard library's and gevent's may; these are called by one thread at a time,
    and must not wait. `queue` is the container of the items.
    """

    __slots__ = ()

    def __init__(
        self, maxsize: int | None = None, items: Iterable[Any] = (), _warn_depth: int = 2
    ) -> None:
        if maxsize == 0:
            warnings.warn(
                "Queue(0) now equivalent to Queue(None); if you want a channel, use Channel",
                DeprecationWarning,
                stacklevel=_warn_depth,
            )
        super().__init__(_limit(maxsize))
        if items:
            self._init(self.maxsize, items)
        else:
            self._init(self.maxsize)
        self._settle()

    @property
    def queue(self) -> Any:
        """The container of the items, those included that somebody has been called for."""
        return self._items

    @queue.setter
    def queue(self, items: Any) -> None:
        self._items = items

    @property
    def maxsize(self) -> int | None:
        """None: no limit. May be set."""
        return None if self._maxsize == inf else self._maxsize  # type: ignore[return-value]

    @maxsize.setter
    def maxsize(self, maxsize: int | None) -> None:
        self._maxsize = _limit(maxsize)
        self._limitless = self._atomic and self._maxsize == inf and not self.is_shutdown
        self._open = False
        self._let_in()

    # ---- how many ----

    def qsize(self) -> int:
        """The number of items, without those that somebody has been called for."""
        return max(0, self._size() - self._promised)

    __len__ = qsize

    def __bool__(self) -> bool:
        return True

    def empty(self) -> bool:
        """Would get_nowait() raise Empty?"""
        return not self.qsize()

    def full(self) -> bool:
        """Would put_nowait() raise Full?"""
        return self._size() + self._reserved >= self._maxsize

    def copy(self) -> Any:
        """Another queue with the same items."""
        return type(self)(self.maxsize, self._items)

    def _format(self) -> str:
        size = "" if self._maxsize == inf else f" maxsize={self.maxsize!r}"
        items = f" queue={self._items!r}" if self._items else ""
        return size + items + super()._format()

    # ---- putting ----

    @defer_interrupt
    def put(self, item: Any, block: bool = True, timeout: Limit = None) -> None:
        """Puts it, as soon as there is room. Errors: Full after `timeout` seconds, or at once
        without `block`; ShutDown; ValueError, TypeError for a timeout that is negative or no
        number, where it might matter. A Timeout as `timeout` is raised itself."""
        self._items.append(item) if self._open else self._put_with_care(item, block, timeout)

    def _put_with_care(self, item: Any, block: bool, timeout: Limit) -> None:
        if timeout is not None:
            if isinstance(timeout, Timeout):
                within(timeout, self._put_with_care, item, block, None)
                return
            check_blocking(block, timeout)
        try:
            self._attempt_put(item)
            return
        except Full:
            if not block:
                raise
        self._wait_to_put(item, timeout)

    @defer_interrupt
    def _wait_to_put(self, item: Any, timeout: float | None) -> None:
        """Gets in line, until there is room. Full where the time is over first."""
        loop = get_loop()
        waiter = loop.enlist(self)
        in_line = False
        try:
            self._join_putters(waiter)
            in_line = True
            if not pass_on_until(loop, waiter, self, timeout):
                raise Full
        except BaseException:
            if not in_line:  # a method for items has raised
                loop._break_off()
            if waiter._wait is None:  # it has been called all the same
                self._decline_put()
            raise
        self._accept_put(item)

    # ---- getting ----

    @defer_interrupt
    def get(self, block: bool = True, timeout: Limit = None) -> Any:
        """Takes the next item, as soon as there is one. Errors: Empty after `timeout` seconds, or
        at once without `block`; ShutDown where there is none and none will come; ValueError,
        TypeError for a timeout that is negative or no number. A Timeout as `timeout` is raised
        itself."""
        if timeout is None:
            try:
                return self._items.popleft() if self._free else self._get_with_care(block, None)
            except IndexError:
                if not self._atomic:  # a subclass's own
                    raise
        return self._get_with_care(block, timeout)

    def peek(self, block: bool = True, timeout: Limit = None) -> Any:
        """Like get(), but leaves the item where it is."""
        return self._get_with_care(block, timeout, peek=True)

    def peek_nowait(self) -> Any:
        """peek(block=False)"""
        return self.peek(False)

    @defer_interrupt
    def _get_with_care(self, block: bool, timeout: Limit, peek: bool = False) -> Any:
        if timeout is not None:
            if isinstance(timeout, Timeout):
                return within(timeout, self._get_with_care, block, None, peek)
            check_blocking(block, timeout)
        if (self._items or self.is_shutdown or not self._atomic) and (
            not block or peek or self.is_shutdown or not (self._promised or self.getters)
        ):
            item = self._attempt_get(peek)
            if item is not NOTHING:
                return item
        if not block:
            raise Empty
        return self._wait_to_get(timeout, peek)
