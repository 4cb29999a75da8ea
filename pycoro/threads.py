"""Threads and the end of things: each thread's record, and how coroutines are unwound.

A coroutine that is suspended when its last reference goes, or when its thread or the process ends,
is unwound: CoroutineExit is raised in it, in its own thread, so that its `finally` blocks run. One
that swallows that, suspends itself again and loses its object again, is thrown into once more, then
abandoned: it never goes on, and its frames stay as they are for good. At the end of its thread or
of the process it is abandoned at once. Greenlet (PyPI) instead keeps it, object and frames.
"""

from __future__ import annotations

import atexit
import sys
from _thread import _local as _ThreadLocal  # noqa: N812
from _thread import get_ident as _get_ident  # not the one that names tasks (thread.py)
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import CoroutineExit

if TYPE_CHECKING:
    from .coroutine import Coroutine


class Thread:
    """What a thread's coroutines share. `ended`: none of them goes on any more; `ident`: the
    thread's, by the unpatched _thread.get_ident()."""

    __slots__ = ("ended", "ident", "loop", "main")

    def __init__(self, main: Coroutine) -> None:
        self.main = main
        self.ident = _get_ident()
        self.loop: Any = None  # the scheduler's
        self.ended = False


class _Farewell:
    """Lives in a thread-local, so that it dies with the thread, in the thread. (After a fork, the
    other threads' die in the child: unwind_all() tells them apart.)"""

    __slots__ = ("thread",)

    def __init__(self, thread: Thread) -> None:
        self.thread = thread

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not finalizing():  # then _at_exit() has been here
            end(self.thread)


_local = _ThreadLocal()
_living: set[Thread] = set()


def begin(main: Coroutine) -> None:
    """Makes `main`, which is blank, the main coroutine of the calling thread. MemoryError when
    there is no memory for the thread's signal stack."""
    main._thread = thread = Thread(main)
    _local.farewell = _Farewell(thread)  # first: from then on the thread's end is taken care of
    _native.thread_begin(main)
    _living.add(thread)


def of_this() -> Thread:
    """The calling thread's; it must have begun."""
    thread: Thread = _local.farewell.thread
    return thread


def end(thread: Thread) -> None:
    """The thread is over: unwinds what is suspended, if this is the thread, and parts from it."""
    if thread.ended:
        return
    unwind_all(thread)
    if thread.loop is not None:
        thread.loop.release()
    thread.ended = True
    _living.discard(thread)
    _native.thread_end(thread.main)


def living() -> list[Thread]:
    """Those that have coroutines, of all threads, in no order."""
    return list(_living)


def unwind_all(thread: Thread) -> None:
    """Unwinds every suspended coroutine of the calling thread; does nothing for another's."""
    here = _native.current()
    if here is None or here._thread is not thread:
        return
    # Clean-up code may start new ones, and so on for ever: those that are too many end unheard.
    patience = _native.count_in_use() + 1000
    reap(here)
    while (coroutine := _native.thread_remaining()) is not None:
        patience -= 1
        if patience > 0:
            run_unraisable(_unwind, coroutine, here)
        _native.abandon(coroutine)
        if _native.thread_calls():  # not each time: it looks at all that there are
            reap(here)


def reap(here: Coroutine) -> None:
    """Unwinds those of the calling thread whose last reference went in another thread, or while
    they ran, or without effect; `here` is the running one."""
    while kept := _native.thread_kept():
        kept.reverse()
        while kept:
            run_unraisable(_unwind_kept, kept.pop(), here)
    while (coroutine := _native.thread_orphan()) is not None:
        run_unraisable(_unwind_orphan, coroutine, here)


def _unwind_kept(coroutine: Coroutine, here: Coroutine) -> None:
    if _native.is_suspended(coroutine):  # what another one's clean-up code did may have ended it
        _unwind(coroutine, here)


def bury(coroutine: Coroutine, here: Coroutine) -> None:
    """The last reference to a suspended coroutine has gone; `here` is the running one. What it
    raises goes to sys.unraisablehook, for __del__ is what calls this."""
    if not coroutine._thread.ended:
        _unwind(coroutine, here)


def _unwind(coroutine: Coroutine, here: Coroutine) -> None:
    former = coroutine._parent
    coroutine._parent = here  # so that its end leads back to here
    error = CoroutineExit()
    error.unwinds = True
    try:
        _native.throw((coroutine, error))
    finally:
        # Were it dropped here, a long chain of parents would be a deep recursion of this function;
        # the interpreter's own deallocation does not recurse for it.
        coroutine._parent = former
        del error  # what has been raised instead would refer to it, and to this frame


def _unwind_orphan(coroutine: Coroutine, here: Coroutine) -> None:
    """Its object has died without effect: it swallowed CoroutineExit, say. Once more, under a new
    object; then it is abandoned."""
    try:
        _unwind(coroutine, here)
    finally:
        if _native.is_suspended(coroutine):
            _native.abandon(coroutine)
            raise RuntimeError("a coroutine ignored CoroutineExit twice: abandoned")


class _Reporter:
    """Calls a function when it dies: an exception out of there goes to sys.unraisablehook, which
    has no other entrance from Python."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __del__(self) -> None:
        function, *arguments = self.arguments
        function(*arguments)


def run_unraisable(*arguments: Any) -> None:
    """Calls a function with arguments; what it raises goes to sys.unraisablehook."""
    _Reporter(*arguments)


@atexit.register
def _at_exit() -> None:
    # The main thread's record stays: later handlers may still ask for the current coroutine.
    here = _native.current()
    if here is not None:
        unwind_all(here._thread)
