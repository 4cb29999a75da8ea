"""The sign of life of a worker process: a time in memory that it shares with its supervisor.

The worker's loop writes down the time, again and again; where the loop stands still, since a task
computes, or blocks, and lets no other run, the time does too. All processes have the same clock
(CLOCK_MONOTONIC). Eight bytes are written at once, so nobody reads a half.
"""

from __future__ import annotations

from mmap import mmap

from .loop import get_loop

_PAGE = 4096


class Heartbeat:
    """Made before the fork, by the supervisor. `interval`: seconds between two beats."""

    __slots__ = ("_interval", "_time")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._time = memoryview(mmap(-1, _PAGE)).cast("d")

    def start(self) -> None:
        """In the worker: beats from now on, for as long as the loop turns."""
        loop = get_loop()
        self._time[0] = loop.clock()
        loop.call_later(self._interval, self.start)

    @property
    def last(self) -> float:
        """When it has beaten last; 0.0 before the first time."""
        return self._time[0]
