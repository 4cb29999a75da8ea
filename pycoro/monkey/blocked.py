"""The audit: which calls block the loop in spite of the patches, where, how often and how long.

A monitor looks at the calling thread's loop from outside (monitor.py); what it tells of is added up
here by place: the innermost call of the program's own, and what that has called of the standard
library or of C code. A place is shown with its whole stack the first time. All else is in the
summary, at the end of the process: so that a program which blocks in every request stays readable.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path
from traceback import FrameSummary, StackSummary
from weakref import WeakSet

from .. import monitor
from ..blocking import say_busy
from ..events import EventLoopBlocked
from ..forks import in_child

_STDLIB = str(Path(os.__file__).parent) + os.sep
_OTHERS = ("site-packages", "dist-packages")  # below it
_OURS = str(Path(__file__).parents[1]) + os.sep
_MOST_SHOWN = 20  # places of a summary

_audits: WeakSet[Audit] = WeakSet()


class Place:
    """Where a loop was blocked: `where` in words; `count` times, `seconds` in all, `longest`;
    `busy`: the share of it, 0 to 1, spent computing, by the last look; None where unknown."""

    __slots__ = ("busy", "count", "longest", "seconds", "where")

    def __init__(self, where: str) -> None:
        self.where = where
        self.count = 0
        self.seconds = self.longest = 0.0
        self.busy: float | None = None

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count:,} times"
        line = f"{times}, {self.seconds:.3f} s in all, {self.longest:.3f} s at the most"
        return f"  {line}: {self.where}" + ("" if self.busy is None else f"\n    {_kind(self)}")

    def __repr__(self) -> str:
        return f"<Place {self.where}: {self.count}>"


def _kind(place: Place) -> str:
    assert place.busy is not None
    return say_busy(place.busy)


class Audit:
    """Of the calling thread's loop, until stop(): what blocks it for more than `seconds`. Told as
    it happens, and summed up at the end of the process, on stderr; or by write(text), which is
    called in the monitor's thread. As a context manager it sums up at the end. `places`: all that
    it found so far. Errors: TypeError, ValueError for what is no time."""

    def __init__(self, seconds: float = 0.1, write: Callable[[str], object] | None = None) -> None:
        self._write = _write_stderr if write is None else write
        self._places: dict[str, Place] = {}
        self._now: tuple[Place, float] | None = None  # what blocks just now
        self._process = os.getpid()
        self._told = False
        self.monitor = monitor.start(seconds, self._note, repeat=float("inf"))
        _audits.add(self)
        atexit.register(self.stop)

    # ---- for users ----

    @property
    def places(self) -> list[Place]:
        """Worst first."""
        return sorted(self._places.values(), key=lambda place: -place.seconds)

    def summary(self) -> str:
        """In lines, for people."""
        limit = f"{self.monitor.threshold:g} s"
        places = [place for place in self.places if place.count]
        if not places:
            return f"pycoro: audit: nothing has blocked the loop for more than {limit}"
        count = sum(place.count for place in places)
        times = "once" if count == 1 else f"{count:,} times"
        where = "at 1 place" if len(places) == 1 else f"at {len(places):,} places"
        lines = [f"pycoro: audit: the loop was blocked for more than {limit} {times}, {where}:"]
        lines += map(str, places[:_MOST_SHOWN])
        if len(places) > _MOST_SHOWN:
            lines.append(f"  and at {len(places) - _MOST_SHOWN:,} more")
        return "\n".join(lines)

    def stop(self) -> None:
        """Sums up, and looks no more. Does nothing the second time."""
        self.monitor.stop()
        atexit.unregister(self.stop)
        _audits.discard(self)
        self._settle()
        if not self._told and (self._process == os.getpid() or self._places):
            self._told = True
            self._write(self.summary())

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # ---- in the monitor's thread ----

    def _note(self, event: EventLoopBlocked) -> None:
        if event.over:
            if self._now is not None:
                self._now = (self._now[0], event.blocking_time)
            self._settle()
            return
        self._settle()
        where = describe(event.stack)
        is_new = where not in self._places
        place = self._places.setdefault(where, Place(where))
        place.busy = event.busy
        self._now = (place, event.blocking_time)
        if is_new:
            self._write(str(event))

    def _settle(self) -> None:
        now, self._now = self._now, None
        if now is not None:
            now[0].add(now[1])

    def _after_fork(self) -> None:
        """In the child, which has blocked nothing yet."""
        self._places = {}
        self._now = None


def describe(stack: StackSummary) -> str:
    """The innermost call of the program's own, and the one in which it is."""
    if not stack:
        return "a place unknown"
    innermost = stack[-1]
    own = next((call for call in reversed(stack) if not _is_library(call)), innermost)
    if own is innermost:
        return _line(own)
    return f"{_line(own)}, in a call that leads to {_line(innermost)}"


def _is_library(call: FrameSummary) -> bool:
    path = call.filename
    if path.startswith(_STDLIB):
        return not path.startswith(_OTHERS, len(_STDLIB))
    return path.startswith(("<frozen ", _OURS))


def _line(call: FrameSummary) -> str:
    source = f": {call.line}" if call.line else ""
    return f"{call.filename}:{call.lineno} in {call.name}{source}"


def _write_stderr(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@in_child
def _after_fork() -> None:
    for audit in list(_audits):
        audit._after_fork()
