"""Several at once: waiting for all or some of them, and killing them. gevent's names.

What can be waited for is anything with rawlink(callback), and ready() if it may be so already, and
unlink(callback): tasks, events, results, semaphores. The callback is called once, with the object,
in the loop of the thread that linked it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from . import _native
from .checks import check_timeout, make_exception
from .coroutine import Coroutine, current
from .ending import PENDING
from .errors import ConcurrentObjectUseError, CoroutineExit, InvalidThreadUseError
from .links import Observer
from .loop import Loop, get_loop
from .sleeping import sleep
from .task import ExceptionLike, Task
from .timeout import Timeout
from .waiting import pass_on_until
from .wakeup import defer_interrupt

_current = _native.current


class _Collector(Observer):
    """Gathers objects that have become ready, in that order, and wakes who waits for them: when
    there are as many as are `wanted`, or with `at_error` at the first that has failed. One that is
    given twice is linked twice, and told of twice."""

    __slots__ = ("at_error", "loop", "objects", "ready", "waiter", "wanted")

    def __init__(self, objects: list[Any], at_error: bool = False) -> None:
        self.loop: Loop = get_loop()
        self.objects = objects
        self.ready: deque[Any] = deque()
        self.at_error = at_error
        self.waiter: Any = None
        self.wanted = 0
        thread = self.loop._thread
        try:
            for thing in objects:
                if not isinstance(thing, Task):
                    self._link(thing)
                elif thing._value is not PENDING:
                    self.ready.append(thing)
                elif thing._thread is not thread:
                    thing._check_thread()
                elif thing._observer is None:
                    thing._observer = self
                else:
                    thing.observe(self)
        except BaseException:
            self.unlink()
            raise

    def _link(self, thing: Any) -> None:
        if not hasattr(thing, "rawlink"):
            raise TypeError(
                f"cannot wait for {type(thing).__name__}: something with rawlink() was expected, "
                "a Task or an Event, say"
            )
        if hasattr(thing, "ready") and thing.ready():
            self.ready.append(thing)
        else:
            thing.rawlink(self)

    def __call__(self, source: Any) -> None:
        self.ready.append(source)
        if self.waiter is not None and (
            len(self.ready) >= self.wanted or (self.at_error and _has_failed(source))
        ):
            waiter, self.waiter = self.waiter, None
            self.loop.wake(waiter)

    @defer_interrupt
    def wait(self, wanted: int, timeout: float | None) -> bool:
        """Until there are as many; False where `timeout` seconds were over first."""
        if self.waiter is not None:
            raise ConcurrentObjectUseError(f"{self.waiter!r} waits for these objects already")
        self.wanted = wanted
        self.waiter = waiter = self.loop.enlist(self)
        return pass_on_until(self.loop, waiter, self, timeout)

    def forget(self, waiter: Any) -> bool:
        self.waiter = None
        return True

    def unlink(self) -> None:
        """What is still missing is waited for no more."""
        objects, self.objects = self.objects, []
        for thing in objects:
            if isinstance(thing, Task) and thing._value is not PENDING:
                continue
            unlink = getattr(thing, "unlink", None)
            if unlink is not None:
                unlink(self)

    def _pending(self) -> list[Any]:
        come = set(map(id, self.ready))
        return [thing for thing in self.objects if id(thing) not in come]

    names_blockers = True  # in its repr; see deadlock.py

    def _blockers(self, waiter: Coroutine) -> list[Any]:
        """For reports: those that must end first, where all must; not more than are worth it."""
        if self.wanted < len(self.objects):
            return []
        return [thing for thing in self._pending()[:_LOOKED_AT] if isinstance(thing, Task)]

    def __repr__(self) -> str:
        pending = self._pending()
        names = [
            f"{type(thing).__name__} {thing.name.rpartition('<locals>.')[2]!r}"
            if isinstance(thing, Task)
            else repr(thing)
            for thing in pending[:_NAMED]
        ]
        if len(pending) > _NAMED:
            names.append(f"and {len(pending) - _NAMED} more")
        return f"<{self.wanted - len(self.ready)} of {len(pending)}: {', '.join(names)}>"


_NAMED = 3  # of those that are waited for, in reports
_LOOKED_AT = 100  # whether they wait in turn


class Waits:
    """What iwait() gives: an iterator. Leaving its block, or dropping it, undoes the links."""

    def __init__(self, objects: list[Any], timeout: float | None, count: int) -> None:
        self._objects = objects
        self._timeout = timeout
        self._left = count
        self._deadline: float | None = None
        self._collector: _Collector | None = None

    def __iter__(self) -> Waits:
        return self

    def __next__(self) -> Any:
        if self._left > 0:
            collector = self._collector or self._begin()
            if collector.ready or self._wait(collector):
                self._left -= 1
                return collector.ready.popleft()
        self.close()
        raise StopIteration

    def _begin(self) -> _Collector:
        collector = self._collector = _Collector(self._objects)
        self._objects = []
        if self._timeout is not None:
            self._deadline = collector.loop.clock() + self._timeout
        return collector

    def _wait(self, collector: _Collector) -> bool:
        if self._deadline is None:
            return collector.wait(1, None)
        return collector.wait(1, max(0.0, self._deadline - collector.loop.clock()))

    def close(self) -> None:
        """Waits for no more of them."""
        self._left = 0
        self._objects = []
        if self._collector is not None:
            self._collector.unlink()

    def __enter__(self) -> Waits:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def iwait(
    objects: Iterable[Any] | None = None, timeout: float | None = None, count: int | None = None
) -> Waits | list[bool]:
    """Iterates over the objects as they become ready, until `count` of them (default: all) have or
    `timeout` seconds in all are over. To leave it early, use it as a context manager. With None
    for the objects: a list of what wait() gives. Errors: as of wait()."""
    check_timeout(timeout)
    if objects is None:
        return [get_loop().join(timeout)]
    things = list(objects)
    return Waits(things, timeout, _how_many(things, count))


def wait(
    objects: Iterable[Any] | None = None, timeout: float | None = None, count: int | None = None
) -> Any:
    """Waits until all the objects are ready, or `count` of them, `timeout` seconds at most. Gives
    a list of those that are, `count` at most, in the order in which they became so; one that is
    given twice is there twice. With None for the objects it waits until this thread has nothing
    to do any more: True, or False after `timeout` seconds.

    Errors: TypeError for what cannot be waited for; RuntimeError where a task would wait for
    itself; InvalidThreadUseError for another thread's task.
    """
    if objects is None:
        return get_loop().join(timeout)
    return joinall(objects, timeout, False, count)


def joinall(
    greenlets: Iterable[Any],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Any]:
    """wait() for tasks. With raise_error, the first error of one that has failed is raised as soon
    as there is one."""
    check_timeout(timeout)
    things = list(greenlets)
    wanted = _how_many(things, count)
    if not wanted:
        return []
    me = _current()
    if wanted == len(things) and any(thing is me for thing in things):
        raise RuntimeError(f"{me!r} cannot wait for its own end")
    collector = _Collector(things, raise_error)
    ready = collector.ready
    try:
        if len(ready) < wanted and not (raise_error and any(map(_has_failed, ready))):
            collector.wait(wanted, timeout)
    finally:
        if len(ready) < len(things):
            collector.unlink()
    ended = list(ready)[:wanted]
    if raise_error:
        failed = [thing for thing in ended if _has_failed(thing)][:1]
        if failed:
            del greenlets, things, collector, ready, ended  # the error is going to hold this frame
            raise_error_of(failed.pop())
    return ended


def raise_error_of(thing: Any) -> None:
    """For who has let go of the object: no frame that the error holds keeps it."""
    try:
        if isinstance(thing, Task):
            thing.raise_exception()
        raise thing.exception
    finally:
        del thing


def _how_many(things: list[Any], count: int | None) -> int:
    if count is None:
        return len(things)
    if not isinstance(count, int):
        raise TypeError(f"the count must be an int or None, not {type(count).__name__}")
    if count < 0:
        raise ValueError(f"the count must not be negative, not {count}")
    return min(count, len(things))


def _has_failed(thing: Any) -> bool:
    return getattr(thing, "exception", None) is not None


def kill(greenlet: Coroutine, exception: ExceptionLike = CoroutineExit) -> None:
    """Task.kill() without waiting, also of what is no task: a main program, or what spawn_raw()
    gave. The running one gets the exception where it waits next. Errors: TypeError for what is no
    coroutine; InvalidThreadUseError in another thread."""
    if isinstance(greenlet, Task):
        greenlet.kill(exception, block=False)
        return
    if not isinstance(greenlet, Coroutine):
        raise TypeError(f"a coroutine was expected, not {type(greenlet).__name__}")
    error = _error_of(exception)
    loop = get_loop()
    if greenlet._thread is not loop._thread:
        raise InvalidThreadUseError(f"{greenlet!r} belongs to another thread")
    if greenlet is loop:
        raise RuntimeError("the loop cannot be killed: destroy() it")
    if greenlet._entry is not None:  # its place in the queue is passed over
        greenlet._entry = greenlet._context = None
    elif greenlet is _current():
        loop.post(loop.interrupt, greenlet, error)
    elif not greenlet.dead:
        loop.interrupt(greenlet, error)


def _error_of(exception: ExceptionLike) -> BaseException:
    return make_exception(*(exception if isinstance(exception, tuple) else (exception,)))


def killall(
    greenlets: Iterable[Any],
    exception: ExceptionLike = CoroutineExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Kills all of them, then waits for their end, `timeout` seconds in all at most. Where the
    running task is among them, it gets the exception here, once the others have been told. What
    spawn_raw() gave is told, and not waited for. Errors: as of kill(); Timeout where they have not
    ended in time."""
    check_timeout(timeout)
    victims = list(greenlets)
    for victim in victims:
        if isinstance(victim, Task):
            victim._check_thread()
        elif not isinstance(victim, Coroutine):
            raise TypeError(f"a Task was expected, not {type(victim).__name__}")
    here = current()
    for victim in victims:
        if victim is not here:
            kill(victim, exception)
    if any(victim is here for victim in victims):
        if block:
            raise _error_of(exception)
        kill(here, exception)
    if not block:
        return
    tasks = [victim for victim in victims if isinstance(victim, Task)]
    if len(tasks) < len(victims):
        sleep()
    if len(joinall(tasks, timeout)) < len(tasks):
        raise Timeout(timeout)
