"""What the monitor sees of a thread from outside, and how it says so.

All of this runs in the monitor's thread, while the watched one runs: nothing is changed, and what
is found may have changed a moment later. Frames are let go of at once, for with the last reference
to one its locals go, in whichever thread that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from traceback import StackSummary
from typing import Any
from weakref import ref

from .stacks import frame_of_thread, lines_of, own_of, places_of, summary_of

DEPTH = 100  # frames of a stack that are shown

_POLLING = {"selectors", *(f"{__package__}.{name}" for name in ("poller", "watches", "wakeup"))}


@dataclass(slots=True)
class Suspect:
    """Who runs, and has run before in the same turn of the loop. Times are of perf_counter()."""

    coroutine: ref[Any]
    turn: int
    first_seen: float  # when it was seen first, or would have been
    begun: float  # it cannot have begun earlier
    delay: float  # seconds by which that look came late, where these are many
    looked: float  # when that look was, and what the thread had computed by then
    computed: float | None
    tell_next: float = 0.0  # when it is to be told of again
    told: str = ""  # it has been told of, as this

    def is_still(self, running: Any, turn: int) -> bool:
        """Is it the one that runs, and has run since?"""
        return self.turn == turn and self.coroutine() is running

    def busy(self, computed: float | None, now: float) -> float | None:
        """The share of the time since, 0 to 1, that the thread had something to compute."""
        if self.computed is None or computed is None or now <= self.looked:
            return None
        return min(1.0, max(0.0, (computed - self.computed) / (now - self.looked)))


def is_asleep(loop: Any, ident: int) -> bool:
    """Does the loop, which its thread runs, sleep in the kernel? Not where a signal's handler runs
    in its sleep."""
    frame = frame_of_thread(ident)
    while frame is not None and frame.f_globals.get("__name__") in _POLLING:
        frame = frame.f_back
    return frame is not None and frame.f_code is type(loop).sleep_in_kernel.__code__


def is_needed(loop: Any) -> bool:
    """Is there anything for the loop to do, now or later?"""
    others = len(loop.ready) - loop._in_line
    if others > 0 or len(loop._timers) or loop.foreign:
        return True
    own = loop._wakeup.fd
    return any(watch.wanted and fd != own for fd, watch in list(loop._watches._watches.items()))


def stack_of(ident: int) -> StackSummary:
    """What a thread runs now; without the frames of this package that lead to the first of the
    program's own. Empty where the thread has ended."""
    return summary_of(own_of(places_of(frame_of_thread(ident), DEPTH)))


def computed_by(native_id: int) -> float | None:
    """Seconds that the thread has been on a processor, or in line for one; None where the system
    does not say."""
    try:
        numbers = Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()
        return (int(numbers[0]) + int(numbers[1])) / 1e9
    except (OSError, ValueError, IndexError):  # no such thread any more, no Linux, a sandbox
        return None


def who(coroutine: Any, loop: Any) -> str:
    """In words."""
    if coroutine is loop:
        return "a callback of the loop"
    if coroutine is not None and coroutine.parent is None:
        return "the main program"
    return f"{type(coroutine).__name__} {getattr(coroutine, 'name', None)!r}"


def describe(
    suspect: Suspect,
    stack: StackSummary,
    now: float,
    allowed: float,
    loop: Any,
    busy: float | None = None,
) -> list[str]:
    """The report of one that blocks, in lines. `now`: until when."""
    blocked = f"{suspect.told} has blocked its loop for {now - suspect.begun:.3f} s"
    lines = [f"pycoro: {blocked} (allowed: {allowed:g} s)"]
    others = len(loop.ready) - loop._in_line
    if others > 0:
        lines.append(f"  {others:,} ready to run {'waits' if others == 1 else 'wait'} for it")
    if suspect.delay:
        lines.append(
            f"  the monitor itself could not look for {suspect.delay:.3f} s: a call kept the GIL, "
            "or the process stood still"
        )
    if busy is not None:
        lines.append(f"  {say_busy(busy)}")
    return [*lines, "  its stack, most recent call last:", *lines_of(stack)]


def say_busy(busy: float) -> str:
    if busy >= 0.5:
        return f"it computes ({busy:.0%} of the time)"
    return f"it waits in a call that blocks (and computes {busy:.0%} of the time)"


def describe_end(suspect: Suspect, now: float) -> list[str]:
    """The report of one that has blocked and does so no more."""
    seconds = now - suspect.begun
    return [f"pycoro: {suspect.told} has let go of its loop, after about {seconds:.3f} s"]
