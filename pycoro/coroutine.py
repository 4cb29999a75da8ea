"""Coroutines with stacks of their own: Python objects with `switch()`.

Here is the policy over the C library's mechanism: who goes on when a coroutine ends, what a value
or an exception becomes on its way, and every exception. What happens to one that is dropped, or
whose thread ends, is in threads.py. Semantics are those of greenlet (PyPI), with contextvars on
top.

A switch leaves what it delivers in the *box* of its thread, a list that the C library empties on
the other side; box[1] is the record of the thread (threads.py). Between filling the box and the
switch nothing may run, so both stand on one line: no trace event fires in between.

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
from .errors import CoroutineError, CoroutineExit

_switch = _native.switch
_throw = _native.throw
_current = _native.current
_copy_context = _native.copy_context
_prepare = _native.prepare

NOTHING: Any = object()  # the value of a switch without one; it arrives as ()

ContextPolicy = Literal["copy", "share", "empty"]

_default_stack_size: int = _native.STACK_DEFAULT


class Coroutine:
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
        "_box",
        "_context",  # until the start; later, what threads.py hangs on it
        "_handle",  # of the C library; 0 before the start and after the end
        "_name",
        "_parent",
        "_run",  # until the start
        "_stack_size",
    )

    def __init__(
        self,
        run: Callable[..., Any],
        parent: Coroutine | None = None,
        *,
        stack_size: int | None = None,
        name: str | None = None,
        context: ContextPolicy | contextvars.Context = "copy",
    ) -> None:
        self._handle = 0
        if not callable(run):
            raise TypeError(f"run must be callable, not {type(run).__name__}")
        if parent is None:
            parent = _current() or _begin_thread()
        elif not isinstance(parent, Coroutine):
            raise TypeError(f"parent must be a Coroutine, not {type(parent).__name__}")
        self._run: Callable[..., Any] | None = run
        self._parent: Coroutine | None = parent
        self._box = parent._box
        self._name = name
        self._stack_size = None if stack_size is None else check_stack_size(stack_size)
        self._context: Any = _copy_context() if context == "copy" else _choose_context(context)

    def switch(self, value: Any = NOTHING, /, *more: Any) -> Any:
        """Suspends the running coroutine and goes on in this one, where its own switch() returns
        the value: () for none, a tuple for several. The first switch calls run(*values). Returns
        what the switch that comes back brings.

        To one that has ended: goes to its nearest living parent. Errors: CoroutineError for
        another thread's; MemoryError when there is no stack for a new one.
        """
        handle = self._handle
        if handle and not more:
            self._box[0] = value; return _switch(handle)  # fmt: skip  # noqa: E702
        return self._switch_slowly(() if value is NOTHING else (value, *more))

    def _switch_slowly(self, values: tuple[Any, ...]) -> Any:
        if self._run is not None:
            handle = self._prepare()
            self._box[0] = values; return _switch(handle)  # fmt: skip  # noqa: E702
        return _switch(route(self, values[0] if len(values) == 1 else values, failed=False))

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
        _check_thread(self)
        box = self._box
        handle = self._handle
        if handle:
            box[0] = error; return _throw(handle)  # fmt: skip  # noqa: E702
        handle = route(self, error, failed=True)
        if handle < 0:
            return _throw(-handle)
        return _switch(handle)

    def _prepare(self) -> int:
        """Gives it a stack, so that a switch can start it."""
        run = self._run
        name = self._name
        if name is None:
            name = self._name = _name_of(run)
        size = self._stack_size or _default_stack_size
        self._handle = handle = _prepare(self._box, self, run, name, self._context, size)
        self._run = self._context = None
        return handle

    @property
    def started(self) -> bool:
        """Has run begun? Stays true when it has ended."""
        return self._run is None

    @property
    def dead(self) -> bool:
        """Has it ended? False before the start."""
        return self._run is None and (not self._handle or self._box[1].ended)

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
        if parent._box is not self._box:
            raise ValueError("the parent must be of the same thread")
        ancestor: Coroutine | None = parent
        while ancestor is not None:
            if ancestor is self:
                raise ValueError("the parent must not descend from the coroutine: a cycle")
            ancestor = ancestor._parent
        self._parent = parent

    @property
    def name(self) -> str:
        """As given, or the name of what it runs, or ran last."""
        if self._name is None:
            self._name = _name_of(self._run)
        return self._name

    @property
    def frame(self) -> FrameType | None:
        """Of a suspended one: the frame that called switch(); f_back leads to run's own, whose
        f_back is None. None before the start, after the end, and for the running one."""
        frame: FrameType | None = _native.frame(self._handle) if self._alive() else None
        while frame is not None and frame.f_globals.get("__name__") in _OWN_MODULES:
            frame = frame.f_back
        return frame

    @property
    def context(self) -> contextvars.Context | None:
        """The contextvars.Context it runs in; None: an empty one, made when needed. Settable.
        Errors: TypeError for another type, CoroutineError once it has ended."""
        context: contextvars.Context | None = self._context if self._run is not None else None
        return _native.context(self._handle) if self._alive() else context

    @context.setter
    def context(self, context: contextvars.Context | None) -> None:
        if context is not None and not isinstance(context, contextvars.Context):
            raise TypeError(f"context must be a Context or None, not {type(context).__name__}")
        if self._run is not None:
            self._context = context
        elif self._alive():
            _check_thread(self)
            _native.set_context(self._handle, context)
        else:
            raise CoroutineError(f"{self!r} has ended: it has no context any more")

    @property
    def stack_size(self) -> int:
        """Bytes of address space of its stack, 0 for a main coroutine's."""
        if self._alive():
            return _native.stack_size_of(self._handle)
        return self._stack_size or _default_stack_size

    def _alive(self) -> bool:
        return bool(self._handle) and not self._box[1].ended

    def __repr__(self) -> str:
        if self._run is not None:
            state = "not started"
        elif not self._alive():
            state = "dead" if not self._box[1].ended else "dead (its thread has ended)"
        elif _native.is_running(self._handle):
            state = "running"
        else:
            frame = self.frame
            place = f" at {frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
            state = f"suspended{place}"
        kind = "main " if self._parent is None else ""
        return f"<{type(self).__name__} {self.name!r} {kind}{state} {id(self):#x}>"

    def __del__(self) -> None:
        if self._handle:
            self._drop()

    def _drop(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # A default, because at the interpreter's end module globals may be gone; what was left to
        # unwind has been unwound by atexit then.
        if not finalizing():
            threads.bury(self, _current())


_OWN_MODULES = (__name__, threads.__name__)


def current() -> Coroutine:
    """The coroutine that runs now: the thread's main one where no other has been switched to."""
    return _current() or _begin_thread()


def stack_size(size: int | None = None) -> int:
    """The stack size in bytes of coroutines that are made from now on, and sets it where given
    (as threading.stack_size does). Errors: ValueError for a size out of bounds."""
    global _default_stack_size
    former = _default_stack_size
    if size is not None:
        _default_stack_size = check_stack_size(size)
    return former


def check_stack_size(size: int) -> int:
    least, most = _native.STACK_LEAST, _native.STACK_MOST
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"stack_size must be an int, not {type(size).__name__}")
    if not least <= size <= most:
        raise ValueError(f"stack_size must be from {least:,} to {most:,} bytes, not {size:,}")
    return size


def make_exception(
    kind: Any, value: Any = None, traceback: TracebackType | None = None
) -> BaseException:
    """The instance that `raise`, or generator.throw(), would make of these three."""
    if traceback is not None and not isinstance(traceback, TracebackType):
        raise TypeError("throw() third argument must be a traceback object")
    if isinstance(kind, type) and issubclass(kind, BaseException):
        if isinstance(value, kind):
            error = value
        elif value is None:
            error = kind()
        else:
            error = kind(*value) if isinstance(value, tuple) else kind(value)
        if not isinstance(error, BaseException):
            raise TypeError(f"calling {kind.__name__} gave no exception, but {error!r}")
    elif isinstance(kind, BaseException):
        if value is not None:
            raise TypeError("instance exception may not have a separate value")
        error = kind
    else:
        raise TypeError(
            "exceptions must be classes, or instances, deriving from BaseException, "
            f"not {type(kind).__name__}"
        )
    return error if traceback is None else error.with_traceback(traceback)


def route(target: Coroutine | None, value: Any, failed: bool) -> int:
    """Boxes what is to be delivered to `target`, or to its nearest living parent, and gives the
    handle to switch to: negative, to throw. One that has not started is given a stack, or ends
    unrun by what is raised in it."""
    while target is not None:
        if target._run is not None and not failed:
            try:
                handle = target._prepare()
                value = (value,)
                break
            except BaseException as error:
                value, failed = error, True
        if target._alive():
            handle = target._handle
            break
        target._run = None
        if failed and isinstance(value, CoroutineExit):
            failed = False
        target = target._parent
    else:
        raise CoroutineError("the coroutine has ended, and so have all its parents")
    target._box[0] = value
    return -handle if failed else handle


def _check_thread(coroutine: Coroutine) -> None:
    here = _current() or _begin_thread()
    if here._box is not coroutine._box:
        _refuse(_native.REFUSED_OTHER_THREAD)


def _choose_context(context: Any) -> contextvars.Context | None:
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


def _name_of(run: Any) -> str:
    try:
        return run.__qualname__
    except AttributeError:  # functools.partial, an object with __call__
        return type(run).__qualname__


# ---- what the C library calls ----


def _finish(coroutine: Coroutine | None, value: Any, failed: bool) -> int:
    """`coroutine` has ended with a result, or with an exception: who goes on?"""
    if not failed and coroutine is not None and (parent := coroutine._parent)._handle:
        coroutine._handle = 0
        coroutine._box[0] = value
        return parent._handle
    if coroutine is None:  # its object is gone: nobody waits but the thread itself
        return route(_current()._box[1].main, value, failed)
    coroutine._handle = 0
    if failed and isinstance(value, CoroutineExit):
        failed = False
    return route(coroutine._parent, value, failed)


def _refuse(code: int) -> None:
    if code == _native.REFUSED_OTHER_THREAD:
        raise CoroutineError(
            "the coroutine belongs to another thread: only that thread can switch to it "
            "(hand work over by a queue, or by loop.call_soon_threadsafe)"
        )
    if code == _native.REFUSED_NO_MEMORY:
        raise MemoryError(
            f"no memory for another coroutine's stack: {_native.count_in_use():,} are in use, "
            f"{_native.count_bytes() >> 20:,} MiB of address space in all. Raise the limit of "
            "address space (ulimit -v) or of memory (cgroup), or give coroutines a smaller "
            "stack_size"
        )
    if code == _native.REFUSED_NO_MAPPINGS:
        raise MemoryError(
            f"no mapping left for another coroutine's guard page: {_native.count_in_use():,} are "
            "in use. Raise vm.max_map_count (sysctl), or use Linux 6.13 or later, whose guards "
            "need no mapping"
        )
    if code == _native.REFUSED_SIZE:
        raise ValueError("stack_size is out of bounds")
    raise CoroutineError("the coroutine has ended, or its thread has")


def _called() -> None:
    """Another thread dropped coroutines of this one."""
    threads.reap(_current()._box[1])


def _begin_thread() -> Coroutine:
    main = Coroutine.__new__(Coroutine)
    main._run = main._parent = main._context = main._stack_size = None
    main._name = "main"
    main._handle = 0
    threads.begin(main)
    return main


_native.init(_finish, _refuse, _called, NOTHING)
