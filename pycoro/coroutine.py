"""Coroutines with stacks of their own: Python objects with `switch()`.

Here is the policy over the C library's mechanism: who goes on when a coroutine ends and its parent
does not simply get the result, what a value or an exception becomes on its way, and every
exception. The C library starts a coroutine and sees its object die. What happens to one that is
dropped, or whose thread ends, is in threads.py. Semantics are those of greenlet (PyPI), with
contextvars on top.

What a switch delivers goes to the C library in one call, as a parcel: the coroutine alone, or
(coroutine, value, tuple of further values). No trace function, finalizer or signal handler can come
in between.

A suspended coroutine's own stack must hold no reference to its Coroutine, or dropping the last one
would not be noticed: no frame in here keeps `self` of the running one over a switch.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Literal

from . import _native, threads
from .checks import check_name, check_stack_size, make_exception, refuse
from .errors import CoroutineError, CoroutineExit, GreenletExit

_switch = _native.switch
_throw = _native.throw
_current = _native.current
_enlist = _native.enlist
_copy_context = _native.copy_context

NOTHING: Any = object()  # the value of a switch without one; it arrives as ()


class _BrokenOff:
    """The `_wait` (see schedule.py) of one whose wait ended without its being woken."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<nothing any more>"


BROKEN_OFF: Any = _BrokenOff()

ContextPolicy = Literal["copy", "share", "empty"]


class Coroutine(_native.Base):  # type: ignore[misc]  # a class, though C's
    """A function call that can be suspended at any depth, and resumed by `switch()`.

    run: called with the values of the first switch; its result, or exception, goes to `parent`.
    parent: who goes on when this one ends; default: the one that runs now.
    stack_size: bytes of address space for C frames and the first Python frames; memory is taken a
        page (4 KiB) at a time, as it is touched. Default: stack_size().
    name: for reports; default: the name of `run`.
    context: what contextvars it sees: "copy" of what the creator has now, as asyncio's tasks
        and gevent's greenlets have (tracing libraries need it), "share" the creator's own,
        "empty", or a contextvars.Context.

    It belongs to its parent's thread. Errors: TypeError for a `run` that is not callable or a
    parent that is not a Coroutine, ValueError for a size or policy that does not exist.
    """

    __slots__ = (
        "__weakref__",
        "_context",  # until the start
        "_entry",  # until the start
        "_handle",  # the C library's: None before the start and after the end
        "_name",
        "_notes",  # dict of what others keep for it, by their own keys; unset until then
        "_parent",
        "_stack_size",
        "_thread",  # its Thread, in threads.py
        "_wait",  # the scheduler's: what it waits on
    )

    _handle: object | None
    _thread: threads.Thread
    _wait: Any
    _notes: dict[Any, Any]

    def __init__(
        self,
        run: Callable[..., Any],
        parent: Coroutine | None = None,
        *,
        stack_size: int | None = None,
        name: str | None = None,
        context: ContextPolicy | contextvars.Context = "copy",
    ) -> None:
        here = _enlist(self)
        if here is None:
            here = begin_thread()
        if not callable(run):
            raise TypeError(f"run must be callable, not {type(run).__name__}")
        if parent is None:
            parent = here
        elif not isinstance(parent, Coroutine):
            raise TypeError(f"parent must be a Coroutine, not {type(parent).__name__}")
        self._entry: Callable[..., Any] | None = run
        self._parent: Coroutine | None = parent
        self._thread = parent._thread
        self._wait = None
        self._name = name if name is None else check_name(name)
        self._stack_size = stack_size if stack_size is None else check_stack_size(stack_size)
        self._context: Any = _copy_context() if context == "copy" else choose_context(context)

    def switch(self, value: Any = NOTHING, /, *more: Any) -> Any:
        """Suspends the running coroutine and goes on in this one, where its own switch() returns
        the value: () for none, a tuple for several. The first switch calls run(*values). Returns
        what the switch that comes back brings.

        To one that has ended: goes to its nearest living parent. One that waits in the loop, in
        sleep() say, gets InvalidSwitchError. Errors: CoroutineError for another thread's;
        MemoryError when there is no stack for a new one; RecursionError when so many have started
        each other as calls may nest.
        """
        if value is NOTHING:
            return _switch(self)
        return _switch((self, value, more))

    def throw(
        self,
        kind: type[BaseException] | BaseException = CoroutineExit,
        value: Any = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        """Like switch(), but raises the exception inside: a class, an instance, or class, value
        and traceback as for generators. One that has not started ends without running. The
        default, CoroutineExit, comes back as a value where nobody catches it.

        Errors: TypeError for what is no exception; CoroutineError as for switch().
        """
        error = make_exception(kind, value, traceback)
        if self._handle is not None:
            return _throw((self, error))
        if self._thread is not current()._thread:
            refuse(_native.REFUSED_OTHER_THREAD)
        target, error, failed = route(self, error, True)
        return _throw((target, error)) if failed else _switch((target, error, ()))

    @property
    def started(self) -> bool:
        """Has run begun? Stays true when it has ended."""
        return self._entry is None

    @property
    def dead(self) -> bool:
        """Has it ended? False before the start."""
        return self._entry is None and self._handle is None

    @property
    def parent(self) -> Coroutine | None:
        """Who gets the result, or the exception; None for a thread's main coroutine. Settable.
        Errors: TypeError for what is no Coroutine, ValueError for a cycle or another thread's,
        AttributeError for a main coroutine."""
        return self._parent

    @parent.setter
    def parent(self, parent: Coroutine) -> None:
        if not isinstance(parent, Coroutine):
            raise TypeError(f"parent must be a Coroutine, not {type(parent).__name__}")
        if self._parent is None:
            raise AttributeError("the main coroutine of a thread cannot have a parent")
        if parent._thread is not self._thread:
            raise ValueError("the parent must be of the same thread")
        ancestor: Coroutine | None = parent
        seen = set()  # while one is unwound, others may be in a cycle
        while ancestor is not None and id(ancestor) not in seen:
            if ancestor is self:
                raise ValueError("the parent must not descend from the coroutine: a cycle")
            seen.add(id(ancestor))
            ancestor = ancestor._parent
        self._parent = parent

    @property
    def name(self) -> str:
        """As given, or the name of what it runs, or ran last."""
        if self._name is None:
            self._name = getattr(self._entry, "__qualname__", type(self._entry).__qualname__)
        return self._name

    @property
    def frame(self) -> FrameType | None:
        """Of a suspended one: the frame that called switch(); f_back leads to run's own, whose
        f_back is None. None before the start, after the end, and for the running one."""
        frame: FrameType | None = _native.frame(self)
        while frame is not None and frame.f_globals.get("__name__") in _OWN_MODULES:
            frame = frame.f_back
        return frame

    @property
    def context(self) -> contextvars.Context | None:
        """The contextvars.Context it runs in; None: an empty one, made when needed. Settable.
        Errors: TypeError for another type, CoroutineError once it has ended."""
        context: contextvars.Context | None = self._context
        if self._handle is not None:
            context = _native.context(self)
        return context

    @context.setter
    def context(self, context: contextvars.Context | None) -> None:
        if context is not None and not isinstance(context, contextvars.Context):
            raise TypeError(f"context must be a Context or None, not {type(context).__name__}")
        if _native.set_context((self, context)):
            return
        if self._entry is not None:
            self._context = context
        else:
            raise CoroutineError(f"{self!r} has ended: it has no context any more")

    @property
    def stack_size(self) -> int:
        """Bytes of address space of its stack, 0 for a main coroutine's."""
        size = _native.stack_size_of(self)
        return size if size >= 0 else self._stack_size or stack_size()

    def __repr__(self) -> str:
        if self._entry is not None:
            state = "not started"
        elif self._handle is None:
            state = "dead" if not self._thread.ended else "dead (its thread has ended)"
        elif _native.is_running(self):
            state = "running"
        else:
            frame = self.frame
            place = f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
            state = f"suspended{place}"
        kind = "main " if self._parent is None else ""
        return f"<{type(self).__name__} {self.name!r} {kind}{state} {id(self):#x}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot copy or pickle a {type(self).__name__}: its stack has one place")


_OWN_MODULES = (__name__, threads.__name__)


def current() -> Coroutine:
    """The coroutine that runs now: the thread's main one where no other has been switched to."""
    here: Coroutine | None = _current()
    return begin_thread() if here is None else here


def stack_size(size: int | None = None) -> int:
    """The stack size in bytes of coroutines that are made from now on, and sets it where given
    (as threading.stack_size does). Errors: ValueError for a size out of bounds."""
    former = _native.stack_size_default()
    if size is not None:
        _native.stack_set_default(check_stack_size(size))
    return former


def route(target: Coroutine | None, value: Any, failed: bool) -> tuple[Coroutine, Any, bool]:
    """Who gets what was meant for `target`: that, or its nearest parent that is alive or can be
    started. One that has not started ends unrun by what is raised in it. Where parents are a cycle
    (while one is unwound, whoever runs is its parent): the main one."""
    seen: set[int] = set()
    while target is not None:
        if target._handle is not None or (target._entry is not None and not failed):
            return target, value, failed
        if target._entry is not None:
            target._name, target._entry, target._context = target.name, None, None
        if failed and isinstance(value, GreenletExit):
            failed = False
        seen.add(id(target))
        parent = target._parent
        target = parent if id(parent) not in seen else target._thread.main
    raise CoroutineError("the coroutine has ended, and so have all its parents")


def choose_context(context: Any) -> contextvars.Context | None:
    """The Context for a policy other than "copy", or None."""
    if context == "empty":
        return None
    if isinstance(context, contextvars.Context):
        return context
    if context != "share":
        raise ValueError(f"context must be 'copy', 'share', 'empty' or a Context, not {context!r}")
    here = current()
    if here.context is None:
        here.context = contextvars.Context()
    return here.context


# ---- what the C library calls ----


def _finish(coroutine: Coroutine | None, value: Any, failed: bool) -> tuple[Coroutine, Any, bool]:
    """`coroutine` (None: its object is gone) has ended with a result, or with an exception: who
    goes on? Not called where a result goes to a parent that is alive."""
    if failed and isinstance(value, GreenletExit):
        failed = False
    if coroutine is None:  # its object is gone: nobody waits but the thread itself
        return current()._thread.main, value, failed
    return route(coroutine._parent, value, failed)


def _called() -> None:
    """Coroutines of this thread were dropped where they could not be unwound, or ignored it."""
    threads.reap(_current())


def _shell() -> Coroutine:
    """Stands for a coroutine whose object is gone."""
    shell = Coroutine.__new__(Coroutine)
    shell._entry = shell._context = shell._stack_size = shell._wait = None
    shell._name = "one without an object"
    thread = threads.of_this()
    shell._thread, shell._parent = thread, thread.main
    return shell


def begin_thread() -> Coroutine:
    """Makes the calling thread fit for coroutines; gives its main one."""
    main = Coroutine.__new__(Coroutine)
    main._entry = main._parent = main._context = main._stack_size = main._wait = None
    main._name = "main"
    threads.begin(main)
    return main


def _dropped(coroutine: Coroutine, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
    """The last reference to a suspended coroutine of this thread has gone."""
    # A default, because at the interpreter's end module globals may be gone; what was left to
    # unwind has been unwound by atexit then.
    if not finalizing():
        threads.bury(coroutine, _current())


_native.init(Coroutine, _finish, refuse, _called, _dropped, _shell, BROKEN_OFF)
