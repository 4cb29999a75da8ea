"""Timeouts around any block of code that waits, as gevent has them.

When its time is over, a Timeout is raised in the coroutine that started it, at the wait that it is
in. It is a BaseException, so that `except Exception` in between does not swallow it; and as each
is an object of its own, whoever catches one can tell whether it is his.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from .coroutine import Coroutine, current
from .loop import get_loop
from .timers import Timer

_MISSING: Any = object()


class Timeout(BaseException):
    """Raised after `seconds` (None: never), or `exception`, a class or instance, instead of it.
    As a context manager it starts and is cancelled by itself; with exception=False the block is
    then left silently."""

    def __init__(
        self,
        seconds: float | None = None,
        exception: type[BaseException] | BaseException | Literal[False] | None = None,
    ) -> None:
        if exception is not None and exception is not False and not _is_exception(exception):
            raise TypeError(
                "exception must be False, or a class or instance deriving from BaseException, "
                f"not {exception!r}"
            )
        super().__init__(seconds)
        self.seconds = seconds
        self.exception = exception
        self._timer: Timer | None = None
        self._raised: BaseException = self

    @classmethod
    def start_new(
        cls,
        timeout: float | Timeout | None = None,
        exception: type[BaseException] | BaseException | Literal[False] | None = None,
    ) -> Timeout:
        """One that has been started: a given one, if need be, or a new one."""
        one = timeout if isinstance(timeout, Timeout) else cls(timeout, exception)
        if not one.pending:
            one.start()
        return one

    @property
    def pending(self) -> bool:
        """Is it started and not yet over?"""
        return self._timer is not None and self._timer.pending

    def start(self) -> None:
        """For the running coroutine. Errors: RuntimeError where it is pending already."""
        if self.pending:
            raise RuntimeError(f"{self!r} is started already; cancel() it first")
        if self.seconds is None:
            return
        error = self.exception
        if error is None or error is False:
            self._raised = self
        else:
            self._raised = error() if isinstance(error, type) else error
        self._timer = get_loop().call_later(self.seconds, _raise_in, current(), self._raised)

    def cancel(self) -> None:
        """It will not be raised any more. It may be started again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    close = cancel

    def __enter__(self) -> Timeout:
        if not self.pending:
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

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        return f"{self.seconds} second{'' if self.seconds == 1 else 's'}"

    def __repr__(self) -> str:
        state = " pending" if self.pending else ""
        return f"<Timeout{state} seconds={self.seconds} {id(self):#x}>"


def _is_exception(thing: Any) -> bool:
    return isinstance(thing, BaseException) or (
        isinstance(thing, type) and issubclass(thing, BaseException)
    )


def _raise_in(coroutine: Coroutine, error: BaseException) -> None:
    if not coroutine.dead:  # one may end without having cancelled its Timeout
        get_loop().interrupt(coroutine, error)


def with_timeout(
    seconds: float | None,
    function: Callable[..., Any],
    *args: Any,
    timeout_value: Any = _MISSING,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), or `timeout_value` once `seconds` are over; without one, Timeout
    is raised."""
    with Timeout(seconds) as timeout:
        try:
            return function(*args, **kwargs)
        except Timeout as error:
            if error is not timeout or timeout_value is _MISSING:
                raise
            return timeout_value
