"""Store: items, the places for them, and who is called for either.

With `_open` anybody may append an item and leave it at that, with `_free` anybody may take one: the
short way of put() and get(), for where nobody waits. To look at that and to do it is one step for
other threads and under tracing: one line, in which the call of a C method comes last.

Who is going to wait gets in line, then closes the short way, and looks for an item after that.
_settle() opens it, looks at the lines after that, and closes it again if need be. So of one who
puts and one who waits, at least one sees the other.

Where a subclass has its own methods for items there is no short way, and `_mutex` makes a look at
the size and a change one step. Else that is done by reserving a place first: see _reserve().
"""

from __future__ import annotations

from _thread import RLock
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Any, ClassVar

from . import _native
from .exchange import NOTHING, Exchange, Full, ShutDown, claim, take_first
from .waiting import wake

_current = _native.current
_ITEM_METHODS = ("_init", "_create_queue", "_qsize", "_put", "_get", "_peek")


class Store(Exchange):
    """The inside of a SimpleQueue; `maxsize` is inf for no limit. It has no items yet: a subclass
    calls _init(), then _settle()."""

    __slots__ = (
        "_free",  # may get() take an item with no look at anything else?
        "_items",
        "_limitless",  # _atomic, no maxsize, and not shut down: there is always room
        "_maxsize",
        "_mutex",
        "_open",  # may put() put an item with no look at anything else?
        "_reserved",  # places of those who have been called to put and have not yet come
        "is_shutdown",
    )

    # Is each method for items one step for other threads? Is there a short way?
    _atomic: ClassVar[bool] = True
    _short: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_atomic" in cls.__dict__:
            return
        base: Any = next(one for one in cls.__mro__[1:] if "_atomic" in one.__dict__)
        cls._atomic = base._atomic and all(
            getattr(cls, name) is getattr(base, name) for name in _ITEM_METHODS
        )
        cls._short = cls._atomic if base._atomic else base._short

    def __init__(self, maxsize: float) -> None:
        super().__init__()
        self._maxsize = maxsize
        self._limitless = self._atomic and maxsize == inf
        self._open = self._free = False
        self._reserved = 0
        self._mutex = RLock()
        self._items: Any = None
        self.is_shutdown = False

    # ---- the items: what a subclass may replace ----

    def _init(self, maxsize: int | None, items: Iterable[Any] = ()) -> None:
        self._items = self._create_queue(items)

    def _create_queue(self, items: Iterable[Any] = ()) -> Any:
        return deque(items)

    def _qsize(self) -> int:
        return len(self._items)

    def _put(self, item: Any) -> None:
        self._items.append(item)

    def _get(self) -> Any:
        return self._items.popleft()

    def _peek(self) -> Any:
        return self._items[0]

    def _forget_parent(self) -> None:
        former = self._generation
        super()._forget_parent()
        if former != self._generation:
            self._reserved = 0

    def _size(self) -> int:
        if self._atomic:
            return len(self._items)
        with self._mutex:
            return self._qsize()

    # ---- putting ----

    def _attempt_put(self, item: Any) -> None:
        if self._limitless:
            self._items.append(item)
        elif not self._atomic:
            self._put_alone(item)
        else:
            if self.is_shutdown:
                raise ShutDown
            self._reserved += 1  # as _reserve() does
            if len(self._items) + self._reserved > self._maxsize:
                self._reserved -= 1
                self._forget_parent()
                if not self._reserve():
                    raise Full
            self._reserved -= 1
            # Of another thread, just now: then those who would get the item may have gone already.
            self._refuse_late() if self.is_shutdown else self._items.append(item)
        if self.getters:
            self._call_for_one()
        elif self._open is not self._limitless:
            self._settle()

    def _put_alone(self, item: Any) -> None:
        with self._mutex:
            if self.is_shutdown:
                raise ShutDown
            self._forget_parent()
            if self._qsize() + self._reserved >= self._maxsize:
                raise Full
            self._put(item)

    def _reserve(self) -> bool:
        """Reserves a place. Who reserves, does so first and counts after that: two threads never
        get the same place. But both may give it up; the later one sees that, and tries again."""
        if not self._atomic:
            with self._mutex:
                has_room = self._qsize() + self._reserved < self._maxsize
                self._reserved += has_room
            return has_room
        while True:
            self._reserved += 1
            if len(self._items) + self._reserved <= self._maxsize:
                return True
            self._reserved -= 1
            if len(self._items) + self._reserved >= self._maxsize:
                return False

    def _land(self, item: Any) -> None:
        """Puts the item in the reserved place."""
        if self._atomic:
            self._reserved -= 1
            self._refuse_late() if self.is_shutdown else self._items.append(item)
        else:
            with self._mutex:
                self._reserved -= 1
                if self.is_shutdown:
                    raise ShutDown
                self._put(item)

    def _refuse_late(self) -> None:
        raise ShutDown

    def _join_putters(self, waiter: Any) -> None:
        self.putters.append(waiter)
        self._free = False
        self._let_in()

    def _let_in(self) -> None:
        """Calls as many of those who wait to put as there are free places."""
        while self.putters:
            if not self._reserve():
                if not self.is_shutdown:
                    return
                self._reserved += 1
            waiter = take_first(self.putters)
            if waiter is None:
                self._reserved -= 1
            else:
                wake(waiter)

    def _accept_put(self, item: Any) -> None:
        if self.is_shutdown:
            self._decline_put()
            raise ShutDown
        try:
            self._land(item)
        except BaseException:
            self._let_in()
            raise
        if self.getters:
            self._call_for_one()

    def _decline_put(self) -> None:
        self._reserved -= 1
        self._let_in()

    # ---- getting ----

    def _attempt_get(self, peek: bool = False) -> Any:
        if self._promised:
            self._forget_parent()
        item = self._take(peek, 0 if peek else self._promised)
        if item is NOTHING:
            if self.is_shutdown:
                item = self._take_last(peek, 0 if peek else self._promised)
        elif self.putters:
            self._let_in()
        elif not self._free:
            self._settle()
        return item

    def _take(self, peek: bool, spoken_for: int) -> Any:
        """An item, if there are more than those that others were called for; else NOTHING."""
        if not self._atomic:
            with self._mutex:
                if self._qsize() <= spoken_for:
                    return NOTHING
                return self._peek() if peek else self._get()
        try:
            if len(self._items) > spoken_for:
                return self._peek() if peek else self._get()
        except IndexError:  # another thread has been quicker
            pass
        return NOTHING

    def _take_last(self, peek: bool, spoken_for: int) -> Any:
        """Of a queue that is shut down. An item may have come between the first look and that; none
        comes any more. ShutDown."""
        item = self._take(peek, spoken_for)
        if item is NOTHING:
            raise ShutDown
        return item

    def _join_getters(self, waiter: Any, first: bool = False) -> None:
        if first:
            self.getters.appendleft(waiter)
        else:
            self.getters.append(waiter)
        self._open = self._free = False
        if self._promised:
            self._forget_parent()
        if self._items or self.is_shutdown or not self._atomic:
            self._call_getters()

    def _call_for_one(self) -> None:
        """An item has come: calls the first in line for it."""
        getters = self.getters
        while getters:
            try:
                waiter = getters.popleft()
            except IndexError:  # another thread has been quicker
                break
            here = _current()
            if (
                here is not None
                and here._thread is waiter._thread
                and here._thread.loop is not None
            ):
                if waiter._handle is not None:  # all else in short
                    self._promised += 1
                    waiter._wait = None
                    here._thread.loop.ready.append(waiter)
                    return
            elif (waiter := claim(waiter)) is not None:
                self._promised += 1
                wake(waiter)
                return
        self._settle()

    def _call_getters(self) -> None:
        while self.getters and (self._size() > self._promised or self.is_shutdown):
            waiter = take_first(self.getters)
            if waiter is not None:
                self._promised += 1
                wake(waiter)

    def _accept_get(self, peek: bool = False) -> Any:
        self._promised -= 1  # first: see exchange.py
        try:
            item = self._get() if self._atomic and not peek else self._take(peek, 0)
        except BaseException as error:
            if not (self._atomic and isinstance(error, IndexError)):
                self._call_getters()
                raise
            item = NOTHING  # another thread has been quicker
        if item is NOTHING:
            if self.is_shutdown:
                item = self._take_last(peek, 0)
        elif peek:
            self._call_getters()  # it is still there
        elif self.putters:
            self._let_in()
        return item

    def _settle(self) -> None:
        """Opens the short way where nobody waits."""
        if self.getters or not self._short:
            self._open = self._free = False
            return
        self._open = self._maxsize == inf and not self.is_shutdown
        self._free = not self._promised and not self.putters
        if self.getters or self.putters:  # maybe of another thread, just now
            self._open = self._free = False
            self._call_getters()
            self._let_in()
