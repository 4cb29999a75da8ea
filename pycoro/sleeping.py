"""Letting others run: for a time, for a turn, or until there is nothing else to do."""

from __future__ import annotations

from typing import Any

from . import _native
from .checks import check_number
from .loop import Loop, get_loop
from .timers import Timer
from .wakeup import defer_interrupt

_current = _native.current


class Sleep(Timer):
    """Wakes one that sleeps. It is what that waits for, too."""

    __slots__ = ("loop", "waiter")

    loop: Loop
    waiter: Any

    def __init__(self) -> None:
        """sleep() does it, for a call costs time."""

    def run(self) -> None:
        waiter = self.waiter
        waiter._wait = None
        self.loop.ready.append(waiter)

    def forget(self, waiter: Any) -> bool:
        self.cancel()
        self.waiter = None  # the timer may stay in the heap for long
        return True


class _LightSleep(Sleep):
    """One that wait() and Loop.join() do not wait for."""

    __slots__ = ()

    ref = False


@defer_interrupt
def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Lets the others run for that long: 0 for one turn each. With ref=False, a wait() for all
    there is to do does not wait for it. Errors: ValueError if negative or NaN; OverflowError
    for an int that is too large, as time.sleep()."""
    me = _current()
    if me is None or me._thread.loop is None:
        get_loop()
        me = _current()
    loop: Loop = me._thread.loop
    if seconds == 0:
        loop.enlist(None)
        loop.ready.append(me)
        loop._look_from = 0.0  # the loop is one of the others
        loop.pass_on()
        return
    try:
        if not seconds > 0:  # nor is NaN
            raise ValueError(f"the length of a sleep must be non-negative, not {seconds!r}")
    except TypeError:
        raise TypeError(f"a sleep takes seconds, not {type(seconds).__name__}") from None
    timer = Sleep() if ref else _LightSleep()
    try:
        timer.when = loop.clock() + seconds
    except OverflowError:
        check_number(seconds, "a sleep")
    timer.callback = None
    timer.args = ()
    timer.loop = loop
    timer.waiter = me
    loop.enlist(timer)
    loop._timers.add(timer)
    loop.pass_on()


@defer_interrupt
def idle(priority: int = 0) -> None:
    """Waits until there is nothing else to do: no task is ready, no timer is due, no descriptor
    that somebody waits for is ready. Of several that wait so, those of the highest priority go on
    first. Errors: TypeError where that is not an int."""
    if not isinstance(priority, int):
        raise TypeError(f"the priority must be an int, not {type(priority).__name__}")
    loop = get_loop()
    waiter = loop.enlist(loop.idlers)
    loop.idlers.add(priority, waiter)
    loop.pass_on()
