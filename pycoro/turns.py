"""When a loop had its turn: what the monitor and assert_switches() go by.

Every round of the ready queue passes the loop's turn, so a coroutine that blocks is one between two
of them. To note when they come costs something in each; so a clock is put in the place of a loop's
turn only while somebody wants to know. That may be another thread, so a clock counts as wanted
before it is put there, and who has taken it away looks whether it is wanted once more.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any


class TurnClock:
    """A loop's. `count` turns have begun, the last one at `began`; `ended` is the end of the last
    that has ended: seconds of time.perf_counter(). `observers`: their turn_begins(now) and
    turn_ends(now) are called in each turn; for the loop's own thread to change."""

    __slots__ = ("_handle", "_look", "_users", "began", "count", "ended", "observers")

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._look = handle.callback
        self._users: list[Any] = []
        self.observers: list[Any] = []
        self.count = 0
        self.began = self.ended = perf_counter()

    def turn(self) -> None:
        """Instead of the loop's own."""
        self.count += 1
        self.began = perf_counter()
        for observer in self.observers:
            observer.turn_begins(self.began)
        try:
            self._look()
        finally:
            self.ended = perf_counter()
            for observer in self.observers:
                observer.turn_ends(self.ended)

    @classmethod
    def of(cls, loop: Any, user: Any) -> TurnClock:
        """The loop's clock, which runs until every `user` has called remove(). From any thread."""
        clock: TurnClock = loop.__dict__.setdefault("turn_clock", cls(loop._turn))
        clock._users.append(user)
        clock._handle.callback = clock.turn
        return clock

    def remove(self, user: Any) -> None:
        """Undoes of(). From any thread."""
        self._users.remove(user)
        if not self._users:
            self._handle.callback = self._look
            if self._users:
                self._handle.callback = self.turn
