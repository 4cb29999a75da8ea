"""Threads and the end of things: each thread's record, and how coroutines are unwound.

A coroutine that is suspended when its last reference goes, or when its thread or the process ends,
is unwound: CoroutineExit is raised in it, in its own thread, so that its `finally` blocks run. One
that swallows that and suspends itself again is abandoned: its frames stay as they are for good.
Greenlet (PyPI) does the same.
"""

from __future__ import annotations

import _thread
import atexit
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import CoroutineExit

if TYPE_CHECKING:
    from .coroutine import Coroutine


class Thread:
    """What a thread's coroutines share. `ended`: none of them goes on any more."""

    __slots__ = ("dropped", "ended", "handle", "loop", "main")

    def __init__(self, main: Coroutine) -> None:
        self.main = main
        self.handle = 0  # of main; 0 again when the thread has ended
        self.loop: Any = None  # the scheduler's
        self.ended = False
        self.dropped: list[Coroutine] = []  # see reap()


class _Farewell:
    """Lives in a thread-local, so that it dies with the thread, in the thread. (After a fork, the
    other threads' die in the child: end() is told apart from within.)"""

    __slots__ = ("thread",)

    def __init__(self, thread: Thread) -> None:
        self.thread = thread

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not finalizing():  # then _at_exit() has been here
            end(self.thread)


_local = _thread._local()


def begin(main: Coroutine) -> None:
    """Makes `main`, which is blank, the main coroutine of the calling thread. MemoryError when
    there is no memory for the thread's signal stack."""
    main._thread = thread = Thread(main)
    thread.handle = _native.thread_begin(main)
    _local.farewell = _Farewell(thread)


def end(thread: Thread) -> None:
    """The thread is over: unwinds what is suspended, if this is the thread, and parts from it."""
    if thread.ended:
        return
    unwind_all(thread)
    handle, thread.handle = thread.handle, 0
    thread.ended = True
    _native.thread_end(handle)


def unwind_all(thread: Thread) -> None:
    """Unwinds every suspended coroutine of the calling thread; does nothing for another's."""
    here = _native.current()
    if here is None or here._thread is not thread:
        return
    reap(here)
    # Clean-up code may start new ones, and so on for ever: those that are too many end unheard.
    patience = _native.count_in_use() + 1000
    while handle := _native.thread_remaining():
        patience -= 1
        coroutine = _native.object_of(handle)
        if coroutine is not None and patience > 0:
            _report(_unwind, coroutine, here)
            if coroutine._handle != handle:
                continue
        _native.abandon(handle)


def reap(here: Coroutine) -> None:
    """Unwinds those of the calling thread whose last reference went in another thread, or while
    they ran, or while something raised; `here` is the running one."""
    thread = here._thread
    running = None
    while thread.dropped:
        coroutine = thread.dropped.pop()
        if coroutine is here:
            running = coroutine
        elif coroutine._handle:
            _report(_unwind, coroutine, here)
    while handle := _native.thread_orphan():
        _report(_unwind_orphan, handle, here)
    if running is not None:
        _postpone(running)


def bury(coroutine: Coroutine, here: Coroutine | None) -> None:
    """A coroutine's last reference has gone; `here` is the running one. What it raises goes to
    sys.unraisablehook, for __del__ is what calls this."""
    thread = coroutine._thread
    if thread.ended:
        return
    if here is None or here._thread is not thread or coroutine is here:
        _postpone(coroutine)
    else:
        _unwind(coroutine, here)


def _postpone(coroutine: Coroutine) -> None:
    # Brings it back to life, until its own thread makes a switch.
    coroutine._thread.dropped.append(coroutine)
    handle = coroutine._handle  # read once: its thread may be ending it meanwhile
    if handle is not None:
        _native.thread_call(handle)


def _unwind(coroutine: Coroutine, here: Coroutine) -> None:
    former = coroutine._parent
    coroutine._parent = here  # so that its end leads back to here
    try:
        _native.throw((coroutine._handle, CoroutineExit()))
    finally:
        # Were it dropped here, a long chain of parents would be a deep recursion of this function;
        # the interpreter's own deallocation does not recurse for it.
        coroutine._parent = former


def _unwind_orphan(handle: int, here: Coroutine) -> None:
    """Its object has died without effect: it swallowed CoroutineExit, say. Once more, under a new
    object; then it is abandoned."""
    kind = type(here._thread.main)
    coroutine = kind.__new__(kind)
    coroutine._thread, coroutine._parent, coroutine._name = here._thread, here, "orphan"
    coroutine._run = coroutine._context = coroutine._stack_size = coroutine._wait = None
    _native.adopt(handle, coroutine)
    try:
        _unwind(coroutine, here)
    finally:
        if coroutine._handle:
            _native.abandon(handle)
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


def _report(*arguments: Any) -> None:
    _Reporter(*arguments)


@atexit.register
def _at_exit() -> None:
    # The main thread's record stays: later handlers may still ask for the current coroutine.
    here = _native.current()
    if here is not None:
        unwind_all(here._thread)
