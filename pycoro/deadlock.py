"""When nothing can run any more: can another thread or a signal still change that, and if not, the
report of who waits for what.

A thread's loop that would sleep without end, with no timer and no descriptor to wait for, asks here
first. Other threads may wake it: all but those that sleep in the same way, and idle workers. So
when the last one falls asleep, or ends, it is noticed; of a thread that never had a loop, seconds
later.

report() is for any time: who waits in this thread, and who waits for each other. It begins with
rings, for these are what has to be solved; those that wait for the same thing at the same place are
one line, and it never gets longer than a page.
"""

from __future__ import annotations

import os
import signal
import threading
from _thread import _count as _count_threads
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from time import sleep as nap
from typing import Any

from . import _native
from .coroutine import Coroutine, current
from .waits import Wait, describe, look, name_of, rings
from .wakeup import is_main_thread, is_own_handler

_current = _native.current

_asleep: set[Any] = set()  # loops that only another thread can wake
_idle: set[Any] = set()  # workers that wait for work
_gone = 0  # threads that are still counted, though a fork has left them behind

LOOK_AGAIN = 3.0  # seconds: a thread without a loop does not say that it ends
_PATIENCE = 100  # milliseconds, for a thread to begin
_known_uncounted = 0  # threads that never do


def may_be_woken(loop: Any) -> bool:
    """Can anybody outside of the thread wake the loop? Then it counts as asleep, until awake(),
    unless a signal may wake it: then it may itself wake others."""
    if is_main_thread() and _has_signal_handler():
        return True
    _asleep.add(loop)  # first, so that of two threads at least one sees the other
    for turn in range(_PATIENCE):
        uncounted = _count_uncounted()  # before the rest: it may begin, and end, in between
        if _is_anybody_awake() or loop.ready:
            return True
        if uncounted <= _known_uncounted or turn == _PATIENCE - 1:
            _note_uncounted(uncounted)
            break
        nap(0.001)
    _asleep.discard(loop)
    return False


def _is_anybody_awake() -> bool:
    """In another thread. A loop that has something ready is about to wake up."""
    asleep = sum(not loop.ready for loop in list(_asleep))
    others: int = _count_threads() - _gone - (asleep - 1) - len(_idle)
    return others > 0


def _count_uncounted() -> int:
    """How many threads the kernel knows that the interpreter does not count: a new one, until it
    runs for the first time; and a library's, which have nothing to do with us."""
    try:
        return len(os.listdir("/proc/self/task")) - _count_threads() - 1  # noqa: PTH208
    except OSError:
        return 0


def _note_uncounted(number: int) -> None:
    """They have had their time to begin: they are a library's."""
    global _known_uncounted
    _known_uncounted = number


def awake(loop: Any) -> None:
    _asleep.discard(loop)


def leave(loop: Any) -> None:
    """The thread ends: those that sleep look again whether anybody is left to wake them."""
    _asleep.discard(loop)
    _look_again()


def set_idle(worker: Any, idle: bool) -> None:
    """A thread of ours waits for work; it wakes nobody then."""
    if idle:
        _idle.add(worker)
        _look_again()
    else:
        _idle.discard(worker)


def after_fork() -> None:
    """The other threads are not here."""
    global _gone
    _gone = _count_threads()
    _asleep.clear()
    _idle.clear()
    _note_uncounted(0)


def _look_again() -> None:
    for other in list(_asleep):
        other.post_threadsafe(_nothing)


def _nothing() -> None:
    pass


def _has_signal_handler() -> bool:
    """A Python function that may well set an event."""
    handlers = map(signal.getsignal, signal.valid_signals())
    return any(callable(handler) and not is_own_handler(handler) for handler in handlers)


# ---- the report ----

_MOST_LOOKED_AT = 2000  # coroutines; more are counted
_MOST_SHOWN = 12  # of a list
_MOST_RINGS = 3


def explain(waiting: Iterable[Any]) -> str:
    """What LoopExit says. `waiting`: the suspended coroutines of the thread."""
    text = (
        "this would wait forever: no task can run, no timer is set and no descriptor is "
        "waited for, so nothing can ever wake the main program"
    )
    try:
        thread = _current()._thread
        others = [loop.main for loop in list(_asleep)]
        return f"{text}\n{_describe([thread.main, *others, *waiting], thread)}"
    except Exception as error:  # people's own objects are looked at
        return f"{text} (and who waits for what could not be found out: {error!r})"


def report() -> str:
    """Who waits for what in the calling thread, since where, and who of them wait for each other;
    with those of other threads that these wait for. For people: at most a page or two."""
    thread = current()._thread
    return _describe([thread.main, *_native.thread_suspended()], thread)


def _describe(coroutines: Iterable[Any], thread: Any) -> str:
    chosen = [one for one in dict.fromkeys(coroutines) if one is not one._thread.loop]
    waits = look(chosen[:_MOST_LOOKED_AT], 2 * _MOST_LOOKED_AT)
    names = _Names(waits, thread)
    lines: list[str] = []
    told: set[Any] = set()  # and those that are about to go on
    for loop in {wait.coroutine._thread.loop for wait in waits} - {None}:
        told.update(loop.ready)
    for ring in islice(rings(waits), _MOST_RINGS):
        several = f"These {len(ring)} wait for each other:"
        lines.append(several if len(ring) > 1 else "This one waits for itself:")
        lines += _list([[wait] for wait in ring], names)
        told.update(wait.coroutine for wait in ring)
    groups: dict[Any, list[Wait]] = {}
    for wait in waits:
        if wait.coroutine not in told:
            groups.setdefault(wait.key, []).append(wait)
    more = max(0, len(chosen) - _MOST_LOOKED_AT)
    count = sum(map(len, groups.values())) + more
    if count or not lines:
        also = " also" if lines else ""
        lines.append(f"{count:,}{also} wait{'s' if count == 1 else ''}{':' if count else ''}")
    lines += _list(list(groups.values()), names)
    if more:
        lines.append(f"    and {more:,} more, not looked at")
    return "\n".join(lines)


def _list(groups: list[list[Wait]], names: _Names) -> list[str]:
    lines = []
    for group in groups[:_MOST_SHOWN]:
        wait = group[0]
        what = f"in {wait.call}()" if wait.call else "for a switch()"
        if isinstance(wait.thing, Coroutine):
            what += f" of {names.of([wait.thing])}"
        elif wait.thing is not None:
            what += f" of {describe(wait.thing)}"
        verb = "waits" if len(group) == 1 else "wait"
        lines.append(f"    {names.of([one.coroutine for one in group])} {verb} {what}")
        if wait.place:
            lines.append(f"        at {wait.place}")
        is_named = wait.blockers == [wait.thing] or hasattr(wait.thing, "names_blockers")
        if wait.blockers and not is_named:
            lines.append(f"        held by {names.of(wait.blockers)}")
    left = groups[_MOST_SHOWN:]
    if left:
        lines.append(f"    and {sum(map(len, left)):,} more at {len(left):,} other places")
    return lines


class _Names:
    """What to call coroutines: by kind and name, and where that is not enough, more."""

    def __init__(self, waits: list[Wait], thread: Any) -> None:
        self._thread = thread
        self._count = Counter(name_of(wait.coroutine) for wait in waits)

    def of(self, coroutines: list[Any]) -> str:
        """Of one, or of several that do the same."""
        one = coroutines[0]
        name = name_of(one)
        if len(coroutines) > 1:
            name += f" and {len(coroutines) - 1:,} more"
        elif self._count[name] > 1 and one._parent is not None:
            name += f" {id(one):#x}"
        if one._thread is not self._thread:
            name += f" of thread {_name_of_thread(one._thread)!r}"
        return name


def _name_of_thread(thread: Any) -> Any:
    for one in list(getattr(threading, "_active", {}).values()):  # enumerate() may have to wait
        if one.ident == thread.ident:
            return one.name
    return thread.ident
