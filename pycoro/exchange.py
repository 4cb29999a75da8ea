"""What queues and channels share: a line of those who wait to get and one of those who wait to put.

Items are not handed to a waiter. Who puts an item calls the first in line, and that one takes it
when its turn comes: so an item is never where a kill or a timeout could lose it. `_promised` counts
those who have been called and have not yet come. What they are called for is theirs: who comes
later gets in line behind them. Who is called and does not come calls the next.

No call is lost between threads: who puts, does so first and looks at the line after that; who waits
gets in line first, and looks for an item after that: if there is one, it calls the first in line,
be that itself. Who comes, is not counted as called before it looks for its item. So there may be a
call too many: who finds nothing gets in line again, as the first.

To take a waiter out of a line is one step, and whoever does it wakes it. An option of choose() may
stand there, too: it is taken only if none of the others of the same choice is (see choice.py).
"""

from __future__ import annotations

import queue as _stdlib
import types
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from . import _native
from .checks import check_timeout
from .forks import in_child
from .loop import get_loop
from .timeout import Timeout
from .waiting import pass_on_until
from .wakeup import defer_interrupt

_current = _native.current

Limit = float | Timeout | None  # of a wait

NOTHING: Any = type("NOTHING", (), {"__slots__": (), "__repr__": lambda self: "NOTHING"})()

Empty = _stdlib.Empty
Full = _stdlib.Full

if hasattr(_stdlib, "ShutDown"):
    ShutDown: type[Exception] = _stdlib.ShutDown
else:  # before Python 3.13

    class ShutDown(Exception):  # type: ignore[no-redef]
        """Raised by get() and put() of a queue that has been shut down."""


def check_blocking(block: bool, timeout: float) -> None:
    """ValueError for a timeout that is negative or NaN, TypeError for no number; without `block`
    it is not looked at, as in the standard library."""
    if block:
        check_timeout(timeout)


def within(timeout: Timeout, function: Callable[..., Any], *args: Any) -> Any:
    """As gevent has it, a Timeout may be passed for a number of seconds. When its time is over, it
    is raised itself."""
    Timeout.start_new(timeout)
    try:
        return function(*args)
    finally:
        timeout.cancel()


def claim(waiter: Any) -> Any:
    """The coroutine to be woken for one that has been taken out of a line. None for an option whose
    choice has been made, and for one that never goes on: after a fork, the parent's."""
    thread = waiter._thread
    if thread is None:  # an option of choose()
        return waiter.waiter if waiter.claim() else None
    return waiter if waiter._handle is not None and thread.loop is not None else None


def take_first(line: deque[Any]) -> Any:
    """Takes out who has waited longest, to be woken; None where nobody waits."""
    try:
        while True:
            waiter = claim(line.popleft())
            if waiter is not None:
                return waiter
    except IndexError:
        return None


_generation = 0  # of processes


@in_child
def _after_fork_in_child() -> None:
    global _generation
    _generation += 1


class Exchange:
    """The waiting of get() and put(). Subclasses say what there is to get, and where to put it."""

    __slots__ = ("__weakref__", "_generation", "_promised", "getters", "putters")

    __class_getitem__: ClassVar[Any] = classmethod(types.GenericAlias)

    def __init__(self) -> None:
        self.getters: deque[Any] = deque()  # who waits to get, in their order
        self.putters: deque[Any] = deque()  # who waits to put
        self._promised = 0
        self._generation = _generation

    def _forget_parent(self) -> None:
        """In a forked child: who has been called in the parent does not come."""
        if self._generation != _generation:
            self._generation = _generation
            self._promised = 0

    # ---- what subclasses say; choose() asks them, too ----

    def _attempt_get(self, peek: bool = False) -> Any:
        """An item that nobody has been called for, or NOTHING. ShutDown where none will come."""
        raise NotImplementedError

    def _join_getters(self, waiter: Any, first: bool = False) -> None:
        """It stands in line from now on: at the end, or as the first. Calls whom it can."""
        raise NotImplementedError

    def _call_getters(self) -> None:
        """Calls as many of those in line as there are items that nobody was called for."""
        raise NotImplementedError

    def _accept_get(self, peek: bool = False) -> Any:
        """The item that the running coroutine was called for; NOTHING where another thread has
        been quicker. ShutDown."""
        raise NotImplementedError

    def _decline_get(self) -> None:
        """The running coroutine was called, and does not come."""
        self._promised -= 1
        self._call_getters()

    def _attempt_put(self, item: Any) -> None:
        """Puts it where there is room that nobody has been called for; else Full. ShutDown."""
        raise NotImplementedError

    def _join_putters(self, waiter: Any) -> None:
        """It stands in line from now on. Calls whom it can."""
        raise NotImplementedError

    def _accept_put(self, item: Any) -> None:
        """Puts it where the running coroutine was called to. ShutDown."""
        raise NotImplementedError

    def _decline_put(self) -> None:
        """The running coroutine was called, and does not come."""
        raise NotImplementedError

    # ---- getting, putting, waiting ----

    def get(self, block: bool = True, timeout: Limit = None) -> Any:
        raise NotImplementedError

    def put(self, item: Any, block: bool = True, timeout: Limit = None) -> None:
        raise NotImplementedError

    def get_nowait(self) -> Any:
        """get(block=False)"""
        return self.get(False)

    def put_nowait(self, item: Any) -> None:
        """put(item, block=False)"""
        self.put(item, False)

    def __iter__(self) -> Any:
        """Gets item after item, until one is the class StopIteration itself."""
        return self

    def __next__(self) -> Any:
        item = self.get()
        if item is StopIteration:
            raise StopIteration
        return item

    @defer_interrupt
    def _wait_to_get(self, timeout: float | None, peek: bool = False) -> Any:
        """Gets in line, until there is an item. Empty where the time is over first."""
        waiter = _current()
        loop = None if waiter is None else waiter._thread.loop
        if loop is None or waiter is loop:
            loop = get_loop()
            waiter = loop.enlist(self)  # an error in a callback
        limit = None if timeout is None else loop.clock() + float(timeout)
        waiter._wait = self
        in_line = first = False
        while True:
            try:
                self._join_getters(waiter, first)
                in_line = True
                if limit is None:
                    loop.pass_on()
                elif not pass_on_until(loop, waiter, self, limit - loop.clock()):
                    raise Empty
            except BaseException:
                if not in_line:  # a method for items has raised
                    loop._break_off()
                if waiter._wait is None:  # it has been called all the same
                    self._decline_get()
                raise
            item = self._accept_get(peek)
            if item is not NOTHING:
                return item
            waiter._wait = self
            in_line, first = False, True

    def forget(self, waiter: Any) -> bool:
        """For the loop: it waits no more. False where it has been taken out already."""
        for line in self._lines():
            try:
                line.remove(waiter)
            except ValueError:
                continue
            return True
        return False

    def _lines(self) -> tuple[deque[Any], ...]:
        return self.getters, self.putters

    # ---- for readers ----

    def _format(self) -> str:
        getters = f" getters[{len(self.getters)}]" if self.getters else ""
        putters = f" putters[{len(self.putters)}]" if self.putters else ""
        return getters + putters

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__}{self._format()}>"
