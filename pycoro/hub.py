"""gevent.hub's names, among them Waiter: a value or an error that one coroutine waits for."""

from __future__ import annotations

from typing import Any

from . import _native
from .checks import make_exception
from .errors import ConcurrentObjectUseError, InvalidThreadUseError, LoopExit
from .forks import reinit
from .loop import Hub, Loop, get_hub
from .raw import spawn_raw
from .signal import signal_handler as signal
from .sleeping import idle, sleep
from .task import GreenletExit, getcurrent
from .tasks import iwait, kill, wait
from .wakeup import defer_interrupt

__all__ = [
    "GreenletExit",
    "Hub",
    "LoopExit",
    "Waiter",
    "get_hub",
    "getcurrent",
    "idle",
    "iwait",
    "kill",
    "reinit",
    "signal",
    "sleep",
    "spawn_raw",
    "wait",
]

_current = _native.current

Outcome = tuple[Any, BaseException | None]


class Waiter:
    """Whoever calls get() waits for switch() or throw(), or has what the last of them has brought
    before. Events and queues do the same with more safety. For one thread: errors are
    InvalidThreadUseError in another, ConcurrentObjectUseError where two call get() at once."""

    __slots__ = ("__weakref__", "_brought", "_stored", "greenlet", "hub")

    def __init__(self, hub: Loop | None = None) -> None:
        self.hub = get_hub() if hub is None else hub
        self.clear()

    def clear(self) -> None:
        """As if it were new."""
        self.greenlet: Any = None  # who waits in get()
        self._stored: Outcome | None = None
        self._brought: Outcome | None = None  # for who waits

    def ready(self) -> bool:
        """Has get() something to give?"""
        return self._stored is not None

    def successful(self) -> bool:
        """Would get() give a value?"""
        return self._stored is not None and self._stored[1] is None

    @property
    def value(self) -> Any:
        """What get() would give; else None."""
        return None if self._stored is None else self._stored[0]

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, Any] | None:
        """What get() would raise; else None."""
        error = None if self._stored is None else self._stored[1]
        return None if error is None else (type(error), error, error.__traceback__)

    def switch(self, value: Any) -> None:
        """Gives the value to who waits in get(), or keeps it for who comes."""
        self._bring((value, None))

    def switch_args(self, *args: Any) -> None:
        """switch() with a tuple."""
        self._bring((args, None))

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> None:
        """Has get() raise it: a class, an instance, or class, value and traceback."""
        self._bring((None, make_exception(kind, value, traceback)))

    def __call__(self, source: Any) -> None:
        """As a link: takes what a task, or a result, has ended with."""
        if source.exception is None:
            self.switch(source.value)
        else:
            self.throw(source.exception)

    def _bring(self, outcome: Outcome) -> None:
        self._check_thread()
        waiter = self.greenlet
        if waiter is None:
            self._stored = outcome
        else:
            self.greenlet = None
            self._brought = outcome
            self.hub.wake(waiter)

    @defer_interrupt
    def get(self) -> Any:
        """The value, or raises the error, as soon as there is one."""
        self._check_thread()
        outcome = self._stored
        if outcome is None:
            if self.greenlet is not None:
                raise ConcurrentObjectUseError(f"{self.greenlet!r} waits for this already")
            self.greenlet = self.hub.enlist(self)
            self.hub.pass_on()
            outcome, self._brought = self._brought, None
        if outcome is None:  # somebody has used a plain switch()
            return None
        try:
            if outcome[1] is not None:
                raise outcome[1]
            return outcome[0]
        finally:
            del self, outcome  # an error holds this frame

    def forget(self, waiter: Any) -> bool:
        """The loop's: `waiter` waits no more."""
        if self.greenlet is not waiter:
            return False
        self.greenlet = None
        return True

    def _check_thread(self) -> None:
        here = _current()
        if here is None or here._thread is not self.hub._thread:
            raise InvalidThreadUseError(f"{self!r} belongs to another thread's loop")

    def __repr__(self) -> str:
        return f"<Waiter greenlet={self.greenlet!r}>"
