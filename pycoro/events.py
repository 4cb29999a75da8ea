"""What the library tells of as it happens, to whoever wants to hear it: gevent's `events`.

Append a function to `subscribers`: it is called with each event, an object whose class says what
has happened, in the thread where it happens. An exception of one subscriber keeps the event from
those after it, as with zope.event.
"""

from __future__ import annotations

from collections.abc import Callable
from traceback import StackSummary
from typing import Any

subscribers: list[Callable[[Any], object]] = []


def notify(event: Any) -> None:
    """Tells all subscribers."""
    for subscriber in list(subscribers):
        subscriber(event)


class PeriodicMonitorThreadStartedEvent:
    """A loop has got its monitor: `monitor`, whose add_monitoring_function() is there to be used.
    Told in the loop's thread."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.monitor!r}>"


class EventLoopBlocked:
    """A coroutine, `greenlet`, keeps its loop, `hub`, from its turn: for about `blocking_time`
    seconds until now. `info`: the report in lines, its stack included; subscribers may change it
    before it is shown. `over`: now it has let go. `stack`: where it is, the outermost call first;
    `busy`: the share of that time, 0 to 1, that it had something to compute, or None; these two
    before it is over. str() gives the report. Told in the monitor's thread."""

    def __init__(
        self,
        greenlet: Any,
        blocking_time: float,
        info: list[str],
        *,
        hub: Any = None,
        over: bool = False,
        stack: StackSummary | None = None,
        busy: float | None = None,
    ) -> None:
        self.greenlet = greenlet
        self.blocking_time = blocking_time
        self.info = info
        self.hub = hub
        self.over = over
        self.stack = StackSummary() if stack is None else stack
        self.busy = busy

    def __str__(self) -> str:
        return "\n".join(self.info)

    def __repr__(self) -> str:
        state = "over" if self.over else "going on"
        return (
            f"<{type(self).__name__} by {self.greenlet!r} for {self.blocking_time:.3f} s, {state}>"
        )
