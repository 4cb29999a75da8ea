"""For tests of programs with coroutines: virtual time, orders, and what has been left behind.

In virtual time a clock of its own is this thread's loop's: nothing takes any time, and when all
wait, time jumps to the next timer. So a test that sleeps for hours is over at once, and always runs
in the same order. What reads another clock, `time.monotonic()` say, does not see it, nor do other
threads; so what comes from outside, from a process or a thread that the loop does not know of, may
come late. `threshold` is for that: so long, in real seconds, nothing must have happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import index
from sys import maxsize
from time import monotonic
from types import TracebackType
from typing import Any
from weakref import WeakSet

from . import _native, deadlock
from .checks import check_number
from .coroutine import Coroutine
from .errors import CoroutineExit, LoopExit
from .loop import get_loop
from .sleeping import idle
from .waiting import WaitQueue

_LONGEST = 86400.0  # real seconds of one sleep in the kernel


class VirtualClock:
    """What virtual_time() makes. As a context manager it is the clock of the calling thread's loop;
    timers that are set keep the time that is left to them, at the beginning and at the end."""

    def __init__(self, start: float, rate: float, autojump: bool, threshold: float) -> None:
        self.autojump = autojump
        self.threshold = _check_positive(threshold, "threshold")
        self._time = check_number(start, "start")  # it was
        self._real = monotonic()  # then
        self._rate = _check_positive(rate, "rate")
        self._loop: Any = None
        self._former: Any = None

    @property
    def now(self) -> float:
        """What time it is, in seconds."""
        if not self._rate:
            return self._time
        return self._time + (monotonic() - self._real) * self._rate

    @property
    def rate(self) -> float:
        """How many seconds pass in a real one. Settable. Errors: TypeError, ValueError for what is
        no number, or negative."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._set(self.now)
        self._rate = _check_positive(rate, "rate")

    def advance(self, seconds: float) -> None:
        """Lets that much time pass, from timer to timer, and all run after each until they wait;
        so in the end they have done what they would have done in that time. Errors: TypeError,
        ValueError for what is no number, or negative; RuntimeError where this is not the clock."""
        end = self.now + _check_positive(seconds, "seconds")
        loop = self._check_in_use()
        wait_all_tasks_blocked()
        while True:
            due = loop._timers.next_due()
            if due is None or due > end:
                break
            self._set(max(due, self._time))
            wait_all_tasks_blocked()
        self._set(end)
        wait_all_tasks_blocked()

    def __enter__(self) -> VirtualClock:
        if self._loop is not None:
            raise RuntimeError("this clock is in use already: make another one")
        loop = self._loop = get_loop()
        self._former = loop.clock, loop.jump
        self._set(self._time)
        loop._timers.shift(self._time - loop.clock())
        loop.clock = self._read
        loop.jump = self._wait
        loop._look_from = 0.0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = self._loop
        if loop is None or not loop.closed:  # run() closes it
            loop = self._check_in_use()
        loop._timers.shift(self._former[0]() - self.now)
        loop.clock, loop.jump = self._former
        self._loop = self._former = None

    def _check_in_use(self) -> Any:
        loop = self._loop
        if loop is None or loop is not get_loop() or loop.clock != self._read:
            raise RuntimeError(
                "this is not the clock of this thread's loop: use it in its `with` block, in the "
                "same thread, and leave clocks in the reverse order of entering them"
            )
        return loop

    def _read(self) -> float:
        return self.now

    def _set(self, time: float) -> None:
        self._time = time
        self._real = monotonic()

    def _wait(self, due: float) -> list[Any]:
        """Instead of the loop's sleep until the next timer is due, at `due`."""
        loop = self._loop
        sleep: Callable[[float], list[Any]] = loop.sleep_in_kernel
        happened = sleep(0.0)
        if happened or loop.ready:
            return happened
        if self.autojump and not loop.foreign:
            until = monotonic() + self.threshold
            while not (happened or loop.ready) and (left := until - monotonic()) > 0:
                happened = sleep(left)
            if not (happened or loop.ready):
                self._set(max(due, self.now))
            return happened
        if self._rate:
            return sleep(min(max(0.0, (due - self.now) / self._rate), _LONGEST))
        if loop.foreign or loop._watches.awaited(loop._wakeup.fd):
            return sleep(-1.0)
        if deadlock.may_be_woken(loop):
            try:
                return sleep(-1.0)
            finally:
                deadlock.awake(loop)
        loop.interrupt_main(
            LoopExit(
                "this would wait forever: virtual time stands still, for its clock has neither "
                "autojump nor a rate, and nobody can run to advance() it"
            )
        )
        return happened

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.now} seconds>"


def virtual_time(
    start: float = 0.0, *, rate: float = 0.0, autojump: bool = True, threshold: float = 0.0
) -> VirtualClock:
    """`with virtual_time() as clock:` the loop's clock begins at `start`, and time passes only
    where all wait (autojump), or by clock.advance(), or at `rate` seconds in a real one. Time does
    not jump while a call is under way in a thread of the loop's, nor before `threshold` real
    seconds in which nothing came in. Errors: TypeError, ValueError for what is no number, or
    negative."""
    return VirtualClock(start, rate, autojump, threshold)


def wait_all_tasks_blocked() -> None:
    """Waits until everybody else in this thread's loop waits for something that has not happened
    yet. No virtual time passes. Where several wait in here, they go on together."""
    idle(-maxsize)


class Sequencer:
    """Blocks in an order: `with sequencer(0):`, `with sequencer(1):` and so on, in any coroutines
    of a thread; each waits until the one before has been left. Where one gives up waiting, or a
    number comes twice, all get RuntimeError. Errors: TypeError, ValueError for what is no
    number from 0."""

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self._next = 0
        self._queues: dict[int, WaitQueue] = {}
        self._broken: str | None = None

    @contextmanager
    def __call__(self, position: int) -> Iterator[None]:
        if index(position) < 0:
            raise ValueError(f"positions count from 0: there is no {position}")
        if position in self._begun:
            self._break(f"position {position} has been used twice")
        self._begun.add(position)
        while position != self._next and self._broken is None:
            try:
                self._queues.setdefault(position, WaitQueue(self)).wait()
            except BaseException:
                self._break(f"position {position} has given up waiting", quietly=True)
                raise
        if self._broken is not None:
            raise RuntimeError(f"the sequence is broken: {self._broken}")
        try:
            yield
        finally:
            self._next += 1
            if self._next in self._queues:
                self._queues.pop(self._next).wake_all()

    def _break(self, why: str, quietly: bool = False) -> None:
        self._broken = self._broken or why
        for queue in self._queues.values():
            queue.wake_all()
        if not quietly:
            raise RuntimeError(f"the sequence is broken: {why}")


@contextmanager
def no_tasks_left() -> Iterator[None]:
    """At the end of the block, nothing that has begun in there must be left in this thread's loop:
    no coroutine, no timer. All may run until they wait, first. Errors: AssertionError, which says
    what is left and where it waits; then those have been killed."""
    loop = get_loop()
    before = WeakSet(_native.thread_suspended())
    timers = {id(timer) for timer in loop._timers}
    yield
    wait_all_tasks_blocked()
    left = [
        one
        for one in _native.thread_suspended()
        if one not in before and one not in (loop, loop.main)
    ]
    lines = [f"{one!r}{_where(one)} waits for {one._wait!r}" for one in left]
    lines += [f"{timer!r}" for timer in loop._timers if id(timer) not in timers]
    for one in left:
        loop.interrupt(one, CoroutineExit())
    if lines:
        wait_all_tasks_blocked()
        raise AssertionError("\n    ".join(["left behind in the loop:", *lines]))


def _where(coroutine: Coroutine) -> str:
    """Outside of this package."""
    frame = coroutine.frame
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return "" if frame is None else f", at {frame.f_code.co_filename}:{frame.f_lineno},"


def _check_positive(seconds: float, what: str) -> float:
    if check_number(seconds, what) < 0:
        raise ValueError(f"{what} must not be negative, as {seconds!r} is")
    return seconds
