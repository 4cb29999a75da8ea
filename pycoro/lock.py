"""Locks: who may go on now, and who has to wait for it.

Semaphore, BoundedSemaphore and DummySemaphore are semaphore.py's. RLock is owned by a coroutine;
Condition and Barrier are built on it, with the interface of threading's. A lock that belongs to a
task is released by that task: other tasks of the same thread are others, too.

A coroutine that is killed in Condition.wait(), or runs into a time limit there, gets the exception
once it has the lock again, so that `with condition:` can release it. What ends the main program
(Ctrl-C, LoopExit) does not wait for that.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

from . import _native
from .checks import check_timeout
from .coroutine import Coroutine, current
from .loop import get_loop
from .semaphore import BoundedSemaphore, DummySemaphore, Semaphore
from .waiting import WaitQueue, pass_on_until
from .wakeup import defer_interrupt

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Condition",
    "DummySemaphore",
    "RLock",
    "Semaphore",
]

_current = _native.current


class RLock:
    """A lock that its owner, a coroutine, may acquire again; it is free when it has been released
    as often. `hub` is ignored: gevent's."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner")

    def __init__(self, hub: Any = None) -> None:
        self._block = Semaphore(1)
        self._owner: Coroutine | None = None
        self._count = 0

    @defer_interrupt
    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Takes it, waiting for it `timeout` seconds at most, or not at all with blocking=False.
        Has the running coroutine got it? Errors: TypeError, ValueError for a timeout that is no
        time, where it would wait."""
        me = _current()
        if me is None:
            me = current()
        if self._owner is me:
            self._count += 1
            return True
        block = self._block
        block.counter -= (got := block.counter > 0)
        if got or block._acquire_slowly(blocking, timeout):
            self._owner = me
            self._count = 1
            return True
        return False

    __enter__ = acquire

    @defer_interrupt
    def release(self) -> None:
        """Undoes one acquire(). Errors: RuntimeError where the running coroutine is not the
        owner."""
        if self._owner is not _current() or self._owner is None:
            raise RuntimeError(
                "cannot release un-acquired lock: only its owner can. "
                f"Owner: {self._owner!r} Current: {current()!r}"
            )
        self._count = count = self._count - 1
        if not count:
            self._owner = None
            block = self._block
            block.counter += 1
            if block._waiters:
                block._hand_over()

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.release()

    def locked(self) -> bool:
        """Has somebody acquired it?"""
        return self._count > 0

    # What Condition, and threading's, ask of a lock.

    def _is_owned(self) -> bool:
        return self._owner is not None and self._owner is _current()

    @defer_interrupt
    def _release_save(self) -> int:
        count = self._count
        self._count = 1
        self.release()
        return count

    @defer_interrupt
    def _acquire_restore(self, count: int) -> None:
        error = self._acquire_firmly(count)
        if error is not None:
            try:
                raise error
            finally:
                del error  # it holds this frame

    @defer_interrupt
    def _acquire_firmly(self, count: int) -> BaseException | None:
        """As a Semaphore's."""
        error = self._block._acquire_firmly()
        self._owner = current()
        self._count = count
        return error

    def _at_fork_reinit(self) -> None:
        """In a forked child: it is free."""
        self._block = Semaphore(1)
        self._owner = None
        self._count = 0

    def _blockers(self, waiter: Coroutine) -> list[Coroutine]:
        """For reports."""
        return [] if self._owner is None else [self._owner]

    def __repr__(self) -> str:
        owner = self._owner
        state = "unlocked" if owner is None else f"owner={owner.name!r} count={self._count}"
        return f"<{type(self).__name__} {state} {id(self):#x}>"


class Condition:
    """Waiting for something to become true, which is looked at, and changed, with the lock held:
    threading.Condition's interface. The lock is an RLock where none is given; it may be a Semaphore
    of 1, or anything with acquire() and release()."""

    __slots__ = ("__weakref__", "_lock", "_queue", "acquire", "release")

    def __init__(self, lock: Any = None) -> None:
        self._lock = lock = RLock() if lock is None else lock
        self._queue = WaitQueue()
        self.acquire: Callable[..., bool] = lock.acquire
        self.release: Callable[[], None] = lock.release

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is None or not isinstance(self._lock, RLock) or self._lock._is_owned():
            self.release()  # else wait() was broken off before it had the lock again

    @defer_interrupt
    def wait(self, timeout: float | None = None) -> bool:
        """Releases the lock, waits for notify(), `timeout` seconds at most, and takes the lock
        again, however long that takes. False where the time was over first. Errors: RuntimeError
        where the lock is not held; TypeError, ValueError for a timeout that is no time."""
        self._check_owned("wait")
        check_timeout(timeout)
        loop = self._queue.enter()  # before the lock is released, so that no notify() is missed
        waiter = _current()
        count = self._release()
        try:
            was_notified = pass_on_until(loop, waiter, self._queue, timeout)
        except BaseException:
            if waiter._wait is None:  # notified all the same: that is another's now
                self._queue.wake_one()
            error = self._restore(count)
            if error is not None:  # it must not take the place of the first, a kill, say
                loop.put_off([error])
                del error
            raise
        error = self._restore(count)
        if error is not None:
            try:
                raise error
            finally:
                del error  # it holds this frame
        return was_notified

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """wait() until predicate() is true, `timeout` seconds at most in all. Gives what it said
        last. Errors: as wait()."""
        check_timeout(timeout)
        clock = get_loop().clock
        deadline = None if timeout is None else clock() + timeout
        while not (result := predicate()):
            left = None if deadline is None else deadline - clock()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    @defer_interrupt
    def notify(self, n: int = 1) -> None:
        """Wakes the `n` that have waited longest, or all where there are fewer. They go on once
        they have the lock. Errors: RuntimeError where the lock is not held."""
        self._check_owned("notify")
        for _ in range(n):
            if not self._queue.wake_one():
                break

    def notify_all(self) -> None:
        """notify() of all that wait. Errors: RuntimeError where the lock is not held."""
        self._check_owned("notify")
        self._queue.wake_all()

    notifyAll = notify_all  # noqa: N815  # threading's old name

    def _check_owned(self, what: str) -> None:
        lock = self._lock
        if isinstance(lock, RLock):
            owned = lock._is_owned()
        elif hasattr(lock, "locked"):
            owned = lock.locked()  # by whom, nobody knows
        else:
            owned = not lock.acquire(False)
            if not owned:
                lock.release()
        if not owned:
            raise RuntimeError(f"cannot {what} on un-acquired lock")

    def _release(self) -> int:
        if isinstance(self._lock, RLock):
            return self._lock._release_save()
        self.release()
        return 1

    def _restore(self, count: int) -> BaseException | None:
        """Gives what was to be raised in the waiter meanwhile."""
        lock = self._lock
        if isinstance(lock, RLock):
            return lock._acquire_firmly(count)
        if isinstance(lock, Semaphore):
            return lock._acquire_firmly()
        lock.acquire()
        return None

    def _blockers(self, waiter: Coroutine) -> list[Coroutine]:
        """For reports: of who has been woken, and wants the lock back."""
        lock = self._lock
        if isinstance(lock, RLock) and waiter in list(lock._block._waiters):
            return lock._blockers(waiter)
        return []

    def _at_fork_reinit(self) -> None:
        """In a forked child: it is free, and whoever waits does so in the parent."""
        self._lock._at_fork_reinit()
        self._queue = WaitQueue()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lock!r} waiting[{len(self._queue)}]>"


class _Round:
    """Those that meet at a Barrier."""

    __slots__ = ("arrived", "broken", "over")

    def __init__(self) -> None:
        self.arrived = 0
        self.over = False
        self.broken = False

    def is_settled(self) -> bool:
        return self.over or self.broken


class Barrier:
    """Where `parties` coroutines wait for each other, again and again: threading.Barrier's
    interface. `action` is called by the last one before they go on; `timeout`, in seconds, is
    wait()'s default. Errors: ValueError for fewer than one."""

    __slots__ = ("__weakref__", "_action", "_condition", "_parties", "_round", "_timeout")

    def __init__(
        self,
        parties: int,
        action: Callable[[], Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        if parties < 1:
            raise ValueError(f"parties must be > 0, not {parties}")
        if action is not None and not callable(action):
            raise TypeError(f"action must be callable, not {type(action).__name__}")
        check_timeout(timeout)
        self._parties = parties
        self._action = action
        self._timeout = timeout
        self._condition = Condition()
        self._round = _Round()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for all the others. Gives each a number from 0 to parties - 1, in the order of
        arrival. Errors: BrokenBarrierError where the barrier is broken, or becomes so: by abort()
        or reset(), by an exception in one that waits or in `action`, or as the time was over first.
        Where `action` fails, the one that called it gets that error."""
        if timeout is None:
            timeout = self._timeout
        with self._condition:
            round = self._round
            if round.broken:
                raise BrokenBarrierError("the barrier is broken: reset() it")
            number = round.arrived
            round.arrived += 1
            try:
                if round.arrived == self._parties:
                    if self._action is not None:
                        self._action()
                    round.over = True
                    self._round = _Round()
                    self._condition.notify_all()
                else:
                    self._condition.wait_for(round.is_settled, timeout)
            finally:
                if not round.over:
                    self._break(round)
            if round.broken:
                raise BrokenBarrierError("the barrier was broken while waiting")
            return number

    def _break(self, round: _Round) -> None:
        round.broken = True
        self._condition._queue.wake_all()  # not notify_all(): who is unwound may lack the lock

    def reset(self) -> None:
        """As new: those that wait get BrokenBarrierError."""
        with self._condition:
            former, self._round = self._round, _Round()
            self._break(former)

    def abort(self) -> None:
        """Breaks it, until reset(): those that wait, or come, get BrokenBarrierError."""
        with self._condition:
            self._break(self._round)

    @property
    def parties(self) -> int:
        """How many have to come."""
        return self._parties

    @property
    def n_waiting(self) -> int:
        """How many have come, and wait for the others."""
        round = self._round
        return 0 if round.broken else round.arrived

    @property
    def broken(self) -> bool:
        """Does it need reset()?"""
        return self._round.broken

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"{self.n_waiting} of {self._parties}"
        return f"<{type(self).__name__} {state} {id(self):#x}>"
