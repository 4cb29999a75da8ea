"""Timeouts around any block of code that waits, as gevent has them.

When its time is over, a Timeout is raised in the coroutine that started it, at the wait that it is
in. It is a BaseException, so that `except Exception` in between does not swallow it; and as each
is an object of its own, whoever catches one can tell whether it is his. One that nobody catches
says in its traceback who started it where.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import _getframe
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal
from weakref import ref as _weak

from . import _native
from .checks import check_timeout
from .coroutine import Coroutine
from .errors import BlockingSwitchOutError, InvalidThreadUseError
from .loop import Loop, get_loop
from .timers import LightTimer, Timer

_current = _native.current
_MISSING: Any = object()

Thrown = type[BaseException] | BaseException | Literal[False] | str | None


class Timeout(BaseException):
    """Raised after `seconds` (None: never), or `exception`, a class or instance, instead of it; a
    str is a remark to be told with it. As a context manager it starts and is cancelled by itself;
    with exception=False the block is then left silently. With ref=False, a wait() for all there is
    to do does not wait for it; `priority` is there for gevent's callers.

    Errors: TypeError, ValueError for seconds that are no number, negative or NaN.
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: Thrown = None,
        ref: bool = True,
        priority: int = -1,
    ) -> None:
        check_timeout(seconds)
        if not (exception is None or exception is False or _can_be_thrown(exception)):
            raise TypeError(
                "exception must be False, or a class or instance deriving from BaseException, "
                f"not {exception!r}"
            )
        super().__init__(seconds)
        self.seconds = seconds
        self.exception = exception
        self.ref = ref
        self._timer: Timer | None = None
        self._raised: BaseException | None = None  # it has come, and cancel() has not
        self._loop: Loop | None = None
        self._owner: Callable[[], Coroutine | None] | None = None
        self._code: CodeType | None = None
        self._line = 0

    @classmethod
    def start_new(
        cls,
        timeout: float | Timeout | None = None,
        exception: Thrown = None,
        ref: bool = True,
    ) -> Timeout:
        """One that has been started: a given one, if need be, or a new one."""
        one = timeout if isinstance(timeout, Timeout) else cls(timeout, exception, ref)
        if not one.pending:
            one.start()
        return one

    @property
    def pending(self) -> bool:
        """Is it started and not yet over?"""
        return self._timer is not None

    @property
    def owner(self) -> Coroutine | None:
        """The coroutine that started it last, in which it is raised, while that lives."""
        return self._owner() if self._owner is not None else None

    @property
    def place(self) -> str | None:
        """Where it was started last: "file:line"."""
        return f"{self._code.co_filename}:{self._line}" if self._code is not None else None

    def start(self) -> None:
        """For the running coroutine. Errors: RuntimeError where it is pending already, or in a
        callback of the loop."""
        if self._timer is not None:
            raise RuntimeError(f"{self!r} is started already; cancel() it first")
        seconds = self.seconds
        if seconds is None:
            return
        loop = self._loop = get_loop()
        me = _current()
        if me is loop:
            raise BlockingSwitchOutError(
                "a callback of the loop must not wait, so it needs no Timeout: spawn a task"
            )
        self._owner = _weak(me)
        frame: FrameType | None = _getframe(1)
        while frame is not None and frame.f_globals is _OWN_GLOBALS:
            frame = frame.f_back
        if frame is not None:
            self._code, self._line = frame.f_code, frame.f_lineno
        kind = Timer if self.ref else LightTimer
        # The timer must not keep one that has ended without having cancelled its Timeout.
        self._timer = loop.add_timer(kind(loop.clock() + seconds, self._expire, (self._owner,)))

    def _expire(self, weak_owner: Callable[[], Coroutine | None]) -> None:
        loop, owner = self._loop, weak_owner()
        self._timer = None
        if loop is None or owner is None or owner.dead:
            return
        # It may not have noticed yet that another has expired, say, which takes it out of our
        # block: then cancel() withdraws this.
        self._raised = self._make_error(owner)
        loop.interrupt(owner, self._raised)

    def _make_error(self, owner: Coroutine) -> BaseException:
        error: Any = self.exception
        if error is None or error is False or isinstance(error, str):
            error = self
        try:
            if isinstance(error, type):
                error = error()
            # Not add_note(), for it may be raised more than once.
            notes = [note for note in getattr(error, "__notes__", ()) if _NOTE not in note]
            note = f"{_NOTE} of {self.seconds} seconds that {owner.name!r} started at {self.place}"
            error.__notes__ = [*notes, note]
        except BaseException as another:
            error = another
        return error  # type: ignore[no-any-return]

    def cancel(self) -> None:
        """It will not be raised any more. It may be started again. Errors: InvalidThreadUseError
        in another thread than that of its start."""
        timer, loop = self._timer, self._loop
        if timer is None:
            if self._raised is not None and loop is not None:
                loop.withdraw(self._raised)
                self._raised = None
            return
        here = _current()
        if loop is not None and (here is None or here._thread is not loop._thread):
            raise InvalidThreadUseError(f"{self!r} was started in another thread")
        self._timer = None
        timer.cancel()

    close = cancel

    def __enter__(self) -> Timeout:
        if self._timer is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.cancel()
        return value is self and self.exception is False

    def __lt__(self, other: Any) -> bool:
        """By their seconds, as gevent has it: another Timeout, or a number."""
        result: bool = self.seconds < getattr(other, "seconds", other)
        return result

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        text = f"{self.seconds} second{'' if self.seconds == 1 else 's'}"
        if self.exception is None:
            return text
        return f"{text} (silent)" if self.exception is False else f"{text}: {self.exception}"

    def __repr__(self) -> str:
        text = f"<{type(self).__name__} at {id(self):#x} seconds={self.seconds}"
        if self.exception is not None:
            text += f" exception={self.exception!r}"
        if self._timer is not None:
            text += " pending"
        if self._code is not None:
            owner = self.owner
            name = owner.name if owner is not None else "one that is gone"
            text += f" started by {name!r} at {self.place}"
        return f"{text}>"


_NOTE = "pycoro: this is the Timeout"
_OWN_GLOBALS = globals()


def _can_be_thrown(thing: Any) -> bool:
    return isinstance(thing, BaseException | str) or (
        isinstance(thing, type) and issubclass(thing, BaseException)
    )


def with_timeout(
    seconds: float | None,
    function: Callable[..., Any],
    *args: Any,
    timeout_value: Any = _MISSING,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), or `timeout_value` once `seconds` are over; without one, Timeout
    is raised."""
    with Timeout.start_new(seconds) as timeout:
        try:
            return function(*args, **kwargs)
        except Timeout as error:
            if error is not timeout or timeout_value is _MISSING:
                raise
            return timeout_value
        finally:
            del timeout  # it holds this frame where it has been raised
