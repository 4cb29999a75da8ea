"""Timers on a heap: what is due next, what is due now.

Timers that are due at the same instant run in the order in which they were made. Cancelling is a
mark, not a search: a cancelled timer stays in the heap until it comes up, or until most of the
heap is such, when it is swept. Times are seconds of the caller's clock; nothing here reads one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any

_SWEEP_FROM = 64  # cancelled ones; fewer are not worth a sweep


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
        """The coroutines that it is for, and other hashable things."""
        waiter = getattr(self, "waiter", None)
        return [thing for thing in (waiter, *self.args) if isinstance(thing, Hashable)]

    def __repr__(self) -> str:
        state = f"at {self.when:.6f}" if self.pending else "over"
        return f"<{type(self).__name__} {state} {self.callback!r}>"


class LightTimer(Timer):
    """One that does not keep a loop at work."""

    __slots__ = ()

    ref = False


class TimerHeap:
    """Timers by the time they are due, then by age."""

    __slots__ = ("_cancelled", "_entries", "_made")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._cancelled = 0  # of those in _entries

    def __len__(self) -> int:
        """How many are still to run."""
        return len(self._entries) - self._cancelled

    def __iter__(self) -> Iterator[Timer]:
        """Those that are still to run, in no order."""
        return (timer for _, _, timer in list(self._entries) if timer.heap is not None)

    def add(self, timer: Timer) -> None:
        """Errors: ValueError where its time is not a number."""
        when = timer.when
        if when != when:  # it would stand in the way of all others
            raise ValueError("a time must be a number of seconds, not NaN")
        self._made += 1
        timer.heap = self
        heappush(self._entries, (when, self._made, timer))

    def next_due(self) -> float | None:
        """When the next one is due; None where there is none."""
        entries = self._entries
        while entries:
            entry = entries[0]
            if entry[2].heap is not None:
                return entry[0]
            heappop(entries)
            self._cancelled -= 1
        return None

    def pop_due(self, now: float) -> Timer | None:
        """Takes out the next one whose time is `now` or earlier; None where there is none."""
        entries = self._entries
        while entries and entries[0][0] <= now:
            timer = heappop(entries)[2]
            if timer.heap is not None:
                timer.heap = None
                return timer
            self._cancelled -= 1
        return None

    def keep(self, subjects: set[Any]) -> None:
        """Drops all timers but those that are for one of these: their waiter, or an argument."""
        for _, _, timer in list(self._entries):
            if timer.heap is not None and subjects.isdisjoint(timer.subjects()):
                timer.cancel()

    def count_cancelled(self) -> None:
        """A timer that is still in here has been cancelled."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_FROM and self._cancelled * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry[2].heap is not None]
            heapify(self._entries)
            self._cancelled = 0
