"""Tasks: function calls that the loop runs side by side. spawn, sleep, join, kill.

A task that fails is reported on stderr once, unless somebody is waiting in get() to have the
error; nothing else is affected. Its result, or error, stays with it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Any

from . import _native
from .checks import make_exception
from .coroutine import ContextPolicy, Coroutine, current
from .errors import CoroutineError, CoroutineExit
from .loop import Loop, get_loop
from .timers import Timer
from .waiting import WaitQueue
from .wakeup import defer_interrupt

_current = _native.current
_enlist = _native.enlist
_copy_context = _native.copy_context

GreenletExit = CoroutineExit

PENDING: Any = object()  # the value of a task that has not ended


def _main() -> None:
    """What the coroutine of every task runs."""
    me = _current()
    function, args, kwargs = me._call
    me._call = None
    del me
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        _current().fail(error)
    else:
        _current().succeed(value)


class Task(Coroutine):
    """A call of function(*args, **kwargs) that runs in the loop of the thread that makes it.

    spawn() makes and starts one. `name`, `context`, `stack_size`: settable as Coroutine's
    parameters by Task.make(), for the keywords here are the function's.
    Errors: TypeError for a function that is not callable.
    """

    __slots__ = (
        "__dict__",
        "_call",
        "_error",
        "_links",
        "_loop",
        "_scheduled",  # has it been told to start?
        "_value",
        "_waiting",
    )

    def __init__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        if not callable(function):
            raise TypeError(f"the function must be callable, not {type(function).__name__}")
        # Coroutine.__init__ in short: this is what spawning costs.
        here = _enlist(self)
        loop = here._thread.loop if here is not None else None
        if loop is None:
            loop = get_loop()
        self._entry: Any = _main
        self._parent: Any = loop
        self._thread = loop._thread
        self._wait = None
        self._stack_size = None
        self._context = _copy_context()
        try:
            self._name = function.__qualname__
        except AttributeError:
            self._name = type(function).__qualname__
        self._loop = loop
        self._scheduled = False
        self._call: Any = (function, args, kwargs)
        self._value: Any = PENDING
        self._error: BaseException | None = None
        self._links: list[Callable[[Task], Any]] | None = None
        self._waiting: WaitQueue | None = None

    @classmethod
    def make(
        cls,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        stack_size: int | None = None,
        context: ContextPolicy | contextvars.Context = "copy",
    ) -> Task:
        """A task with the parameters of Coroutine, not yet started."""
        task = cls(function, *args, **(kwargs or {}))
        shape = Coroutine(function, name=name, stack_size=stack_size, context=context)
        task._context = shape._context
        task._stack_size = shape._stack_size
        task._name = shape.name
        return task

    # ---- starting ----

    @classmethod
    def spawn(cls, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
        """A task that starts when its turn comes."""
        task = cls(function, *args, **kwargs)
        task._scheduled = True
        task._loop.ready.append(task)
        return task

    @classmethod
    def spawn_later(
        cls, seconds: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Task:
        """A task that starts after `seconds`."""
        task = cls(function, *args, **kwargs)
        task.start_later(seconds)
        return task

    def start(self) -> None:
        """Has it start when its turn comes; does nothing for one that has been started."""
        if self._may_start():
            self._scheduled = True
            self._loop.ready.append(self)

    def start_later(self, seconds: float) -> None:
        """Like start(), after `seconds`."""
        if self._may_start():
            self._wait = self._loop.add_timer(_Start(self._loop, seconds, self))
            self._scheduled = True

    def _may_start(self) -> bool:
        self._check_thread()
        return not self._scheduled and self._entry is not None

    def _check_thread(self) -> None:
        here = _current()
        if here is None or here._thread is not self._thread:
            raise CoroutineError(
                f"{self!r} belongs to another thread's loop: hand the call over by its "
                "call_soon_threadsafe()"
            )

    # ---- the end ----

    def succeed(self, value: Any) -> None:
        """Its function has returned. For _main()."""
        self._value = value
        if self._waiting is not None or self._links is not None:
            self._tell()

    def fail(self, error: BaseException) -> None:
        """Its function has raised, or could not be started. For _main() and the loop."""
        if isinstance(error, CoroutineExit):
            self._value = error.with_traceback(None)  # its frames would keep what they hold
        else:
            self._value = None
            self._error = error
        self._entry = self._call = None
        try:
            if self._error is not None and not self._is_awaited():
                self._loop.tell_error(self, error)
        finally:  # stderr may be closed, say
            self._tell()

    def _is_awaited(self) -> bool:
        """Is somebody in get(), to have the error? KeyboardInterrupt is the main program's."""
        return isinstance(self._error, Exception) and any(
            type(waiter) is _Getter for waiter in self._links or ()
        )

    def _tell(self) -> None:
        links, self._links = self._links, None
        for link in links or ():
            self._loop.call_soon(link, self)
        if self._waiting is not None:  # after the links, which have run when join() returns
            self._waiting.wake_all()

    def ready(self) -> bool:
        """Has it ended?"""
        return self._value is not PENDING

    def successful(self) -> bool:
        """Has it ended without an error? One that was killed by CoroutineExit has."""
        return self._value is not PENDING and self._error is None

    @property
    def value(self) -> Any:
        """What its function returned; the CoroutineExit that killed it; else None."""
        return None if self._value is PENDING else self._value

    @property
    def exception(self) -> BaseException | None:
        """What its function raised; else None."""
        return self._error

    # ---- waiting for it ----

    def join(self, timeout: float | None = None) -> bool:
        """Waits for its end, `timeout` seconds at most. Has it ended? Errors: RuntimeError where
        it waits for itself; CoroutineError in another thread."""
        if self._value is not PENDING:
            return True
        self._check_thread()
        if _current() is self:
            raise RuntimeError(f"{self!r} cannot wait for its own end")
        if self._waiting is None:
            self._waiting = WaitQueue()
        return self._waiting.wait(timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """What its function returns, or raises what that raises. Errors: TimeoutError after
        `timeout` seconds, or at once with block=False."""
        if self._value is PENDING:
            getter = _Getter()
            if self._links is None:
                self._links = []
            self._links.append(getter)
            try:
                if not block or not self.join(timeout):
                    raise TimeoutError(f"{self!r} has not ended")
            finally:
                if self._links is not None and getter in self._links:
                    self._links.remove(getter)
        if self._error is not None:
            raise self._error
        return self._value

    def result(self, timeout: float | None = None) -> Any:
        """get(timeout=timeout)"""
        return self.get(timeout=timeout)

    def link(self, callback: Callable[[Task], Any]) -> None:
        """Calls it with the task, in the loop, soon after the end; at once where it has ended. It
        must not wait. Errors: TypeError for what is not callable; CoroutineError in another
        thread."""
        if not callable(callback):
            raise TypeError(f"the callback must be callable, not {type(callback).__name__}")
        self._check_thread()
        if self._value is not PENDING:
            self._loop.call_soon(callback, self)
        elif self._links is None:
            self._links = [callback]
        else:
            self._links.append(callback)

    def unlink(self, callback: Callable[[Task], Any]) -> None:
        """Undoes link(); does nothing where there is nothing to undo."""
        if self._links is not None and callback in self._links:
            self._links.remove(callback)

    # ---- killing it ----

    def kill(
        self,
        exception: type[BaseException] | BaseException = CoroutineExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Raises the exception in it when its turn comes, and with block waits for its end,
        `timeout` seconds at most. One that has not started ends without running; does nothing
        for one that has ended. A task that kills itself gets the exception here. Errors:
        CoroutineError in another thread."""
        error = make_exception(exception)
        if self._value is not PENDING:
            return
        self._check_thread()
        if _current() is self:
            raise error
        if self._entry is not None:
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None
            self.fail(error)
        else:
            self._loop.interrupt(self, error)
        if block:
            self.join(timeout)

    def __bool__(self) -> bool:
        """Has it been started, even if its turn has not come yet, and not ended?"""
        return self._value is PENDING and (self._scheduled or self._entry is None)

    def __repr__(self) -> str:
        if self._value is PENDING:
            return super().__repr__()
        end = "done" if self._error is None else f"failed with {type(self._error).__name__}"
        return f"<{type(self).__name__} {self._name!r} {end} {id(self):#x}>"


Greenlet = Task


class _Start(Timer):
    """The start of a task that was made with a delay."""

    __slots__ = ()

    def __init__(self, loop: Loop, seconds: float, task: Task) -> None:
        super().__init__(loop.clock() + seconds, _start, (task,))

    def forget(self, waiter: Any) -> bool:
        self.cancel()
        return True


def _start(task: Task) -> None:
    task._wait = None
    task._loop.ready.append(task)


class _Getter:
    """A link that says that somebody waits in get()."""

    __slots__ = ()

    def __call__(self, task: Task) -> None:
        pass


class _Sleep(Timer):
    """Wakes one that sleeps."""

    __slots__ = ("loop", "waiter")

    def __init__(self, loop: Loop, seconds: float) -> None:
        self.when = loop.clock() + seconds
        self.callback = loop.wake
        self.args = ()
        self.heap = None
        self.loop = loop
        self.waiter: Any = None

    def run(self) -> None:
        self.loop.wake(self.waiter)

    def forget(self, waiter: Any) -> bool:
        self.cancel()
        self.waiter = None  # the timer may stay in the heap for long
        return True


@defer_interrupt
def sleep(seconds: float = 0) -> None:
    """Lets the others run for that long: 0 for one turn each. Errors: ValueError if negative."""
    if not seconds >= 0:  # NaN is neither
        raise ValueError(f"sleep length must be non-negative, not {seconds!r}")
    loop = get_loop()
    if seconds == 0:
        loop.ready.append(loop.enlist(None))
        loop.pass_on()
        return
    timer = _Sleep(loop, seconds)
    timer.waiter = loop.enlist(timer)
    loop.add_timer(timer)
    loop.pass_on()


spawn = Task.spawn
spawn_later = Task.spawn_later
getcurrent = current
