"""The end of a task: what came out, waiting for it, links. gevent's names.

Those who wait in join() go on after all links have been called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from . import _native
from .checks import check_timeout
from .coroutine import Coroutine
from .errors import InvalidThreadUseError
from .links import (
    FailureSpawnedLink,
    Observer,
    SpawnedLink,
    SuccessSpawnedLink,
    check_callback,
)
from .loop import Loop
from .timeout import Timeout
from .waiting import WaitQueue

_current = _native.current

_Link = Callable[[Callable[[Any], Any]], Callable[[Any], Any]]

PENDING: Any = object()  # the value of what has not ended


class Ending(Coroutine):
    """The part of a Task that has to do with its end. Whatever waits, and the links, are for its
    own thread alone: InvalidThreadUseError elsewhere."""

    __slots__ = (
        "_error",
        "_getters",  # how many wait in get()
        "_links",
        "_loop",
        "_observer",
        "_traceback",  # of the error, as it was at the end; unset before
        "_value",
        "_waiting",
    )

    _error: BaseException | None
    _getters: int
    _links: list[Callable[[Any], Any]] | None
    _loop: Loop
    _observer: Observer | None  # told first; further ones are among the links
    _traceback: TracebackType | None
    _value: Any
    _waiting: WaitQueue | None

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

    @property
    def exc_info(
        self,
    ) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
        """Type, value and traceback of what its function raised; else None."""
        error = self._error
        return None if error is None else (type(error), error, self._traceback)

    def raise_exception(self) -> None:
        """Raises what its function raised, if it has."""
        if self._error is not None:
            try:
                raise self._error.with_traceback(self._traceback)
            finally:
                del self  # the error holds this frame

    _raise_exception = raise_exception  # gevent's

    # ---- waiting for it ----

    def join(self, timeout: float | None = None) -> bool:
        """Waits for its end, `timeout` seconds at most. Has it ended? Errors: RuntimeError where
        it waits for itself; InvalidThreadUseError in another thread."""
        check_timeout(timeout)
        if self._value is not PENDING:
            return True
        self._check_thread()
        if _current() is self:
            raise RuntimeError(f"{self!r} cannot wait for its own end")
        if self._waiting is None:
            self._waiting = WaitQueue(self)
        return self._waiting.wait(timeout)

    def _join_to_get(self, timeout: float | None) -> bool:
        self._getters += 1
        try:
            return self.join(timeout)
        finally:
            self._getters -= 1

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """What its function returns, or raises what that raises. Errors: Timeout after `timeout`
        seconds, or at once with block=False."""
        if self._value is PENDING and not (block and self._join_to_get(timeout)):
            raise Timeout(timeout if block else None)
        try:
            self.raise_exception()
            return self._value
        finally:
            del self

    def result(self, timeout: float | None = None) -> Any:
        """The same as concurrent.futures has it: TimeoutError after `timeout` seconds."""
        if not self._join_to_get(timeout):
            raise TimeoutError(f"{self!r} has not ended after {timeout} seconds")
        try:
            return self.get()
        finally:
            del self

    # ---- links ----

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Calls it with the task, in the loop, soon after the end; soon where that has been. It
        must not wait. Errors: TypeError for what is not callable."""
        check_callback(callback)
        self._check_thread()
        if self._links is not None:
            self._links.append(callback)
        else:
            self._links = [callback]
            if self._value is not PENDING:
                self._loop.post(self._call_links)

    def link(self, callback: Callable[[Any], Any], SpawnedLink: _Link = SpawnedLink) -> None:  # noqa: N803
        """Like rawlink(), but calls it in a coroutine of its own, where it may wait. `SpawnedLink`:
        what makes a link of it that does so. gevent's."""
        self.rawlink(SpawnedLink(callback))

    def link_value(
        self,
        callback: Callable[[Any], Any],
        SpawnedLink: _Link = SuccessSpawnedLink,  # noqa: N803
    ) -> None:
        """Like link(), but only where the task ends without an error."""
        self.link(callback, SpawnedLink)

    def link_exception(
        self,
        callback: Callable[[Any], Any],
        SpawnedLink: _Link = FailureSpawnedLink,  # noqa: N803
    ) -> None:
        """Like link(), but only where the task ends by an error."""
        self.link(callback, SpawnedLink)

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Undoes one of these; does nothing where there is nothing to undo."""
        if callback is self._observer:
            self._observer = None
        elif self._links is not None and callback in self._links:
            self._links.remove(callback)

    def unlink_all(self) -> None:
        """Undoes all of these."""
        if self._links is not None:
            self._links[:] = [link for link in self._links if isinstance(link, Observer)]

    def has_links(self) -> bool:
        """Are there any?"""
        return bool(self._links) or self._observer is not None

    # ---- for task.py ----

    def observe(self, observer: Observer) -> None:
        """Tells it of the end, which has not been."""
        if self._observer is None:
            self._observer = observer
        elif self._links is None:
            self._links = [observer]
        else:
            self._links.append(observer)

    def _tell(self) -> None:
        """It has ended: tells all that want to know."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer(self)
        links, self._links = self._links, None
        for link in links or ():
            if isinstance(link, Observer):
                link(self)
            elif self._links is None:
                self._links = [link]
                self._loop.post(self._call_links)
            else:
                self._links.append(link)
        if self._links is None and self._waiting is not None:
            self._waiting.wake_all()

    def _call_links(self) -> None:
        links = self._links
        while links:  # one may add others, and remove later ones
            link = links.pop(0)
            try:
                link(self)
            except BaseException as error:
                self._loop.tell_error((link, self), error)
        self._links = None
        if self._waiting is not None:
            self._waiting.wake_all()

    def _check_thread(self) -> None:
        here = _current()
        if here is None or here._thread is not self._loop._thread:
            raise InvalidThreadUseError(
                f"{self!r} belongs to another thread's loop: hand the call over by its "
                "call_soon_threadsafe()"
            )
