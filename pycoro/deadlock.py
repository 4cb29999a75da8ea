"""When nothing can run any more: can another thread or a signal still change that, and if not, the
report of who waits for what.

A thread's loop that would sleep without end, with no timer and no descriptor to wait for, asks here
first. Other threads may wake it: all but those that sleep in the same way, and idle workers. So
when the last one falls asleep, or ends, it is noticed.
"""

from __future__ import annotations

import signal
from _thread import _count as _count_threads
from collections.abc import Iterable
from time import sleep as nap
from typing import Any

from .wakeup import is_main_thread, is_own_handler

_asleep: set[Any] = set()  # loops that only another thread can wake
_idle: set[Any] = set()  # workers that wait for work


def may_be_woken(loop: Any) -> bool:
    """Can anybody outside of the thread wake the loop? Then it counts as asleep, until awake(),
    unless a signal may wake it: then it may itself wake others."""
    if is_main_thread() and _has_signal_handler():
        return True
    _asleep.add(loop)  # first, so that of two threads at least one sees the other
    if not _is_anybody_awake():
        nap(0.001)  # a thread that has just been made is counted once it has had its turn
        if not loop.ready and not _is_anybody_awake():
            _asleep.discard(loop)
            return False
    return True


def _is_anybody_awake() -> bool:
    """In another thread. A loop that has something ready is about to wake up."""
    asleep = sum(not loop.ready for loop in list(_asleep))
    others: int = _count_threads() - (asleep - 1) - len(_idle)
    return others > 0


def awake(loop: Any) -> None:
    _asleep.discard(loop)


def leave(loop: Any) -> None:
    """The thread ends: those that sleep look again whether anybody is left to wake them."""
    _asleep.discard(loop)
    for other in list(_asleep):
        other.call_soon_threadsafe(_nothing)


def set_idle(worker: Any, idle: bool) -> None:
    """A thread of ours waits for work; it wakes nobody then."""
    if idle:
        _idle.add(worker)
    else:
        _idle.discard(worker)


def after_fork() -> None:
    """The other threads are not here."""
    _asleep.clear()
    _idle.clear()


def _nothing() -> None:
    pass


def _has_signal_handler() -> bool:
    """A Python function that may well set an event."""
    handlers = map(signal.getsignal, signal.valid_signals())
    return any(callable(handler) and not is_own_handler(handler) for handler in handlers)


def explain(waiting: Iterable[Any]) -> str:
    """What LoopExit says. `waiting`: the suspended coroutines of the thread."""
    return (
        "this would wait forever: no task can run, no timer is set and no descriptor is "
        "waited for, so nothing can ever wake the main program"
    )
