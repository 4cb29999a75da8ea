"""Events: one tells, all who wait go on. Event is a flag, AsyncResult a value or an error.

Names and behaviour are gevent's, but both may be used by coroutines of any threads at once, and by
threads without any. Who finds an event set goes on at once, without a turn for the others.

How no wake-up is lost: who tells changes the state first, and wakes after that; who waits stands in
the queue first, and looks at the state after that.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from .checks import make_exception
from .links import Links
from .timeout import Timeout
from .waiting import WaitQueue

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_UNSET: Any = object()


class _Notifier:
    """What can be waited for and linked to; `ready()` is the subclass's. The queue and the list are
    made when they are needed, for most events are soon over."""

    __slots__ = ("__weakref__", "_links", "_waiting")

    _waiting: WaitQueue | None
    _links: Links | None

    def ready(self) -> bool:
        raise NotImplementedError

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Calls it once, with this object, in the loop of the calling thread: soon after this is
        ready, or soon where it is. It must not wait. TypeError where it is not callable."""
        links = self._add_link(callback)
        if self.ready():
            links.call(self)

    def _add_link(self, callback: Callable[[Any], Any]) -> Links:
        if self._links is None:
            new = Links()
            # In one statement, which no other thread can come in between.
            self._links = new if self._links is None else self._links
        self._links.add(callback)
        return self._links

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Undoes rawlink(); does nothing where there is nothing to undo."""
        if self._links is not None:
            self._links.discard(callback)

    def linkcount(self) -> int:
        """How many wait for it or are linked to it."""
        return sum(len(them) for them in (self._waiting, self._links) if them is not None)

    def _wait_until_ready(self, timeout: float | None) -> bool:
        """False where `timeout` seconds were over first."""
        if self._waiting is None:
            new = WaitQueue()
            self._waiting = new if self._waiting is None else self._waiting
        return self._waiting.wait_unless(self.ready, timeout)

    def _notify(self) -> None:
        if self._waiting is not None:
            self._waiting.wake_all()
        if self._links is not None:
            self._links.call(self)

    def _at_fork_reinit(self) -> None:
        """What threading asks of its locks and events in a forked child: whoever waits does so in
        the parent."""
        self._waiting = self._links = None


class Event(_Notifier):
    """A flag that can be waited for: threading.Event's interface."""

    __slots__ = ("_flag",)

    def __init__(self) -> None:
        self._waiting = self._links = None
        self._flag = False

    def is_set(self) -> bool:
        return self._flag

    isSet = ready = is_set  # noqa: N815  # threading's old name, and what wait() asks

    def set(self) -> None:
        """Sets the flag. All that wait now go on, in their order, even if it is cleared before."""
        self._flag = True
        self._notify()

    def clear(self) -> None:
        """Who waits from now on waits for the next set()."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, `timeout` seconds at most. False where the time was over first.
        Errors: TypeError, ValueError for a timeout that is no time."""
        return self._flag or self._wait_until_ready(timeout)

    def __repr__(self) -> str:
        state = "set" if self._flag else "clear"
        return f"<{type(self).__name__} {state} links[{self.linkcount()}] {id(self):#x}>"


class AsyncResult(_Notifier):
    """A value, or an error, that is there some time: set() or set_exception(), and get().

    Both may be called again: then get() gives the last value, if there is one, else the last error.
    An AsyncResult can be the callback of a task's link(), and takes the task's end then.
    """

    __slots__ = ("_exc_info", "_value")

    def __init__(self) -> None:
        self._waiting = self._links = None
        self._value: Any = _UNSET
        self._exc_info: ExcInfo | None = None

    def ready(self) -> bool:
        """Is there a value or an error?"""
        return self._value is not _UNSET or self._exc_info is not None

    done = ready

    def successful(self) -> bool:
        """Is there a value?"""
        return self._value is not _UNSET

    @property
    def value(self) -> Any:
        """What was given to set(); else None."""
        return None if self._value is _UNSET else self._value

    @property
    def exception(self) -> BaseException | None:
        """What was given to set_exception(); else None."""
        return None if self._exc_info is None else self._exc_info[1]

    @property
    def exc_info(self) -> ExcInfo | tuple[()]:
        """Class, error and traceback of set_exception(); else ()."""
        return () if self._exc_info is None else self._exc_info

    def set(self, value: Any = None) -> None:
        """This is the value; wakes all that wait."""
        self._value = value
        self._notify()

    set_result = set

    def set_exception(
        self,
        exception: BaseException | type[BaseException],
        exc_info: tuple[Any, Any, TracebackType | None] | None = None,
    ) -> None:
        """This is the error that get() raises; wakes all that wait. exc_info: class, error and
        traceback, as sys.exc_info() has them, instead of the error's own. Errors: TypeError for
        what is no exception, and the state stays."""
        if exc_info:
            kind, value, traceback = exc_info
            error = make_exception(exception if value is None else value)
        else:
            error = make_exception(exception)
            kind, traceback = type(error), error.__traceback__
        self._exc_info = (kind, error, traceback)
        self._notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Waits for the value, or raises the error. Errors: Timeout after `timeout` seconds, or
        at once with block=False; TypeError, ValueError for a timeout that is no time."""
        if not self.ready():
            if not block:
                raise Timeout()
            if not self._wait_until_ready(timeout):
                raise Timeout(timeout)
        if self._value is not _UNSET:
            return self._value
        assert self._exc_info is not None
        _, error, traceback = self._exc_info
        try:
            raise error.with_traceback(traceback)  # as it was: not longer for each that raises it
        finally:
            del self, error, traceback  # the error holds this frame

    def get_nowait(self) -> Any:
        """get(block=False)"""
        return self.get(block=False)

    def result(self, timeout: float | None = None) -> Any:
        """get(timeout=timeout)"""
        return self.get(timeout=timeout)

    def wait(self, timeout: float | None = None) -> Any:
        """Waits until it is ready, `timeout` seconds at most. Gives the value; None where there is
        an error, or the time was over first. Errors: TypeError, ValueError for a timeout that is
        no time."""
        if not self.ready():
            self._wait_until_ready(timeout)
        return self.value

    def cancel(self) -> bool:
        """False: nobody can cancel it. (As with gevent; for concurrent.futures' sake.)"""
        return False

    cancelled = cancel

    def __call__(self, source: Any) -> None:
        """Takes over the end of a task, or of another AsyncResult: the callback of link()."""
        if source.successful():
            self.set(source.value)
        else:
            self.set_exception(source.exception, getattr(source, "exc_info", None))

    def __repr__(self) -> str:
        if self._value is not _UNSET:
            state = f"value={self._value!r}"
        elif self._exc_info is not None:
            state = f"exception={self._exc_info[1]!r}"
        else:
            state = "unset"
        return f"<{type(self).__name__} {state} links[{self.linkcount()}] {id(self):#x}>"
