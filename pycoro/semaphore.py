"""Semaphores: a counter of what is free, and those who wait for it, in their order.

Names and behaviour are gevent's; see lock.py, where to import them from. They may be used by
coroutines of any threads at once, and by threads without any.

There is no lock in here. What counts is one statement, `counter -= (got := counter > 0)`: CPython
looks for other threads and signals only at calls, jumps back and function entries, so nothing comes
between its halves, not even a tracer, which is called from line to line. Who counts up does so
first, and looks for waiters after that; who waits stands in the queue first, and looks at the
counter after that. What is free is handed to who has waited longest; but who comes in another
thread just when it becomes free may have it first. Nobody is left waiting while something is free.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

from . import _native
from .checks import check_timeout
from .links import check_callback
from .loop import Loop, get_loop
from .waiting import WaitQueue, pass_on_until, wake
from .wakeup import defer_interrupt

_current = _native.current


class _Observer:
    """Stands in the queue, but takes nothing: is told that something is free. `waiter`: a coroutine
    in wait(); else `callback` is called in `loop`, the callback of rawlink()."""

    __slots__ = ("callback", "loop", "owner", "queue", "waiter")

    _handle = True  # it is alive, for WaitQueue.pop()

    def __init__(self, owner: Semaphore, loop: Loop, callback: Any = None) -> None:
        self.owner = owner
        self.queue = owner._line()
        self.loop = loop
        self.callback = callback
        self.waiter: Any = None

    def tell(self) -> None:
        if self.callback is None:
            wake(self.waiter)
        else:
            self.loop.post_threadsafe(self.callback, self.owner)

    def forget(self, waiter: Any) -> bool:
        return self.queue.forget(self)


class _Firm:
    """Stands for the queue in the `_wait` of who must have the semaphore whatever happens: a kill
    or a time limit comes once it has it. Broken off all the same when it is unwound, or when the
    main program is to end (`is_firm` is False then)."""

    __slots__ = ("is_firm", "queue")

    def __init__(self, queue: WaitQueue) -> None:
        self.queue = queue
        self.is_firm = True

    def forget(self, waiter: Any) -> bool:
        return (_current() is waiter or not self.is_firm) and self.queue.forget(waiter)


class Semaphore:
    """`value` can acquire() it until somebody has to release() it; whoever does. `counter` is how
    many can now. `hub` is ignored: gevent's.

    Errors: TypeError, ValueError for a value that is no int, or negative.
    """

    __slots__ = ("__weakref__", "_queue", "_waiters", "counter")

    ownerless = True  # nobody notes who has it: a report has to guess (see holding.py)

    def __init__(self, value: int = 1, hub: Any = None) -> None:
        try:
            self.counter = index(value)
        except TypeError:
            raise TypeError(f"value must be an int, not {type(value).__name__}") from None
        if value < 0:
            raise ValueError(f"semaphore initial value must be >= 0, not {value}")
        self._queue: WaitQueue | None = None  # made when somebody waits: most locks are free
        self._waiters: Any = ()  # of the queue

    def _line(self) -> WaitQueue:
        """The queue. Who releases sees those in it from now on."""
        if self._queue is None:
            new = WaitQueue()
            # In one statement, which no other thread can come in between.
            self._queue = new if self._queue is None else self._queue
        self._waiters = self._queue._waiters
        return self._queue

    @defer_interrupt
    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Takes one, waiting for it `timeout` seconds at most, or not at all with blocking=False.
        Has it got it? Errors: TypeError, ValueError for a timeout that is no time, where it would
        wait."""
        self.counter -= (got := self.counter > 0)
        return got or self._acquire_slowly(blocking, timeout)

    @defer_interrupt
    def __enter__(self) -> bool:
        # Counting down even below 0, and up again, is faster where it succeeds.
        self.counter = counter = self.counter - 1
        if counter < 0:
            Semaphore.release(self)
            Semaphore.acquire(self)
        return True

    @defer_interrupt
    def release(self) -> None:
        """Gives one back, or adds one: to who has waited longest, if anybody waits."""
        self.counter += 1
        if self._waiters:
            self._hand_over()

    @defer_interrupt
    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.counter += 1
        if self._waiters:
            self._hand_over()

    @defer_interrupt
    def _acquire_slowly(self, blocking: bool, timeout: float | None) -> bool:
        if not blocking:
            return False
        if timeout is not None:
            check_timeout(timeout)
        queue = self._line()
        loop = queue.enter()
        waiter = _current()
        if self.counter:  # another thread has released it in between
            self._hand_over()
        try:
            if timeout is None:
                loop.pass_on()
                return True
            return pass_on_until(loop, waiter, queue, timeout)
        except BaseException:
            if waiter._wait is None:  # it has been handed to us all the same
                Semaphore.release(self)
            raise

    @defer_interrupt
    def _acquire_firmly(self) -> BaseException | None:
        """Takes one, and gives back what was to be raised in the waiter meanwhile. Where this
        raises, its wait was broken off, and it has not got one."""
        self.counter -= (got := self.counter > 0)
        if got:
            return None
        queue = self._line()
        loop = get_loop()
        waiter = loop.enlist(_Firm(queue))
        queue.append(waiter)
        if self.counter:
            self._hand_over()
        try:
            loop.pass_on()
        except BaseException as error:
            if waiter._wait is None:
                return error
            raise
        return None

    @defer_interrupt
    def _hand_over(self) -> None:
        """Brings together what is free and those who wait."""
        queue: Any = self._queue
        while self._waiters:
            self.counter -= (got := self.counter > 0)
            if not got:
                return
            while isinstance(waiter := queue.pop(), _Observer):
                waiter.tell()
            if waiter is None:
                self.counter += 1
            else:
                wake(waiter)

    def locked(self) -> bool:
        """Would acquire() wait?"""
        return self.counter <= 0

    def ready(self) -> bool:
        """Would acquire() not wait?"""
        return self.counter > 0

    @defer_interrupt
    def wait(self, timeout: float | None = None) -> int:
        """Waits until it can be acquired, `timeout` seconds at most. How many can do so now: 0,
        where others have been faster, or the time was over first."""
        if self.counter <= 0:
            check_timeout(timeout)
            loop = get_loop()
            where = _Observer(self, loop)
            where.waiter = loop.enlist(where)
            where.queue.append(where)
            if self.counter:
                self._hand_over()
            pass_on_until(loop, where.waiter, where, timeout)
        return self.counter

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Calls it once, with this object, in the loop of the calling thread, soon after it can be
        acquired. It must not wait. TypeError where it is not callable."""
        link = _Observer(self, get_loop(), check_callback(callback))
        link.queue.append(link)
        if self.counter:
            self._hand_over()

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Undoes rawlink(); does nothing where there is nothing to undo."""
        for one in self._line():
            if isinstance(one, _Observer) and one.callback == callback and one.forget(one):
                return

    def linkcount(self) -> int:
        """How many wait for it or are linked to it."""
        return len(self._waiters)

    def _at_fork_reinit(self) -> None:
        """In a forked child: whoever waits does so in the parent."""
        self._queue = None
        self._waiters = ()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} counter={self.counter} links[{len(self._waiters)}] "
            f"{id(self):#x}>"
        )


class BoundedSemaphore(Semaphore):
    """A Semaphore whose counter never gets above `value`: releasing it more often than it was
    acquired is a ValueError."""

    __slots__ = ("_bound",)

    def __init__(self, value: int = 1, hub: Any = None) -> None:
        super().__init__(value, hub)
        self._bound = self.counter

    @defer_interrupt
    def release(self) -> None:
        """Gives one back. Errors: ValueError where nobody has it."""
        self.counter = counter = self.counter + 1
        if counter > self._bound:
            self._refuse()
        if self._waiters:
            self._hand_over()

    @defer_interrupt
    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.counter = counter = self.counter + 1
        if counter > self._bound:
            self._refuse()
        if self._waiters:
            self._hand_over()

    def _refuse(self) -> None:
        self.counter -= 1
        raise ValueError("Semaphore released too many times: nobody has acquired it")


class DummySemaphore:
    """A Semaphore that never runs out, for where none is needed: nothing in it waits."""

    __slots__ = ("__weakref__",)

    def __init__(self, value: int | None = None) -> None:
        pass

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """True"""
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Does nothing."""

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        pass

    def locked(self) -> bool:
        """False"""
        return False

    def ready(self) -> bool:
        """True"""
        return True

    def wait(self, timeout: float | None = None) -> int:
        """1, at once."""
        return 1

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Calls it soon. TypeError where it is not callable."""
        get_loop().post(check_callback(callback), self)

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Does nothing: it is called soon."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {id(self):#x}>"
