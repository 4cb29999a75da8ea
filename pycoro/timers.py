"""Timers: what is due next, what is due now.

Timers that are due at the same instant run in the order in which they were made. Cancelling is a
mark, not a search: a cancelled timer stays until it comes up, or until most of them are such, when
they are swept. Times are seconds of the caller's clock; nothing here reads one.

Time is cut into ticks. The timers of the next tick are on a heap, those of a later one in a list as
they came: in a heap of a hundred thousand, taking one out means a dozen cache misses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import chain
from math import floor
from typing import Any
from weakref import ReferenceType

_SWEEP_FROM = 64  # cancelled ones; fewer are not worth a sweep
_TICKS = 256  # in a second
_FOREVER = float("inf")  # the tick after all others

Entry = tuple[float, int, "Timer"]
"""When it is due, its age, and itself: compared by the first two."""


class Timer:
    """A call at a time. `when`: seconds of the heap's clock; `cancel()` at any time."""

    __slots__ = ("args", "callback", "heap", "when")

    ref = True  # does Loop.join() wait for it?

    def __init__(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback: Callable[..., Any] | None = callback
        self.args = args
        self.heap: TimerHeap | None = None  # that it is in

    def cancel(self) -> None:
        """It will not run. Does nothing once it has run, or the second time."""
        self.callback = None
        self.args = ()
        heap, self.heap = self.heap, None
        if heap is not None:
            heap.count_cancelled()

    @property
    def pending(self) -> bool:
        """Is it still to run?"""
        return self.heap is not None

    def run(self) -> None:
        """What happens when it is due. Called by the loop."""
        if self.callback is not None:
            self.callback(*self.args)

    def subjects(self) -> Iterable[Any]:
        """The coroutines that it is for, also those it has but weak references to, and other
        hashable things."""
        things = (getattr(self, "waiter", None), *self.args)
        things = tuple(thing() if isinstance(thing, ReferenceType) else thing for thing in things)
        return [thing for thing in things if isinstance(thing, Hashable)]

    def __repr__(self) -> str:
        state = f"at {self.when:.6f}" if self.pending else "over"
        return f"<{type(self).__name__} {state} {self.callback!r}>"


class LightTimer(Timer):
    """One that does not keep a loop at work."""

    __slots__ = ()

    ref = False


class TimerHeap:
    """Timers by the time they are due, then by age."""

    __slots__ = ("_cancelled", "_later", "_made", "_next", "_tick", "_ticks", "count")

    def __init__(self) -> None:
        self.count = 0  # of all, and of them ...
        self._cancelled = 0
        self._made = 0
        self._next: list[Entry] = []  # a heap: those of _tick, which is before all others
        self._tick: float = -_FOREVER
        self._later: dict[float, list[Entry]] = {}  # by their ticks
        self._ticks: list[float] = []  # a heap of those

    def __len__(self) -> int:
        """How many are still to run."""
        return self.count - self._cancelled

    def __iter__(self) -> Iterator[Timer]:
        """Those that are still to run, in no order."""
        return (timer for _, _, timer in self._all() if timer.heap is not None)

    def _all(self) -> list[Entry]:
        # Also for another thread, which looks on: a list is made of the dict in one go.
        return [*self._next, *chain.from_iterable(list(self._later.values()))]

    def add(self, timer: Timer) -> None:
        """Errors: ValueError where its time is not a number."""
        when = timer.when
        try:
            tick: float = floor(when * _TICKS)
        except OverflowError:  # infinite
            tick = _FOREVER if when > 0 else -_FOREVER
        except ValueError:
            raise ValueError("a time must be a number of seconds, not NaN") from None
        self._made += 1
        self.count += 1
        timer.heap = self
        entry = (when, self._made, timer)
        if tick > self._tick:
            bucket = self._later.get(tick)
            if bucket is not None:
                bucket.append(entry)
            else:
                self._later[tick] = [entry]
                heappush(self._ticks, tick)
        elif tick == self._tick:
            heappush(self._next, entry)
        else:
            if self._next:
                self._later[self._tick] = self._next
                heappush(self._ticks, self._tick)
            self._next = [entry]
            self._tick = tick

    def _advance(self, last: float) -> bool:
        """Those of the next tick are on; there are none any more of the one before. False where
        that is after `last`."""
        ticks = self._ticks
        if ticks and ticks[0] <= last:
            self._tick = heappop(ticks)
            self._next = self._later.pop(self._tick)
            heapify(self._next)
            return True
        return False

    def next_due(self) -> float | None:
        """When the next one is due; None where there is none."""
        while self._next or self._advance(_FOREVER):
            entry = self._next[0]
            if entry[2].heap is not None:
                return entry[0]
            heappop(self._next)
            self.count -= 1
            self._cancelled -= 1
        return None

    def pop_due(self, now: float) -> Timer | None:
        """Takes out the next one whose time is `now` or earlier; None where there is none."""
        while self._next or self._advance(now * _TICKS):
            if self._next[0][0] > now:
                return None
            timer = heappop(self._next)[2]
            self.count -= 1
            if timer.heap is not None:
                timer.heap = None
                return timer
            self._cancelled -= 1
        return None

    def run_due(self, now: float, fail: Callable[[Timer, BaseException], None]) -> None:
        """Runs those whose time is `now` or earlier, one after another, but not one for
        `now` that has been made meanwhile: where time stands still, there might be no end of these.
        fail(timer, error) is called for one that raises."""
        last = self._made
        while self._next or self._advance(now * _TICKS):
            entries = self._next
            when, age, _ = entries[0]
            if when >= now and (when > now or age > last):
                return
            timer = heappop(entries)[2]
            self.count -= 1
            if timer.heap is None:
                self._cancelled -= 1
                continue
            timer.heap = None
            try:
                timer.run()
            except BaseException as error:
                fail(timer, error)

    def keep(self, subjects: set[Any]) -> None:
        """Drops all timers but those that are for one of these: their waiter, or an argument."""
        for timer in list(self):
            if subjects.isdisjoint(timer.subjects()):
                timer.cancel()

    def shift(self, seconds: float) -> None:
        """The clock has been set forward by that much: all are due after as long as before."""
        timers = [timer for _, _, timer in sorted(self._all(), key=_age) if timer.heap is not None]
        self.__init__()  # type: ignore[misc]
        for timer in timers:
            timer.when += seconds
            self.add(timer)

    def count_cancelled(self) -> None:
        """A timer that is still in here has been cancelled."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_FROM and self._cancelled * 2 > self.count:
            self._sweep()

    def _sweep(self) -> None:
        self._next[:] = _pending(self._next)
        heapify(self._next)
        self._later = {
            tick: pending for tick, bucket in self._later.items() if (pending := _pending(bucket))
        }
        self._ticks[:] = self._later
        heapify(self._ticks)
        self.count = len(self._next) + sum(map(len, self._later.values()))
        self._cancelled = 0


def _pending(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry[2].heap is not None]


def _age(entry: Entry) -> int:
    return entry[1]
