"""gevent.core's names: `get_hub().loop`, for programs that use the watchers of libev's loop.

What we have ourselves is simpler: Loop.add_reader(), call_later(), call_soon_threadsafe() and
signal_handler().
"""

from __future__ import annotations

import time as _time
from collections.abc import Callable
from typing import Any

from . import _native
from .entries import Handle
from .forks import in_child, reinit
from .loop import Loop
from .poller import READ, WRITE
from .watchers import (
    AsyncWatcher,
    ChildWatcher,
    ForkWatcher,
    IoWatcher,
    SignalWatcher,
    TimerWatcher,
    fork_watchers,
)

__all__ = ["READ", "WRITE", "loop", "recommended_backends", "supported_backends", "time"]


def supported_backends() -> list[str]:
    """What the loop waits with: there is no choice."""
    return ["epoll"]


recommended_backends = supported_backends
time = _time.time


class Callback(Handle):
    """A call that run_callback() has promised. `pending`: it has not begun, nor been stopped; then
    it is true as well."""

    __slots__ = ()

    def run(self) -> None:
        callback, args = self.callback, self.args
        self.cancel()
        if callback is not None:
            callback(*args)

    @property
    def pending(self) -> bool:
        return self.callback is not None

    def __bool__(self) -> bool:
        return self.callback is not None

    stop = close = Handle.cancel


class loop:  # noqa: N801  # gevent's name
    """A Loop by the names of gevent's `hub.loop`: it makes watchers, and `ref` and `priority` are
    as in these; of `priority` nothing is made."""

    MAXPRI, MINPRI = 2, -2
    backend = "epoll"

    def __init__(self, hub: Loop) -> None:
        self.hub = hub
        self.watched: dict[tuple[int, int], list[IoWatcher]] = {}

    def io(self, fd: int, events: int, ref: bool = True, priority: Any = None) -> IoWatcher:
        """Of a descriptor: `events` is 1 for reading, 2 for writing, 3 for both."""
        return IoWatcher(self.hub, fd, events, ref)

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: Any = None
    ) -> TimerWatcher:
        """Of a time: `after` seconds, then every `repeat` seconds."""
        return TimerWatcher(self.hub, after, repeat, ref)

    def async_(self, ref: bool = True, priority: Any = None) -> AsyncWatcher:
        """Of its own send()."""
        return AsyncWatcher(self.hub, ref)

    def signal(self, signum: int, ref: bool = True, priority: Any = None) -> SignalWatcher:
        """Of a signal."""
        return SignalWatcher(self.hub, signum, ref)

    def child(self, pid: int, trace: int = 0, ref: bool = True) -> ChildWatcher:
        """Of the end of a child process; 0: of any."""
        return ChildWatcher(self.hub, pid, trace, ref)

    def fork(self, ref: bool = True, priority: Any = None) -> ForkWatcher:
        """Of a fork, in the child."""
        return ForkWatcher(self.hub, ref)

    def fire_all(self, fd: int, direction: int) -> None:
        """The hub's: the descriptor is ready."""
        for watcher in list(self.watched.get((fd, direction), ())):
            try:
                watcher.fire(direction)
            except BaseException as error:
                self.hub.tell_error(watcher, error)

    def run_callback(self, func: Callable[..., Any], *args: Any) -> Callback:
        """Calls it in the loop, soon. Errors: as Loop.call_soon()."""
        return self._promise(func, args, self.hub.call_soon)

    def run_callback_threadsafe(self, func: Callable[..., Any], *args: Any) -> Callback:
        """The same, from any thread."""
        return self._promise(func, args, self.hub.call_soon_threadsafe)

    def _promise(
        self, func: Callable[..., Any], args: tuple[Any, ...], call: Callable[..., Any]
    ) -> Callback:
        if not callable(func):
            raise TypeError(f"callback must be callable, not {type(func).__name__}")
        promise = Callback(func, args)
        call(promise.run)
        return promise

    @property
    def default(self) -> bool:
        """Is it the main thread's?"""
        return self.hub.main_hub

    def now(self) -> float:
        """time.time()"""
        return _time.time()

    def update_now(self) -> None:
        """Does nothing: times are always those of now."""

    update = update_now

    def install_sigchld(self) -> None:
        """Does nothing: no handler of signals is needed for children, nor taken away."""

    reset_sigchld = install_sigchld

    def reinit(self) -> None:
        """reinit() of this package"""
        reinit()

    def handle_error(self, context: Any, kind: Any, value: Any, traceback: Any) -> None:
        """The hub's."""
        self.hub.handle_error(context, kind, value, traceback)

    def __repr__(self) -> str:
        return f"<loop of {self.hub!r}>"


@in_child
def _after_fork_in_child() -> None:
    here = _native.current()
    hub = None if here is None else here._thread.loop
    if hub is not None and "loop" in vars(hub):
        hub.loop.watched.clear()  # as the hub has forgotten its callbacks
    for watcher in list(fork_watchers):
        if watcher.hub is hub:
            hub.post(watcher._fire)


Loop.loop_class = loop
