"""The stdlib's _thread module, whose threads are tasks: what monkey.patch_thread() puts in place.

A task that passes for a thread has its own number, locals and context. The number of a real thread
stays what it is, and so does the main thread's. A lock belongs to nobody, as ever; RLock's owner is
a coroutine. Locks and threads that were made before the patch are real, and block all tasks.
"""

from __future__ import annotations

import _thread as _stdlib
import signal
import threading
from collections.abc import Callable
from typing import Any
from weakref import finalize

from . import _native, joining, local, lock
from .coroutine import BROKEN_OFF, current
from .errors import CoroutineExit
from .semaphore import Semaphore
from .sleeping import sleep
from .task import Task
from .wakeup import defer_interrupt, is_own_handler

RealLock = _stdlib.LockType
RealRLock = _stdlib.RLock
RealLocal = _stdlib._local
_interrupt_main = _stdlib.interrupt_main
_excepthook = threading.excepthook
_shutdown_real: Callable[[], None] = getattr(_stdlib, "_shutdown", lambda: None)

ThreadHandle = joining.ThreadHandle
_make_thread_handle = joining.make_thread_handle
_get_main_thread_ident = joining.get_main_thread_ident
get_ident = joining.get_ident

TIMEOUT_MAX = _stdlib.TIMEOUT_MAX
error = _stdlib.error


# ---- locks ----


def _limit(blocking: bool, timeout: float) -> float | None:
    """The time limit that both say together. Errors: the stdlib's."""
    if timeout == -1:
        return None
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if not timeout >= 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return timeout


def _let_others_run() -> None:
    """After a try that was not to wait: who tries again and again would else never be let in. As
    gevent does; threads are made to take turns by the interpreter."""
    me = _native.current()
    loop = None if me is None else me._thread.loop
    if loop is None or loop.closed or me is loop:  # a callback must not wait
        return
    if me._wait is None or me._wait is BROKEN_OFF:  # or else a finalizer or a handler of a signal
        sleep(0)  # has come in between: that it waits must not be forgotten


class LockType(Semaphore):
    """As the stdlib's lock: whoever holds it, anybody may release it. Nor can it be derived from:
    TypeError."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def __init_subclass__(cls) -> None:
        raise TypeError("a lock is not an acceptable base type: derive from Semaphore")

    @defer_interrupt
    def acquire(  # type: ignore[override]  # timeouts are threading's, -1 for none
        self, blocking: bool = True, timeout: float = -1
    ) -> bool:
        """True where it has been got, within `timeout` seconds; where it was not to be waited for,
        the other tasks have had their turn."""
        limit = None if timeout == -1 else _limit(blocking, timeout)
        self.counter -= (got := self.counter > 0)
        if got or blocking:
            return got or self._acquire_slowly(True, limit)
        _let_others_run()
        return False

    @defer_interrupt
    def __enter__(self) -> bool:
        self.counter -= (got := self.counter > 0)
        return got or self._acquire_slowly(True, None)

    @defer_interrupt
    def release(self) -> None:
        """Errors: RuntimeError where nobody holds it."""
        self.counter = counter = self.counter + 1
        if counter > 1:
            self.counter -= 1
            raise RuntimeError("release unlocked lock")
        if self._waiters:
            self._hand_over()

    @defer_interrupt
    def __exit__(self, *failure: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Does somebody hold it?"""
        return self.counter < 1

    _is_owned = locked  # for threading.Condition, which else tries to acquire it to find out

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self.counter = 1

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __repr__(self) -> str:
        state = "locked" if self.counter < 1 else "unlocked"
        return f"<{state} {type(self).__module__}.lock object at {id(self):#x}>"


allocate_lock = LockType  # a class, as C's functions do not become methods either


class RLock(lock.RLock):
    """As the stdlib's: only its owner may release it, and acquire it again. Arguments are ignored,
    as there; threading.RLock() refuses or warns of them."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # type: ignore[override]
        """As LockType's."""
        limit = None if timeout == -1 else _limit(blocking, timeout)
        got = super().acquire(blocking, limit)
        if not got and not blocking:
            _let_others_run()
        return got

    __enter__ = acquire  # type: ignore[assignment]

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def __repr__(self) -> str:
        state = "locked" if self._count else "unlocked"
        owner = f"owner={self._owner.name!r} count={self._count}" if self._owner else "owner=None"
        return f"<{state} {type(self).__module__}.RLock object {owner} at {id(self):#x}>"


# ---- threads ----


_running = 0  # threads that have begun and not ended
_needed: set[ThreadHandle] = set()  # those that the program waits for at its end


def start_joinable_thread(
    function: Callable[[], Any], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """Has a task call function(). The program does not end before it, unless it is a daemon."""
    if handle is None:
        handle = ThreadHandle()
    task = _make_task(function, (), {})
    handle._begin(task)
    if not daemon:
        _needed.add(handle)
        task.link(lambda ended: _needed.discard(handle))
    task.start()
    return handle


def start_new_thread(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    /,
) -> int:
    """Has a task call function(*args, **kwargs); gives its number. Errors: TypeError."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    task = _make_task(function, args, kwargs or {})
    task.start()
    return id(task)


def _make_task(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Task:
    # A threading.Thread's: it is called as the thread is.
    name = getattr(getattr(function, "__self__", None), "name", None)
    return Task.make(
        _run,
        (function, args, kwargs),
        name=name if isinstance(name, str) else None,
        context="empty",  # as a thread has
    )


def _run(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
    global _running
    _running += 1
    try:
        function(*args, **kwargs)
    except SystemExit:  # ends a thread, not the program
        pass
    finally:
        _running -= 1


def _count() -> int:
    """How many tasks run that pass for threads."""
    return _running


def renew_main_thread() -> None:
    """Has a task that joins the main thread let others run: that is what they are part of. When it
    has ended, threading says so."""
    main = threading.main_thread()
    names = vars(main)
    handle = "_handle" if "_handle" in names else "_os_thread_handle"  # 3.13, and from 3.14 on
    if handle in names:
        if not isinstance(names[handle], ThreadHandle):
            names[handle] = _make_thread_handle(main.ident or 0)
    elif isinstance(names["_tstate_lock"], RealLock):
        threading._shutdown_locks.discard(names["_tstate_lock"])  # type: ignore[attr-defined]
        names["_tstate_lock"] = held = LockType()
        held.acquire()


def set_sentinel() -> LockType:
    """A lock that is released when the running thread ends (until 3.12)."""
    sentinel = LockType()
    me = current()
    if isinstance(me, Task):
        me.link(lambda ended: sentinel.release() if sentinel.locked() else None)
    return sentinel


def wait_for_end(thread: Any, block: bool = True, timeout: float = -1) -> None:
    """threading.Thread's _wait_for_tstate_lock() (until 3.12). The stdlib's takes the lock for a
    moment, as if nobody else could have it handed to them then; and where it is interrupted, it
    takes the thread for one that has ended."""
    lock = thread._tstate_lock
    if lock is None:
        return
    if not isinstance(lock, LockType):
        ended = lock.acquire(block, timeout)
        if ended:
            lock.release()
    else:
        limit = None if timeout == -1 else timeout
        while not (ended := lock.counter > 0) and block:
            if not lock.wait(limit) and limit is not None:
                break  # else _shutdown() has it for a moment
        if not ended and not block:
            _let_others_run()
    if ended:
        thread._stop()


def interrupt_main(signum: Any = signal.SIGINT, /) -> None:
    """As the stdlib's; Ctrl-C is raised in the main program, also where a task calls this."""
    me = current()
    is_ctrl_c = signum == signal.SIGINT and is_own_handler(signal.getsignal(signum))
    if is_ctrl_c and me._parent is not None:
        me._thread.loop.interrupt_main(KeyboardInterrupt())
    else:
        _interrupt_main(signum)


def shutdown() -> None:
    """At the end of the program: waits for all that are no daemons."""
    here = current()._thread
    while _needed:
        handle = _needed.pop()
        if handle._task is None or handle._task._thread is here:
            handle.join()
    _shutdown_real()


def excepthook(args: Any, /) -> None:
    """threading.excepthook(), but for a thread that is killed, at the program's end, say."""
    if not issubclass(args.exc_type, CoroutineExit):
        _excepthook(args)


def dummy_class(base: type[Any]) -> type[Any]:
    """threading's object for a task that is no Thread, which goes when the task ends. From 3.12 the
    stdlib's own is enough: it goes with a thread's locals."""
    names = base.__init__.__globals__
    if "_DeleteDummyThreadOnDel" in names:
        return base

    class _DummyThread(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            me = current()
            active, ident = names["_active"], self.ident
            if isinstance(me, Task):
                me.link(lambda ended: active.pop(ident, None))
            elif me._parent is not None:
                finalize(me, active.pop, ident, None).atexit = False

    _DummyThread.__qualname__ = base.__qualname__
    return _DummyThread


_local = local.local


__implements__ = [
    name
    for name in (
        *("LockType", "RLock", "_count", "_local", "_make_thread_handle", "allocate_lock"),
        *("get_ident", "interrupt_main", "start_joinable_thread", "start_new_thread"),
    )
    if hasattr(_stdlib, name)
]


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)
