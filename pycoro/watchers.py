"""The watchers of gevent.core: they call a function when something happens. core.py makes them.

A watcher is for its loop's own thread, but for send(). Its callback is called in the loop, where it
must not wait, if not said otherwise. `ref`, where it matters: timers, and those of send().
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from .checks import check_number, check_seconds
from .errors import InvalidThreadUseError
from .loop import Loop, get_loop
from .os import waitpid
from .poller import READ, WRITE
from .signal import signal_handler
from .task import Task
from .timers import LightTimer, Timer

fork_watchers: WeakSet[ForkWatcher] = WeakSet()  # those that are active


class Watcher:
    """What all of them have. `active`: between start() and stop(). `ref`: may the loop still be
    waited for, or does this one alone not count? As a context manager it is closed at the end."""

    def __init__(self, owner: Loop, ref: bool = True) -> None:
        self.hub = owner
        self.callback: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] = ()
        self._ref = ref

    @property
    def ref(self) -> bool:
        """See above; also to be set while it is active."""
        return self._ref

    @ref.setter
    def ref(self, ref: bool) -> None:
        if ref != self._ref:
            self._ref = ref
            if self.active:
                self._apply_ref()

    @property
    def loop(self) -> Any:
        """The hub's, as core.py has it."""
        return self.hub.loop

    @property
    def active(self) -> bool:
        return self.callback is not None

    @property
    def pending(self) -> bool:
        """Has it been called for, and its turn not come? That is not told here."""
        return False

    def start(self, callback: Callable[..., Any], *args: Any) -> None:
        """Calls it, from now on, when it happens; instead of another, if there is one. Errors:
        TypeError for what is not callable; InvalidThreadUseError in another thread; OSError,
        ValueError where it cannot be watched."""
        if not callable(callback):
            raise TypeError(f"the callback must be callable, not {type(callback).__name__}")
        if get_loop() is not self.hub:
            raise InvalidThreadUseError(f"{self!r} belongs to another thread's loop")
        if self.active:
            self.stop()
        self._begin()
        self.callback, self.args = callback, args

    def stop(self) -> None:
        """Calls nothing any more, until start(). Does nothing where it is not active."""
        if self.active:
            self.callback, self.args = None, ()
            self._end()

    def close(self) -> None:
        """stop(), and it is not used again."""
        self.stop()

    def _begin(self) -> None:
        pass

    def _end(self) -> None:
        pass

    def _apply_ref(self) -> None:
        """It has changed, while this is active."""

    def _fire(self) -> None:
        if self.callback is not None:
            self.callback(*self.args)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"active callback={self.callback!r}" if self.active else "stopped"
        return f"<{type(self).__name__} {state} {id(self):#x}>"


class IoWatcher(Watcher):
    """Called as long as the descriptor is ready: `events` is READ, WRITE or both. There may be
    several for one; Loop.add_reader() for the same one would take its place."""

    def __init__(self, owner: Loop, fd: int, events: int, ref: bool = True) -> None:
        super().__init__(owner, ref)
        if not events or events & ~(READ | WRITE):
            raise ValueError(f"events must be 1, to read, 2, to write, or 3, not {events!r}")
        self.fd = fd
        self.events = events
        self._passes_events = False

    def fileno(self) -> int:
        return self.fd

    def start(self, callback: Callable[..., Any], *args: Any, pass_events: bool = False) -> None:
        """As a Watcher's. With pass_events, READ or WRITE, what it is ready for, goes before the
        other arguments."""
        super().start(callback, *args)
        self._passes_events = pass_events

    def fire(self, direction: int) -> None:
        """It is ready."""
        if self.callback is not None:
            self.callback(*([direction] if self._passes_events else []), *self.args)

    def _begin(self) -> None:
        others = self._others()
        for direction in (READ, WRITE):
            if self.events & direction:
                others.setdefault((self.fd, direction), []).append(self)
                self._arm(direction)

    def _end(self) -> None:
        others = self._others()
        for direction in (READ, WRITE):
            here = others.get((self.fd, direction), [])
            if self in here:  # not in a forked child, which has forgotten all of them
                here.remove(self)
            if not here and others.pop((self.fd, direction), None) is not None:
                self._remove(direction)

    def _others(self) -> dict[tuple[int, int], list[IoWatcher]]:
        return self.loop.watched  # type: ignore[no-any-return]

    def _arm(self, direction: int) -> None:
        add = self.hub.add_reader if direction == READ else self.hub.add_writer
        try:
            add(self.fd, self.loop.fire_all, self.fd, direction)
        except BaseException:
            self._end()
            raise

    def _remove(self, direction: int) -> None:
        remove = self.hub.remove_reader if direction == READ else self.hub.remove_writer
        remove(self.fd)


class TimerWatcher(Watcher):
    """Called after `after` seconds, and then every `repeat` seconds, if that is not 0."""

    def __init__(
        self, owner: Loop, after: float = 0.0, repeat: float = 0.0, ref: bool = True
    ) -> None:
        super().__init__(owner, ref)
        self.after = check_number(after, "after")
        self.repeat = check_seconds(repeat, "repeat")
        self._timer: Timer | None = None

    def start(self, callback: Callable[..., Any], *args: Any, update: bool | None = None) -> None:
        """As a Watcher's. `update` is libev's: the time is always that of now."""
        super().start(callback, *args)

    def again(self, callback: Callable[..., Any], *args: Any, update: bool | None = None) -> None:
        """start(), but the first time is after `repeat` seconds as well."""
        self.stop()
        first, self.after = self.after, self.repeat
        try:
            self.start(callback, *args)
        finally:
            self.after = first

    def _begin(self) -> None:
        self._set(self.after)

    def _set(self, seconds: float) -> None:
        self._set_at(self.hub.clock() + seconds)

    def _set_at(self, when: float) -> None:
        kind = Timer if self.ref else LightTimer
        self._timer = self.hub.add_timer(kind(when, self._fire, ()))

    def _apply_ref(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._set_at(self._timer.when)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        callback, args = self.callback, self.args
        if self.repeat:
            self._set(self.repeat)
        else:
            self.callback, self.args, self._timer = None, (), None
        if callback is not None:
            callback(*args)


class AsyncWatcher(Watcher):
    """Called once after send(), which may be called in any thread, or several times before that.
    While it is active, and has `ref`, a loop with nothing else to do waits for it."""

    def __init__(self, owner: Loop, ref: bool = True) -> None:
        super().__init__(owner, ref)
        self._sent = False
        self._process = 0  # in which the loop knows of it

    @property
    def pending(self) -> bool:
        """Has send() been called, and its turn not come?"""
        return self._sent

    def send(self) -> None:
        """From any thread or signal handler. Does nothing where it is not active."""
        if self.active and not self._sent:
            self._sent = True  # before it may arrive
            self.hub.post_threadsafe(self._arrive)

    send_ignoring_arg = send

    def _arrive(self) -> None:
        if self._sent:  # else of two threads' that are one, or it has been stopped
            self._sent = False
            self._fire()

    def _begin(self) -> None:
        self._apply_ref()

    def _end(self) -> None:
        self._count(False)
        self._sent = False

    def _apply_ref(self) -> None:
        self._count(self.ref)

    def _count(self, wanted: bool) -> None:
        """Is the loop to wait for it?"""
        counted = self._process == os.getpid()  # a forked child's loop counts from 0
        self.hub.foreign += wanted - counted
        self._process = os.getpid() if wanted else 0


class SignalWatcher(Watcher):
    """Called after the signal, in a task of its own. Errors: as signal_handler()."""

    def __init__(self, owner: Loop, signum: int, ref: bool = True) -> None:
        super().__init__(owner, ref)
        self.signum = signum
        self._handler: signal_handler | None = None

    def _begin(self) -> None:
        self._handler = signal_handler(self.signum, self._fire)

    def _end(self) -> None:
        if self._handler is not None:
            self._handler.cancel()


class ChildWatcher(Watcher):
    """Called when the child process has ended and is reaped: `rpid`, its number, and `rstatus`, as
    os.waitpid() has it. In a task of its own."""

    def __init__(self, owner: Loop, pid: int, trace: int = 0, ref: bool = True) -> None:
        super().__init__(owner, ref)
        self.pid = pid
        self.rpid = 0
        self.rstatus = 0
        self._task: Task | None = None

    def _begin(self) -> None:
        self._task = Task.spawn(self._reap)

    def _reap(self) -> None:
        self.rpid, self.rstatus = waitpid(self.pid or -1, 0)
        self._task = None  # stop() in the callback is not to end that
        self._fire()

    def _end(self) -> None:
        if self._task is not None:
            self._task.kill(block=False)
            self._task = None


class ForkWatcher(Watcher):
    """Called in the child after a fork, in its loop."""

    def _begin(self) -> None:
        fork_watchers.add(self)

    def _end(self) -> None:
        fork_watchers.discard(self)
