"""Tasks: function calls that the loop runs side by side. Their beginning, their end, killing them.

A task that fails is reported on stderr once, unless somebody is waiting in get() to have the
error; nothing else is affected. Its result, or error, stays with it. Names are gevent's, whose
Greenlet this is; ending.py has the part that has to do with the end.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any
from weakref import ref

from . import _native
from .ancestry import Spawned, recording, spawn_callbacks
from .checks import check_name, check_stack_size, check_timeout, make_exception
from .coroutine import NOTHING, ContextPolicy, choose_context, current
from .ending import PENDING, Ending
from .errors import CoroutineExit
from .links import check_callback
from .loop import Loop, get_loop
from .sleeping import sleep
from .wakeup import defer_interrupt

__all__ = [
    "Greenlet",
    "GreenletExit",
    "Task",
    "getcurrent",
    "sleep",
    "spawn",
    "spawn_later",
]

_current = _native.current
_enlist = _native.enlist
_copy_context = _native.copy_context

GreenletExit = CoroutineExit

ExceptionLike = (
    type[BaseException]
    | BaseException
    | tuple[type[BaseException], BaseException | None, TracebackType | None]
)


class Task(Spawned, Ending):
    """A call of run(*args, **kwargs) that runs in the loop of the thread that makes it: gevent's
    Greenlet. spawn() makes and starts one.

    A subclass may have a method _run() instead, which is called with the arguments where no `run`
    is given. `name`, `context`, `stack_size`: by Task.make(), for the keywords here are the
    function's. As a context manager it is waited for at the end of the block, and killed where
    that raises. Errors: TypeError for what is not callable.
    """

    __slots__ = (
        "__dict__",
        "_function",  # until the end; None where _run() is overridden
        "_kwargs",  # until the end; None where there are none
        "_scheduled",  # has it been told to start?
        "args",
        "spawning_greenlet",
    )

    def __init__(self, run: Callable[..., Any] | None = None, /, *args: Any, **kwargs: Any) -> None:
        if run is None:
            run = kwargs.pop("run", None)
        # Coroutine.__init__ in short: this is what spawning costs.
        here = _enlist(self)
        loop = here._thread.loop if here is not None else None
        if loop is None:
            loop = get_loop()
            here = _current()
        if run is None:
            check_callback(self._run)
            self._name = type(self).__qualname__
        else:
            if not callable(run):
                raise TypeError(f"the function must be callable, not {type(run).__name__}")
            try:
                self._name = run.__qualname__
            except AttributeError:
                self._name = type(run).__qualname__
        self._entry: Any = _main
        self._parent: Any = loop
        self._thread = loop._thread
        self._wait = None
        self._stack_size = None
        self._context = _copy_context()
        self._loop = loop
        self._scheduled = False
        self._function = run
        self.args: tuple[Any, ...] = args
        self._kwargs = kwargs or None
        self._value = PENDING
        self._error = None
        self._getters = 0
        self._links = None
        self._observer = None
        self._waiting = None
        self.spawning_greenlet = ref(here)
        if recording.on:
            recording.record(self, here)

    @classmethod
    def make(
        cls,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        stack_size: int | None = None,
        context: ContextPolicy | contextvars.Context = "copy",
    ) -> Task:
        """A task with the parameters of Coroutine, not yet started."""
        check_name(name)
        if stack_size is not None:
            check_stack_size(stack_size)
        chosen = None if context == "copy" else choose_context(context)
        task = cls(function, *args, **(kwargs or {}))
        if context != "copy":
            task._context = chosen
        task._stack_size = stack_size
        if name is not None:
            task._name = name
        return task

    def _run(self) -> Any:
        """What a subclass does, called with the arguments; here, nothing."""

    def run(self) -> None:
        """Does its work here and now, in the running coroutine, instead of being started. Errors:
        RuntimeError for one that has begun."""
        if self._entry is None:
            raise RuntimeError(f"{self!r} has begun already: a task runs once")
        self._take_back()
        self._entry = self._context = None
        try:
            self.succeed((self._function or self._run)(*self.args, **self.kwargs))
        except BaseException as error:
            self.fail(error)

    # ---- starting ----

    @classmethod
    def spawn(cls, /, *args: Any, **kwargs: Any) -> Task:
        """A task, made with these arguments, that starts when its turn comes."""
        task = cls(*args, **kwargs)
        if cls is Task and not spawn_callbacks:
            task._scheduled = True
            task._loop.ready.append(task)
        else:
            task.start()
        return task

    @classmethod
    def spawn_later(cls, seconds: float, /, *args: Any, **kwargs: Any) -> Task:
        """A task that starts after `seconds`."""
        if cls is Task and not args and "run" not in kwargs:
            raise TypeError("spawn_later() takes the seconds, and what to call then")
        task = cls(*args, **kwargs)
        task.start_later(seconds)
        return task

    def start(self) -> None:
        """Has it start when its turn comes; does nothing for one that has been started. Where the
        loop has ended, as for clean-up code at the end of its thread, that turn never comes."""
        if self._may_start():
            self._scheduled = True
            self._loop.ready.append(self)

    def start_later(self, seconds: float) -> None:
        """Like start(), after `seconds`; also where the loop has ended."""
        if seconds is None:
            raise TypeError("a delay must be a number of seconds, not None")
        check_timeout(seconds)
        if self._may_start():
            if not self._loop.closed:  # else it never starts, as by start()
                self._wait = self._loop.call_later(seconds, _start, self)
            self._scheduled = True

    def _may_start(self) -> bool:
        self._check_thread()
        if self._scheduled or self._entry is None:
            return False
        for callback in list(spawn_callbacks):
            callback(self)
        return True

    def _take_back(self) -> None:
        """It has not started yet, and is not to be started by the loop any more."""
        self._check_thread()
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
        elif self._scheduled and self in self._loop.ready:
            self._loop.ready.remove(self)

    @staticmethod
    def add_spawn_callback(callback: Callable[[Any], Any]) -> None:
        """Calls it with each task, of any thread, that is told to start, before it does."""
        spawn_callbacks.add(check_callback(callback))

    @staticmethod
    def remove_spawn_callback(callback: Callable[[Any], Any]) -> None:
        """Undoes add_spawn_callback(), if there is something to undo."""
        spawn_callbacks.discard(callback)

    # ---- switching to it: for those who know what they do ----

    def switch(self, value: Any = NOTHING, /, *more: Any) -> Any:
        """As Coroutine's; what it delivers to one that has not started is lost. Nobody wakes who
        calls this, unless he waits for something."""
        if self._entry is not None:
            self._take_back()
            return super().switch()
        return super().switch(value, *more)

    def throw(self, kind: Any = CoroutineExit, value: Any = None, traceback: Any = None) -> Any:
        """As Coroutine's. One that has not started ends without running; None then. Tasks kill()
        each other instead."""
        if self._entry is None:
            return super().throw(kind, value, traceback)
        error = make_exception(kind, value, traceback)
        self._take_back()
        return self.fail(error)

    # ---- the end ----

    @defer_interrupt
    def succeed(self, value: Any) -> None:
        """Its function has returned."""
        self._value = value
        self._function = self._kwargs = None
        self.args = ()
        observer = self._observer
        if observer is not None:
            self._observer = None
            observer(self)
        if self._waiting is not None or self._links is not None:
            self._tell()

    @defer_interrupt
    def fail(self, error: BaseException) -> None:
        """Its function has raised, or could not be started. For _main() and the loop."""
        if self._value is not PENDING:  # an interrupt in between
            self._loop.tell_error(self, error)
            return
        if isinstance(error, CoroutineExit):
            self._value = error.with_traceback(None)  # its frames would keep what they hold
        else:
            self._value = None
            self._error = error
            self._traceback = error.__traceback__
        self._entry = self._context = self._function = self._kwargs = None
        self.args = ()
        try:
            if self._error is not None:
                self._report(error)
        finally:  # stderr may be closed, say
            self._tell()

    def _report(self, error: BaseException) -> None:
        # KeyboardInterrupt and the like are the main program's as well.
        if not self._getters or isinstance(error, self._loop.SYSTEM_ERROR):
            self._loop.tell_error(self, error)

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if value is None:
            try:
                self.join()
            finally:
                self.kill()
        else:
            self.kill(value)

    # ---- killing it ----

    def kill(
        self,
        exception: ExceptionLike = CoroutineExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Raises the exception in it when its turn comes, and with block waits for its end,
        `timeout` seconds at most. One that has not started ends without running; does nothing
        for one that has ended. A task that kills itself gets the exception here, or with
        block=False where it waits next. Errors: InvalidThreadUseError in another thread."""
        error = make_exception(*(exception if isinstance(exception, tuple) else (exception,)))
        check_timeout(timeout)
        if self._value is not PENDING:
            return
        self._check_thread()
        if self._entry is not None:
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None
            self.fail(error)  # its place in the queue is passed over
            return
        if _current() is not self:
            self._loop.interrupt(self, error)
            if block:
                self.join(timeout)
        elif block:
            try:
                raise error
            finally:
                del self, error  # the error holds this frame
        else:
            self._loop.post(self._loop.interrupt, self, error)

    # ---- what else gevent's have ----

    @property
    def name(self) -> str:
        """As given, or the name of what it runs. Settable. Errors: TypeError."""
        return self._name  # type: ignore[return-value]  # a task's is set at once

    @name.setter
    def name(self, name: str) -> None:
        self._name = check_name(name) or type(self).__qualname__

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments of its function, `args` the others: until the end."""
        return {} if self._kwargs is None else self._kwargs

    @property
    def loop(self) -> Loop:
        """The loop that runs it."""
        return self._loop

    @property
    def started(self) -> bool:
        """Has it been told to start, and not ended? As gevent has it, unlike Coroutine."""
        return bool(self)

    @property
    def gr_frame(self) -> FrameType | None:
        """Coroutine.frame"""
        return self.frame

    @property
    def gr_context(self) -> contextvars.Context | None:
        """Coroutine.context"""
        return self.context

    def __bool__(self) -> bool:
        """Has it been told to start, even if its turn has not come yet, and not ended?"""
        return self._value is PENDING and (self._scheduled or self._entry is None)

    def __repr__(self) -> str:
        if self._value is PENDING:
            return super().__repr__()
        end = "done" if self._error is None else f"failed with {type(self._error).__name__}"
        return f"<{type(self).__name__} {self._name!r} {end} {id(self):#x}>"


Greenlet = Task


def _main() -> None:
    """What the coroutine of every task runs. Keeps no reference to the task meanwhile."""
    try:
        me = _current()
        function, args, kwargs = me._function or me._run, me.args, me._kwargs
        del me
        value = function(*args) if kwargs is None else function(*args, **kwargs)
        _current().succeed(value)
    except BaseException as error:
        _fail(error)


@defer_interrupt
def _fail(error: BaseException) -> None:
    _current().fail(error)


def _start(task: Task) -> None:
    task._wait = None
    task._loop.ready.append(task)


spawn = Task.spawn
spawn_later = Task.spawn_later
getcurrent = current
