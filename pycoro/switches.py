"""Does a block of code ever wait, and how long does the thread run without that? For tests.

While somebody asks, the loop's pass_on() is one that looks at the clock, and so is its turn
(turns.py). A plain switch() between two coroutines is no wait: the others get no turn by it.
"""

from __future__ import annotations

from time import perf_counter
from types import TracebackType

from .blocking import who
from .checks import check_seconds
from .coroutine import current
from .loop import Loop, get_loop
from .turns import TurnClock
from .wakeup import defer_interrupt


class FailedToSwitch(AssertionError):
    """The block of assert_switches() ran for too long without waiting, or never waited."""


class _Stretches:
    """A loop's: stretches of time between two waits, and between two turns of the loop, told to
    those who ask. There is one while anybody does."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._clock = TurnClock.of(loop, self)
        self._clock.observers.append(self)
        self._mark = perf_counter()  # the last switch
        self._turn = self._mark  # the last turn's end
        self.asking: list[assert_switches] = []
        loop.__dict__["pass_on"] = self.pass_on

    @classmethod
    def of(cls, loop: Loop) -> _Stretches:
        found: _Stretches | None = loop.__dict__.get("stretches")
        if found is None:
            found = loop.__dict__["stretches"] = cls(loop)
        return found

    def end(self) -> None:
        del self._loop.__dict__["pass_on"], self._loop.__dict__["stretches"]
        self._clock.observers.remove(self)
        self._clock.remove(self)

    @defer_interrupt
    def pass_on(self) -> None:
        """Instead of the loop's own."""
        self.cut()
        try:
            type(self._loop).pass_on(self._loop)
        finally:
            self.cut()

    def cut(self) -> None:
        """A stretch ends here: what ran has switched."""
        now = perf_counter()
        for one in self.asking:
            one.note_switch(now - max(self._mark, one.since))
        self._mark = now

    def turn_begins(self, now: float) -> None:
        self.cut()
        for one in self.asking:
            one.note_turn(now - max(self._turn, one.since))

    def turn_ends(self, now: float) -> None:
        self._mark = self._turn = now


class assert_switches:  # noqa: N801  # gevent's name
    """A context manager: the block must wait, at least once, so that others get their turn; or
    with `max_blocking_time`, the thread must not run for longer than that, in seconds, without
    a wait, or without the loop having its turn if `hub_only`. Else FailedToSwitch is raised at its
    end, an AssertionError, unless the block itself raises something. Time that the loop sleeps does
    not count. Errors: TypeError, ValueError for what is no time."""

    def __init__(self, max_blocking_time: float | None = None, hub_only: bool = False) -> None:
        if max_blocking_time is not None:
            max_blocking_time = check_seconds(max_blocking_time, "max_blocking_time")
        self.max_blocking_time = max_blocking_time
        self.hub_only = hub_only
        self._stretches: _Stretches | None = None
        self.since = 0.0
        self._switches = 0
        self._longest = 0.0

    def __enter__(self) -> assert_switches:
        if self._stretches is not None:
            raise RuntimeError("this assert_switches() has been entered already: make another")
        self._switches, self._longest = 0, 0.0
        self._stretches = _Stretches.of(get_loop())
        self._stretches.asking.append(self)
        self.since = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stretches, self._stretches = self._stretches, None
        assert stretches is not None
        now = perf_counter()
        if self.hub_only:
            self.note_turn(now - max(stretches._turn, self.since))
        else:
            self._note(now - max(stretches._mark, self.since))
        stretches.asking.remove(self)
        if not stretches.asking:
            stretches.end()
        if kind is None:
            self._judge(now - self.since)

    def note_switch(self, seconds: float) -> None:
        self._switches += 1
        if not self.hub_only:
            self._note(seconds)

    def note_turn(self, seconds: float) -> None:
        if self.hub_only:
            self._note(seconds)

    def _note(self, seconds: float) -> None:
        self._longest = max(self._longest, seconds)

    def _judge(self, passed: float) -> None:
        name = who(current(), get_loop())
        if not self.max_blocking_time:
            if not self._switches:
                raise FailedToSwitch(
                    f"{name} did not wait in this block, which took {passed:.4f} seconds: nothing "
                    "else could run in the meantime"
                )
        elif self._longest > self.max_blocking_time:
            what = "the loop's turn" if self.hub_only else "a wait"
            raise FailedToSwitch(
                f"{self._longest:.4f} seconds without {what} in this block of {name} (allowed: "
                f"{self.max_blocking_time:g} seconds)"
            )
