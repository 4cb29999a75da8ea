"""Threads that are tasks, for who joins them: their numbers, and the stdlib's handles (3.13).

A task that passes for a thread has its own number; a real thread keeps its own.
"""

from __future__ import annotations

import _thread as _stdlib
from weakref import WeakSet

from .coroutine import current
from .event import Event
from .forks import in_child
from .task import Task

_get_ident = _stdlib.get_ident


def get_ident() -> int:
    """A number for what passes for the running thread: the real one's in its main coroutine, else
    the coroutine's own."""
    me = current()
    return _get_ident() if me._parent is None else id(me)


_handles: WeakSet[ThreadHandle] = WeakSet()


class ThreadHandle:
    """As the stdlib's _ThreadHandle (3.13): a thread that can be waited for."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._done = Event()
        self.ident = 0
        _handles.add(self)

    def _begin(self, task: Task) -> None:
        if self._task is not None or self._done.is_set():
            raise RuntimeError("thread already started")
        self._task = task
        self.ident = id(task)

    def is_done(self) -> bool:
        """Has it ended?"""
        return self._done.is_set() or (self._task is not None and self._task.ready())

    def _set_done(self) -> None:
        if self._task is None and not self.ident:
            raise RuntimeError("thread not started")
        self._done.set()

    def join(self, timeout: float | None = None) -> None:
        """Waits for its end, `timeout` seconds at most. Errors: RuntimeError where that would be
        for ever: it has not been started, or waits for itself."""
        if self._task is None and not self.ident:
            raise RuntimeError("thread not started")
        if self.is_done():
            return
        if self._task is current():
            raise RuntimeError("Cannot join current thread")
        limit = None if timeout is None or timeout < 0 else timeout
        if self._task is None:  # the main thread, say, which threading sets done
            self._done.wait(limit)
        else:
            self._task.join(limit)


def get_main_thread_ident() -> int:
    """threading asks when it makes its main thread anew, in a forked child: who has forked."""
    return get_ident()


@in_child
def _after_fork() -> None:
    """The other threads are the parent's."""
    me = current()
    for handle in _handles:
        if handle.ident and handle._task is not me and handle.ident != get_ident():
            handle._done = Event()  # nobody here waits for the former
            handle._done.set()


def make_thread_handle(ident: int) -> ThreadHandle:
    """For a thread that has not been started by a handle."""
    handle = ThreadHandle()
    handle.ident = ident
    me = current()
    if isinstance(me, Task) and id(me) == ident:
        handle._task = me
    return handle
