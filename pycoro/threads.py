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
    """What a thread's coroutines share; box[1] of each. `ended`: none of them goes on any more."""

    __slots__ = ("box", "dropped", "ended", "handle", "main")

    def __init__(self, main: Coroutine) -> None:
        self.box: list[Any] = [None, self]
        self.main = main
        self.handle = 0  # of main
        self.ended = False
        self.dropped: list[Coroutine] = []  # their last reference went in another thread


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
    thread = Thread(main)
    main._box = thread.box
    main._handle = thread.handle = _native.thread_begin(main, thread.box)
    _local.farewell = _Farewell(thread)


def end(thread: Thread) -> None:
    """The thread is over: unwinds what is suspended, if this is the thread, and parts from it."""
    if thread.ended:
        return
    unwind_all(thread)
    thread.ended = True
    thread.main._handle = 0
    _native.thread_end(thread.handle)


def unwind_all(thread: Thread) -> None:
    """Unwinds every suspended coroutine of the calling thread; does nothing for another's."""
    here = _native.current()
    if here is None or here._box is not thread.box:
        return
    reap(thread)
    while (coroutine := _native.thread_remaining()) is not None:
        _report(_unwind, coroutine, here)
        if coroutine._handle:
            _native.abandon(coroutine._handle)
            coroutine._handle = 0


def reap(thread: Thread) -> None:
    """Unwinds those of the calling thread that another thread has dropped."""
    while thread.dropped:
        coroutine = thread.dropped.pop()
        if coroutine._handle:
            _report(_unwind, coroutine, _native.current())
            _keep_watch(coroutine)


def bury(coroutine: Coroutine, here: Coroutine | None) -> None:
    """A suspended coroutine's last reference has gone; `here` is the running one. What it raises
    goes to sys.unraisablehook, for __del__ is what calls this."""
    thread: Thread = coroutine._box[1]
    if thread.ended:
        return
    if here is None or here._box is not thread.box:
        thread.dropped.append(coroutine)  # which brings it back to life, for its own thread
        _native.thread_call(thread.handle)
        return
    try:
        _unwind(coroutine, here)
    finally:
        _keep_watch(coroutine)


def _unwind(coroutine: Coroutine, here: Coroutine) -> None:
    coroutine._parent = here  # so that its end leads back to here
    coroutine._box[0] = CoroutineExit(); _native.throw(coroutine._handle)  # fmt: skip  # noqa: E702


def _keep_watch(coroutine: Coroutine) -> None:
    # Python calls __del__ once in an object's life. One that was brought back, or did not end, gets
    # something whose own __del__ will tell.
    if coroutine._handle:
        coroutine._context = _Relic(coroutine)


class _Relic:
    """Dies with a coroutine whose __del__ has been used up, and unwinds it under a new object."""

    __slots__ = ("box", "handle", "kind", "name")

    def __init__(self, coroutine: Coroutine) -> None:
        self.kind = type(coroutine)
        self.box = coroutine._box
        self.handle = coroutine._handle
        self.name = coroutine.name

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if finalizing():
            return
        here = _native.current()
        if self.box[1].ended or not _native.is_suspended(self.handle):
            return
        if here is None or here._box is not self.box:
            _native.adopt(self.handle, None)
            return
        shell = self.kind.__new__(self.kind)
        shell._box, shell._handle, shell._name = self.box, self.handle, self.name
        shell._run = shell._context = shell._stack_size = None
        _native.adopt(self.handle, shell)
        try:
            _unwind(shell, here)
        finally:
            if shell._handle:
                _native.abandon(shell._handle)
                shell._handle = 0
                raise RuntimeError(f"coroutine {self.name!r} ignored CoroutineExit")


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
        unwind_all(here._box[1])
