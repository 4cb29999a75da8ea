"""ThreadPool: function calls in real threads, which coroutines wait for. Names are gevent's.

For what would block the loop: work of a processor's, or C code that waits by itself. A pool may be
used by the loops of several threads, and by threads without one. Each loop has one of its own,
`get_hub().threadpool`, made when first asked for.

A job that has begun cannot be stopped; whoever waits for it can leave. At the interpreter's end
jobs are not waited for: join() the pool first. In a forked child the pool is as good as new, and
the parent's jobs are the parent's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any
from weakref import WeakSet

from . import _native
from .checks import check_number
from .event import AsyncResult
from .forks import in_child
from .loop import Loop, get_loop
from .mapping import MappingMixin
from .semaphore import Semaphore
from .waiting import WaitQueue
from .workers import Crew, wait_for_threads

_current = _native.current
_pools: WeakSet[ThreadPool] = WeakSet()


class ThreadResult(AsyncResult):
    """The result of a call in a thread, there some time. An error is reported by the loop that has
    asked for the call, unless somebody is waiting for the result by then."""

    __slots__ = ("_call", "_function", "_has_place", "_home", "_pool", "_was_heard")

    def __init__(
        self,
        pool: ThreadPool,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        has_place: bool,
    ) -> None:
        super().__init__()
        self._function: Any = function
        self._call: Any = (copy_context(), args, kwargs)
        self._pool: Any = pool
        self._has_place = has_place
        self._home: Any = get_loop()
        self._was_heard = False  # has somebody been told, or come for it, before home settles it?

    def call(self) -> None:
        """The worker's: makes the call, and keeps what comes of it."""
        context, args, kwargs = self._call
        self._call = (None, None)
        try:
            self._call = (context.run(self._function, *args, **kwargs), None)
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # not us
            self._call = (None, error)
        finally:
            del self, context, args, kwargs  # an error's frames lead back to this one

    def fail(self, error: BaseException) -> None:
        """The worker's: the call could not be made."""
        self._call = (None, error)

    def deliver(self) -> None:
        """The worker's: tells of it. The state first, then those who wait; as the last thing, home,
        which wakes the loop there, and takes the GIL away from here."""
        (value, error), self._call = self._call, None
        if error is None:
            self._value = value
        else:
            self._exc_info = (type(error), error, error.__traceback__)
        pool, self._pool = self._pool, None
        pool.finish(self._has_place)
        home = self._home
        if self._is_awaited_outside(home):
            self._was_heard = True
            self._notify()  # home's own as well
        home.post_threadsafe(self._settle)

    def _is_awaited_outside(self, home: Loop) -> bool:
        """They need not wait until home's loop has its turn."""
        thread = home._thread
        for waiter in self._waiting or ():
            if waiter._thread is not thread:
                return True
        links = self._links
        return links is not None and any(loop is not home for loop in links.loops())

    def _settle(self) -> None:
        """In the loop that has asked for the call."""
        home, self._home = self._home, None
        home.foreign -= 1
        error = self.exception
        if error is not None:
            is_heard = self._was_heard or self.linkcount() > 0
            if not is_heard or isinstance(error, home.SYSTEM_ERROR):
                home.tell_error(self, error)
        self._function = None
        self._notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As AsyncResult's."""
        try:
            return super().get(block, timeout)
        finally:
            self._was_heard = self._was_heard or self.ready()
            del self  # an error holds this frame

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """As AsyncResult's. At home, callbacks of several results are called in the order in which
        the calls have ended."""
        here, home = _current(), self._home
        if home is not None and here is not None and here._thread is home._thread:
            self._add_link(callback)  # home is going to settle it
        else:
            super().rawlink(callback)

    def __repr__(self) -> str:
        if self._function is None:
            return super().__repr__()
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<{type(self).__name__} of {name!r} {id(self):#x}>"


class ThreadPool(MappingMixin):
    """Threads that make calls: `maxsize` of them at most, started when there is work. One more call
    than these can do may be waiting; who spawns yet another waits. len() is the number of calls
    that have not ended, so a pool with nothing to do is false.

    maxsize: settable; calls wait for it to be more where it is 0. hub: gevent's; kept, and of no
    use. idle_task_timeout: seconds after which an idle thread ends; negative for never. Errors:
    TypeError, ValueError for what is none of these.
    """

    def __init__(
        self, maxsize: int, hub: Loop | None = None, idle_task_timeout: float = -1
    ) -> None:
        _check_number("maxsize", maxsize)
        check_number(idle_task_timeout, "idle_task_timeout")
        if hub is not None and not isinstance(hub, Loop):
            raise TypeError(f"hub must be a Loop or None, not {type(hub).__name__}")
        self._hub = hub
        self._maxsize = maxsize
        self._places = Semaphore(maxsize + 1)
        self._crew = Crew(maxsize, idle_task_timeout)
        self._unfinished = 0  # calls whose results are not there yet
        self._finished = WaitQueue(self)  # who waits for there to be none
        _pools.add(self)

    @property
    def hub(self) -> Loop:
        """As given; else the calling thread's."""
        return self._hub or get_loop()

    def __len__(self) -> int:
        return self._crew.demand

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} tasks={len(self)} size={self.size} maxsize={self._maxsize} "
            f"{id(self):#x}>"
        )

    # ---- calls ----

    def spawn(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ThreadResult:
        """Has func(*args, **kwargs) called in a thread, with a copy of the caller's contextvars.
        Waits where too many calls are waiting already, unless one of the pool's own calls asks.
        Errors: TypeError for what is not callable; RuntimeError where no thread can be started."""
        if self._crew.is_own_thread():
            return self.submit(func, *args, **kwargs)
        self._places.acquire()
        try:
            return self._submit(func, args, kwargs, True)
        except BaseException:
            self._places.release()
            raise

    def submit(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ThreadResult:
        """Like spawn(), but never waits, however many calls there are."""
        return self._submit(func, args, kwargs, False)

    def _submit(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        has_place: bool,
    ) -> ThreadResult:
        if not callable(function):
            raise TypeError(f"the function must be callable, not {type(function).__name__}")
        result = ThreadResult(self, function, args, kwargs, has_place)
        home = result._home
        home.foreign += 1
        self._unfinished += 1
        try:
            self._crew.submit(result)
        except BaseException:
            self._unfinished -= 1
            home.foreign -= 1
            raise
        return result

    def finish(self, has_place: bool) -> None:
        """A call is over, and its result is there. For the worker."""
        if has_place:
            self._places.release()
        self._unfinished -= 1
        if not self._unfinished:
            self._finished.wake_all()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until no call is left, `timeout` seconds at most. False where the time was over
        first. Errors: RuntimeError where one of the calls asks."""
        self._refuse_own_thread()
        return self._has_finished() or wait_for_threads(self._finished, self._has_finished, timeout)

    def _has_finished(self) -> bool:
        return not self._unfinished

    def _refuse_own_thread(self) -> None:
        if self._crew.is_own_thread():
            raise RuntimeError(f"a call in {self!r} cannot wait for its own end")

    # ---- threads ----

    @property
    def maxsize(self) -> int:
        """How many threads there may be. Threads that are too many end after the call that they
        are in. Errors: TypeError, ValueError for what is no number of threads."""
        return self._maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        _check_number("maxsize", maxsize)
        more = maxsize - self._maxsize
        self._maxsize = self._crew.limit = maxsize
        if more < 0:
            self._places.counter += more
            if len(self._crew) > maxsize:
                self._crew.shrink(maxsize)
        for _ in range(more):
            self._places.release()
        self._crew.adjust()

    @property
    def size(self) -> int:
        """How many threads there are. Setting it starts some, or has some end once no call is
        waiting, and waits for that. Errors: TypeError, ValueError for a number below 0 or above
        maxsize; RuntimeError where no thread can be started, or one of the calls would have it
        wait."""
        return len(self._crew)

    @size.setter
    def size(self, size: int) -> None:
        _check_number("size", size)
        if size > self._maxsize:
            raise ValueError(
                f"size must not be more than maxsize, {self._maxsize}, but it is {size}"
            )
        self._shrink(size, block=True)
        self._crew.grow(size)

    def kill(self, block: bool = True, timeout: float | None = None) -> bool:
        """Has all threads end once no call is left, and with block waits for that, `timeout`
        seconds at most. False where the time was over first. The pool can be used again: it starts
        new ones. Errors: RuntimeError where one of the calls would wait."""
        return self._shrink(0, block, timeout)

    def _shrink(self, size: int, block: bool, timeout: float | None = None) -> bool:
        if block and len(self._crew) > size:
            self._refuse_own_thread()
        self._crew.shrink(size)
        if not block or _current() is get_loop():  # a callback must not wait
            return True
        return self._crew.wait_until_shrunk(timeout)

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if hasattr(self, "_crew") and not finalizing():
            self._crew.shrink(0)

    def after_fork(self) -> None:
        """In the child, where there are no calls."""
        self._unfinished = 0
        self._finished.wake_all()
        self._places.counter = self._maxsize
        self._places.release()

    def adjust(self) -> None:
        """Does nothing: there are always as many threads as there is work for. gevent's."""

    # ---- for MappingMixin ----

    def _is_member(self) -> bool:
        return self._crew.is_own_thread()

    def _may_block(self) -> bool:
        return True

    def _call_back(self, callback: Callable[..., Any], result: Any) -> None:
        callback(result)


def _check_number(name: str, number: int) -> None:
    if not isinstance(number, int):
        raise TypeError(f"{name} must be an int, not {type(number).__name__}")
    if number < 0:
        raise ValueError(f"{name} must not be negative, but it is {number}")


@in_child
def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.after_fork()


Loop.threadpool_class = ThreadPool

_helpers = ThreadPool(sys.maxsize - 1, idle_task_timeout=10)


def call_in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Calls it in a thread, and lets other tasks run until it returns. Breaking off the wait does
    not stop the call; so these threads are not those of the loop's pool, and there is no limit:
    calls that never return must not keep others from being made. Errors: what it raises;
    RuntimeError where no thread can be started."""
    return _helpers.submit(function, *args).get()
