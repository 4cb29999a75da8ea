"""Channel: items go from hand to hand, and put() returns when its item has been taken.

Who puts stands in line with an offer, which get() takes. A get() that waits is called when there is
an offer, as in exchange.py. put_nowait() cannot wait until its item is taken: where somebody waits
to get, it leaves an offer with nobody behind it. Should that getter be killed, the offer stays, in
its order, for the next.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .exchange import (
    NOTHING,
    Empty,
    Exchange,
    Full,
    Limit,
    check_blocking,
    claim,
    take_first,
    within,
)
from .loop import get_loop
from .timeout import Timeout
from .waiting import pass_on_until, wake
from .wakeup import defer_interrupt


class _Offer:
    """What stands in line for a put(), and what that waits for. An option of choose() is another
    kind of offer: its claim() fails where something else has been chosen."""

    __slots__ = ("item", "line", "waiter")

    choice = None

    def __init__(self, line: deque[Any], item: Any) -> None:
        self.line = line
        self.item = item
        self.waiter: Any = None  # nobody, for put_nowait()

    def claim(self) -> bool:
        """May it be taken? Not if its putter never goes on: after a fork, the parent's."""
        return self.waiter is None or self.waiter._handle is not None

    def forget(self, waiter: Any) -> bool:
        try:
            self.line.remove(self)
        except ValueError:
            return False
        return True

    def __repr__(self) -> str:
        return f"<put({self.item!r}) of a Channel>"


class Channel(Exchange):
    """A queue without room: put() waits for a get(), get() waits for a put(). First come, first
    served, on both sides. `maxsize` is for programs that pass one: 1. ValueError for another."""

    __slots__ = ()

    def __init__(self, maxsize: int = 1) -> None:
        if maxsize != 1:
            raise ValueError(f"Channels have a maxsize of 1, not {maxsize!r}")
        super().__init__()

    @property
    def balance(self) -> int:
        """How many more wait to put than to get."""
        return len(self.putters) - len(self.getters)

    def qsize(self) -> int:
        """0"""
        return 0

    def empty(self) -> bool:
        """True"""
        return True

    def full(self) -> bool:
        """True"""
        return True

    @defer_interrupt
    def put(self, item: Any, block: bool = True, timeout: Limit = None) -> None:
        """Waits until it is taken. Errors: Full after `timeout` seconds; without `block`, where
        nobody waits to get; ValueError, TypeError for a timeout that is negative or no number. A
        Timeout as `timeout` is raised itself. A kill may come when it has just been taken."""
        if timeout is not None:
            if isinstance(timeout, Timeout):
                within(timeout, self.put, item, block)
                return
            check_blocking(block, timeout)
        if not block:
            self._attempt_put(item)
            return
        loop = get_loop()
        offer = _Offer(self.putters, item)
        offer.waiter = loop.enlist(offer)
        self._join_putters(offer)
        if not pass_on_until(loop, offer.waiter, offer, timeout):
            raise Full

    @defer_interrupt
    def get(self, block: bool = True, timeout: Limit = None) -> Any:
        """Takes the item of who has waited longest to put one, or waits for one. Errors: Empty
        after `timeout` seconds; without `block`, where nobody waits to put; ValueError, TypeError
        for a timeout that is negative or no number."""
        if timeout is not None:
            if isinstance(timeout, Timeout):
                return within(timeout, self.get, block)
            check_blocking(block, timeout)
        if not block or not (self._promised or self.getters):
            item = self._attempt_get()
            if item is not NOTHING:
                return item
        if not block:
            raise Empty
        return self._wait_to_get(timeout)

    def _attempt_get(self, peek: bool = False) -> Any:
        self._forget_parent()
        return self._take() if len(self.putters) > self._promised else NOTHING

    def _take(self) -> Any:
        try:
            while True:
                offer = self.putters.popleft()
                if offer.claim():
                    if offer.waiter is not None:
                        wake(offer.waiter)
                    return offer.item
        except IndexError:
            return NOTHING

    def _join_getters(self, waiter: Any, first: bool = False) -> None:
        if first:
            self.getters.appendleft(waiter)
        else:
            self.getters.append(waiter)
        self._forget_parent()
        self._call_getters()

    def _call_getters(self) -> None:
        while len(self.putters) > self._promised and (getter := self._next_getter()) is not None:
            try:
                self.getters.remove(getter)
            except ValueError:  # another thread has called it, or it waits no more
                continue
            waiter = claim(getter)
            if waiter is not None:
                self._promised += 1
                wake(waiter)

    def _next_getter(self) -> Any:
        """The first in line for whom there is an offer: nobody chooses to take what he offers."""
        for getter in self.getters.copy():
            if getter._thread is not None or any(
                offer.choice is not getter.choice for offer in self.putters.copy()
            ):
                return getter
        return None

    def _accept_get(self, peek: bool = False) -> Any:
        self._promised -= 1  # first: see exchange.py
        return self._take()

    def _attempt_put(self, item: Any) -> None:
        waiter = take_first(self.getters)
        if waiter is None:
            raise Full
        self.putters.append(_Offer(self.putters, item))
        self._promised += 1
        wake(waiter)

    def _join_putters(self, waiter: Any) -> None:
        self.putters.append(waiter)
        self._call_getters()

    def _accept_put(self, item: Any) -> None:
        """It has been taken already."""

    def _decline_put(self) -> None:
        """It has been taken already."""
