"""The one cancellable wait under everything that blocks.

wait() suspends the running coroutine, which somebody has to know of: it is told to `where`, which
is woken by wake(), or forgets it when the time is over or an error is raised in it: see
schedule.py. WaitQueue is the usual `where`: first come, first served, for waiters of any thread. A
Watch is another: wait_on() one, wait_any() of several, wait_read() and wait_write() for
descriptors.

Who waits for a condition that another thread may make true has to stand in the queue first, and
look at the condition after that: wait_unless(). A timeout is in seconds, None for no limit; 0 is
over as soon as the others have had their turn; a negative one is refused (gevent takes it as 0).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from errno import EBADF
from select import POLLIN, POLLNVAL, POLLOUT
from select import poll as _poll
from typing import Any
from weakref import ref

from . import _native
from .checks import check_timeout
from .coroutine import BROKEN_OFF
from .loop import Loop, get_loop
from .poller import READ, WRITE
from .timers import Timer
from .wakeup import defer_interrupt
from .watches import Watch

_current = _native.current


class Deadline(Timer):
    """Breaks off a wait. `passed`: it did; a wait that was over before is left alone."""

    __slots__ = ("loop", "passed", "waiter", "where")

    def __init__(self, loop: Loop, seconds: float, waiter: Any, where: Any) -> None:
        super().__init__(loop.clock() + seconds, loop.wake, ())
        self.loop = loop
        self.waiter = waiter
        self.where = where
        self.passed = False

    def run(self) -> None:
        waiter, where = self.waiter, self.where
        if waiter._wait is where and where.forget(waiter):
            self.passed = True
            self.loop.ready.append(waiter)
            waiter._wait = BROKEN_OFF


@defer_interrupt
def pass_on_until(loop: Loop, waiter: Any, where: Any, timeout: float | None) -> bool:
    """After Loop.enlist(): waits to be woken, for `timeout` seconds at most (None: no limit).
    False where the time was over first. Errors: TypeError, ValueError for what is no number,
    or negative."""
    if timeout is None:
        loop.pass_on()
        return True
    try:
        deadline = Deadline(loop, timeout, waiter, where)
        loop.add_timer(deadline)
    except BaseException:  # `timeout` is no time
        waiter._wait = None
        where.forget(waiter)
        raise
    try:
        loop.pass_on()
    finally:
        deadline.cancel()
        deadline.waiter = deadline.where = None  # it may stay in the heap for long
    return not deadline.passed


def wake(waiter: Any) -> None:
    """Loop.wake() of the waiter's loop, from any thread."""
    thread = waiter._thread
    here = _current()
    loop = thread.loop
    if loop is None:  # destroyed; or its thread has ended
        return
    if here is not None and here._thread is thread:
        waiter._wait = None
        loop.ready.append(waiter)
    else:
        loop.wake_from_afar(waiter)


class WaitQueue:
    """Coroutines that wait, in their order; of any threads. `owner`: what they wait for, where a
    report could not tell that from who calls wait(); it must allow weak references."""

    __slots__ = ("_owner", "_waiters")

    def __init__(self, owner: Any = None) -> None:
        self._waiters: deque[Any] = deque()
        # Weak, for the owner has this: it is not to stay until a collection.
        self._owner = None if owner is None else ref(owner)

    @property
    def owner(self) -> Any:
        return None if self._owner is None else self._owner()

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._waiters.copy())

    @defer_interrupt
    def wait(self, timeout: float | None = None) -> bool:
        """Waits to be woken; False where `timeout` seconds were over first. Where it raises, the
        waiter's `_wait` is None if it had been woken all the same."""
        if timeout is not None:
            check_timeout(timeout)
        loop = self.enter()
        if timeout is None:
            loop.pass_on()
            return True
        return pass_on_until(loop, _current(), self, timeout)

    @defer_interrupt
    def wait_unless(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Like wait(), but looks at ready() once it stands in the queue, and does not wait where
        that is true. Who makes it true, in any thread, does so before waking: then none of the two
        misses the other. ready() must neither wait nor raise; it may itself wake those in the
        queue."""
        if timeout is not None:
            check_timeout(timeout)
        loop = self.enter()
        if ready() and self.forget(waiter := _current()):
            waiter._wait = None
        elif timeout is None:
            loop.pass_on()
        else:
            return pass_on_until(loop, _current(), self, timeout)
        return True

    def enter(self) -> Loop:
        """Loop.enlist(), and the running coroutine stands in the queue. For who does more than
        wait() before Loop.pass_on(). RuntimeError in a callback of the loop."""
        waiter = _current()
        loop: Any = None if waiter is None else waiter._thread.loop
        if loop is None or waiter is loop:
            loop = get_loop()
            waiter = loop.enlist(self)
        else:
            waiter._wait = self
        self._waiters.append(waiter)
        return loop  # type: ignore[no-any-return]

    def append(self, waiter: Any) -> None:
        """For who has called Loop.enlist(), and does more than wait() before it waits."""
        self._waiters.append(waiter)

    def pop(self) -> Any:
        """Takes out who has waited longest, to be woken by who calls this; None where nobody
        waits. Those that never go on are passed over: after a fork, the parent's."""
        popleft = self._waiters.popleft
        try:
            while True:
                waiter = popleft()
                if waiter._handle is not None:
                    return waiter
                if waiter._thread is None and waiter.claim():  # an option of choose()
                    return waiter.waiter
        except IndexError:
            return None

    def wake_one(self) -> bool:
        """Wakes who has waited longest; False where nobody waits."""
        waiter = self.pop()
        if waiter is None:
            return False
        wake(waiter)
        return True

    @defer_interrupt
    def wake_all(self) -> None:
        """Wakes all that wait now."""
        waiters = self._waiters
        left = len(waiters)  # those woken in other threads may be back before this is over
        if not left:
            return
        here = _current()
        thread = loop = None
        if here is not None:
            thread = here._thread
            loop = thread.loop
        popleft = waiters.popleft
        try:
            while left:
                left -= 1
                waiter = popleft()
                if loop is not None and waiter._thread is thread:
                    waiter._wait = None
                    loop.ready.append(waiter)
                else:
                    wake(waiter)
        except IndexError:  # another thread has taken some of them
            pass

    def forget(self, waiter: Any) -> bool:
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return False
        return True

    def __repr__(self) -> str:
        owner = self.owner
        return f"<WaitQueue of {len(self._waiters)}>" if owner is None else repr(owner)


@defer_interrupt
def wait_on(watch: Watch, direction: int, timeout: float | None) -> bool:
    """Waits for the next edge; False where `timeout` seconds were over first."""
    loop: Loop = watch.loop
    if direction != READ or watch.reader is not None:
        watch.complicate()  # which may fail
    waiter = loop.enlist(watch)
    if direction == READ and watch.reader is None:
        watch.reader = waiter
    elif direction == WRITE and watch.writer is None:
        watch.writer = waiter
    else:
        watch.join_crowd(direction, waiter, watch)
    if timeout is None:
        loop.pass_on()
        return True
    return pass_on_until(loop, waiter, watch, timeout)


@defer_interrupt
def wait_to_read(watch: Watch) -> bool:
    """wait_on(watch, READ, None) in one piece, for this is what servers do most. False, at once,
    where that is not simple: another thread's watch, or there is a reader already."""
    me = _current()
    loop: Loop = watch.loop
    if me is None or me._thread is not loop._thread or watch.reader is not None or me is loop:
        return False
    watch.reader = me
    me._wait = watch
    loop.pass_on()
    return True


class _Any:
    """Waits for an edge of any of several watches."""

    __slots__ = ("watches",)

    def __init__(self, watches: list[tuple[Watch, int]]) -> None:
        self.watches = watches

    def forget(self, waiter: Any) -> bool:
        for watch, _ in self.watches:
            watch.forget(waiter)
        return True


@defer_interrupt
def wait_any(loop: Loop, watches: list[tuple[Watch, int]], timeout: float | None) -> bool:
    """Waits for an edge of one of these (watch, direction) pairs; False where `timeout` seconds
    were over first."""
    where = _Any(watches)
    waiter = loop.enlist(where)
    try:
        for watch, direction in watches:
            watch.join_crowd(direction, waiter, where)
    except BaseException:  # closed behind our back
        waiter._wait = None
        where.forget(waiter)
        raise
    try:
        return pass_on_until(loop, waiter, where, timeout)
    finally:
        where.forget(waiter)


def wait_read(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | None = None
) -> None:
    """Waits until the descriptor, or object with fileno(), is readable. Errors: `timeout_exc`,
    default TimeoutError, after `timeout` seconds; OSError where it cannot be waited for or is
    closed meanwhile."""
    _wait_level(fileno, READ, timeout, timeout_exc)


def wait_write(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | None = None
) -> None:
    """Like wait_read(), until it is writable."""
    _wait_level(fileno, WRITE, timeout, timeout_exc)


def wait_readwrite(
    fileno: Any, timeout: float | None = None, timeout_exc: BaseException | None = None
) -> None:
    """Like wait_read(), until it is readable or writable."""
    _wait_level(fileno, READ | WRITE, timeout, timeout_exc)


def cancel_wait(fd: Any, error: BaseException | None = None) -> None:
    """Raises the error, default OSError (EBADF), in all that wait for the descriptor, or object
    with fileno(), in the calling thread's loop."""
    loop = get_loop()
    watch = loop._watches.find(fd if isinstance(fd, int) else fd.fileno())
    for waiter in watch.waiters() if watch is not None else ():
        loop.interrupt(waiter, error or OSError(EBADF, "another task has cancelled the wait"))


def _wait_level(
    fileno: Any, direction: int, timeout: float | None, timeout_exc: BaseException | None
) -> None:
    number = fileno if isinstance(fileno, int) else fileno.fileno()
    loop = get_loop()
    deadline = None if timeout is None else loop.clock() + timeout
    kernel = _poll()
    mask = (POLLIN if direction & READ else 0) | (POLLOUT if direction & WRITE else 0)
    kernel.register(number, mask)
    watch: Watch | None = None  # a regular file is always ready, and epoll does not take it
    while not (ready := kernel.poll(0)):  # an edge may have been an earlier one's
        if watch is None or watch.loop is None:  # or the number is another file's by now
            watch = loop.watch(number)
        left = None if deadline is None else max(0.0, deadline - loop.clock())
        if direction == READ | WRITE:
            is_woken = wait_any(loop, [(watch, READ), (watch, WRITE)], left)
        else:
            is_woken = wait_on(watch, direction, left)
        if not is_woken:
            raise TimeoutError("timed out") if timeout_exc is None else timeout_exc
    if ready[0][1] & POLLNVAL:
        raise OSError(EBADF, "the descriptor is closed")
