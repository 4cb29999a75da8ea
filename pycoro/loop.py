"""The loop: who runs next in a thread, and what they wait for.

Each thread has one Loop, made when first asked for. It is a coroutine itself, but not every switch
goes through it: whoever has to wait hands over to the next in the queue `ready`, straight. In there
stand tasks that have not started, coroutines that are to go on, and callbacks, whose turn is the
loop's. One of these is always there, or is running: the loop's own look at timers and descriptors.

A coroutine that waits has in `_wait` what it waits for: an object with forget(waiter), by which
the wait can be broken off. Whoever wakes it clears `_wait` first, so it is never in `ready` twice.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from . import _native
from .coroutine import Coroutine, current
from .errors import CoroutineExit, LoopExit
from .poller import READ, WRITE
from .reports import report, report_unraisable
from .timers import Timer, TimerHeap
from .wakeup import Wakeup, defer_interrupt, on_interrupt
from .watches import Watch, Watches

_LONGEST = 86400.0  # seconds of one sleep in the kernel, which takes 2**31 milliseconds at most
_switch = _native.switch
_current = _native.current


class Handle:
    """A callback that is to run soon. `cancel()` at any time before."""

    __slots__ = ("args", "callback")

    _handle = None  # see Loop._begin()

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def run(self) -> None:
        if self.callback is not None:
            self.callback(*self.args)

    def __repr__(self) -> str:
        return f"<Handle {self.callback!r}>"


class Loop(Coroutine):
    """A thread's loop. get_loop() gives it; do not make one."""

    __slots__ = (
        "_due",
        "_in_line",
        "_timers",
        "_turn",
        "_wakeup",
        "_watches",
        "closed",
        "errors",
        "foreign",
        "main",
        "ready",
    )

    def __init__(self) -> None:
        self.main: Coroutine = current()._thread.main
        super().__init__(self._serve, self.main, name="loop", context="empty")
        self.ready: deque[Any] = deque()
        self.errors: dict[Any, list[BaseException]] = {}  # to be raised there, in turn
        self.foreign = 0  # calls under way in other threads, which will call in: no LoopExit
        self.closed = False
        self._due: deque[Handle] = deque()  # callbacks whose turn has come
        self._turn = Handle(self._look, ())
        self._in_line = True  # is _turn in `ready`?
        self._timers = TimerHeap()
        self._watches = Watches(self, self.ready.append)
        self._wakeup = Wakeup()
        self.add_reader(self._wakeup.fd, self._wakeup.drain)
        self.ready.append(self._turn)

    # ---- callbacks ----

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Calls it in the loop when its turn comes, in the order of calls and spawns. It must not
        wait for anything: spawn a task for that. Only for the loop's own thread. TypeError where
        it is not callable."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        handle = Handle(callback, args)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Like call_soon(), from any thread or signal handler; wakes the loop."""
        handle = self.call_soon(callback, *args)
        self._wakeup.wake()
        return handle

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Calls it after `delay` seconds, not before. Those due at the same time run in the order
        they were made."""
        return self.add_timer(Timer(monotonic() + delay, callback, args))

    def add_timer(self, timer: Timer) -> Timer:
        """`timer.when` is by time.monotonic()."""
        self._timers.add(timer)
        return timer

    # ---- descriptors ----

    def watch(self, fd: int) -> Watch:
        """The Watch of a descriptor; what is ready now is reported there first. OSError where it
        cannot be watched (EBADF; EPERM: a regular file, which is always ready)."""
        return self._watches.get(fd)

    def unwatch(self, fd: int, error: BaseException | None = None) -> None:
        """Before a descriptor is closed: whoever waits for it gets the error, default OSError."""
        watch = self._watches.find(fd)
        if watch is not None:
            self.end_watch(watch, error or OSError(9, "the descriptor was closed"))

    def end_watch(self, watch: Watch, error: BaseException) -> None:
        """The same of a Watch, from any thread."""
        here = _current()
        if here is None or here._thread is not self._thread:
            self.call_soon_threadsafe(self.end_watch, watch, error)
            return
        for waiter in self._watches.remove(watch):
            self.interrupt(waiter, error)

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Calls it whenever the descriptor is readable, as long as it is, until remove_reader()."""
        self._watches.set_callback(_number_of(fd), READ, Handle(callback, args))

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Calls it whenever the descriptor is writable, as long as it is, until remove_writer()."""
        self._watches.set_callback(_number_of(fd), WRITE, Handle(callback, args))

    def remove_reader(self, fd: Any) -> bool:
        """Was there one?"""
        return self._watches.set_callback(_number_of(fd), READ, None)

    def remove_writer(self, fd: Any) -> bool:
        """Was there one?"""
        return self._watches.set_callback(_number_of(fd), WRITE, None)

    # ---- waiting and waking: what waiting.py is made of ----

    def enlist(self, where: Any) -> Coroutine:
        """The running coroutine is about to wait for `where`: gives what to wake() later. Call
        pass_on() next. RuntimeError in a callback, which must not wait."""
        me = _current()
        if me is self:
            raise RuntimeError(
                "a callback of the loop must not wait: spawn a task that does, and waits there"
            )
        me._wait = where
        return me  # type: ignore[no-any-return]

    @defer_interrupt
    def pass_on(self) -> None:
        """Suspends the running coroutine, which stands in a queue somewhere, until its turn."""
        try:
            entry = self.ready.popleft()
        except IndexError:  # a callback of the loop's turn has switched to us
            entry = self._turn
        try:
            _switch(entry if entry._handle is not None else self._begin(entry))
        except BaseException:  # thrown into us: unwinding, or a plain throw()
            self._break_off()
            raise
        if self.errors:
            self._raise_error()

    def _break_off(self) -> None:
        me = _current()
        where, me._wait = me._wait, None
        if where is not None:
            where.forget(me)
        else:
            try:
                self.ready.remove(me)
            except ValueError:
                pass

    def wake(self, waiter: Any) -> None:
        """It goes on when its turn comes. It must be waiting; nothing may be left of its wait."""
        waiter._wait = None
        self.ready.append(waiter)

    def interrupt(self, waiter: Coroutine, error: BaseException) -> None:
        """Breaks off the wait and raises the error there; also in one that has been woken already,
        or that waits for a plain switch() to come back."""
        where = waiter._wait
        if where is not None:
            waiter._wait = None
            where.forget(waiter)
            self.ready.append(waiter)
        elif waiter not in self.ready:  # it waits for a plain switch() to come back
            if not waiter.dead:
                self.call_soon(waiter.throw, error)
            return
        errors = self.errors.setdefault(waiter, [])
        if not (isinstance(error, CoroutineExit) and any(type(e) is type(error) for e in errors)):
            errors.append(error)  # of two kills that it has not noticed yet, one is enough

    def interrupt_main(self, error: BaseException) -> None:
        """Raises the error in the thread's main program, wherever that is."""
        self.interrupt(self.main, error)

    def _raise_error(self) -> None:
        me = _current()
        errors = self.errors.pop(me, None)
        if errors:
            for later in errors[1:]:
                self.call_soon(self.interrupt, me, later)
            raise errors[0]

    def _begin(self, entry: Any) -> Coroutine:
        """Whom to switch to for one that is not alive: a new task gets its stack, and fails where
        it cannot have it; a callback is the loop's. Passes over those that have ended."""
        while True:
            if isinstance(entry, Handle):
                if entry is self._turn:
                    self._in_line = False
                self._due.append(entry)
                self._wake_up()
                return self
            if entry._handle is not None:
                return entry  # type: ignore[no-any-return]
            if entry._run is not None:
                try:
                    _native.prepare(entry)
                    return entry  # type: ignore[no-any-return]
                except BaseException as error:
                    entry.fail(error)
            try:
                entry = self.ready.popleft()
            except IndexError:
                entry = self._turn

    def _wake_up(self) -> None:
        if self.closed:
            raise LoopExit("the loop has ended, for its thread ends: nothing can be waited for")
        if self._handle is None:
            _native.prepare(self)

    # ---- the loop's own turn ----

    @defer_interrupt
    def _serve(self) -> None:
        due = self._due
        try:
            while True:
                while due:
                    self._run_callback(due.popleft())
                entry = self.ready.popleft()
                target = entry if entry._handle is not None else self._begin(entry)
                try:
                    _switch(target)  # comes back when a task has ended, or with something due
                except CoroutineExit:
                    raise
                except BaseException as error:  # of a plain coroutine that was made in here
                    self._tell_error(None, error)
        except CoroutineExit:  # the thread ends
            self.release()

    def _look(self) -> None:
        """Wakes those whose descriptors are ready, and runs timers that are due; sleeps until then
        where there is nothing else to do."""
        if self._in_line:
            return
        try:
            calls = self._watches.poll(0.0 if self.ready else self._patience())
            timers = self._timers
            if len(timers):
                now = monotonic()
                while (timer := timers.pop_due(now)) is not None:
                    self._run_callback(timer)
            for watch, callback in calls:
                self._run_callback(callback)
                if watch.wanted:
                    self._watches.rearm(watch)
        finally:
            if not self._in_line:
                self._in_line = True
                self.ready.append(self._turn)

    def _patience(self) -> float:
        """How long to sleep, in seconds; negative: until something happens."""
        due = self._timers.next_due()
        if due is not None:
            return min(max(0.0, due - monotonic()), _LONGEST)
        if self.foreign or self._watches.awaited(self._wakeup.fd):
            return -1.0
        self.interrupt_main(
            LoopExit(
                "this would wait forever: no task can run, no timer is set and no descriptor is "
                "waited for, so nothing can ever wake the main program"
            )
        )
        return 0.0

    def _run_callback(self, callback: Handle | Timer) -> None:
        try:
            callback.run()
        except BaseException as error:
            self._tell_error(callback, error)

    def _tell_error(self, context: Any, error: BaseException) -> None:
        try:
            self.handle_error(context, error)
        except (KeyboardInterrupt, SystemExit) as another:
            self.interrupt_main(another)
        except BaseException as another:  # must not end the loop
            report_unraisable(another)  # to sys.unraisablehook

    # ---- errors and the end ----

    def handle_error(self, context: Any, error: BaseException) -> None:
        """An exception has ended `context`: a task, a Handle, a Timer, or None. KeyboardInterrupt
        and SystemExit are raised in the main program, others are reported on stderr. May be
        replaced."""
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.interrupt_main(error)
        elif not isinstance(error, CoroutineExit):
            report(context, error)

    def on_ctrl_c(self) -> None:
        """KeyboardInterrupt in the main program. Safe in a signal handler."""
        self.call_soon_threadsafe(self.interrupt_main, KeyboardInterrupt())

    def release(self) -> None:
        """Gives back its descriptors; nothing can wait any more."""
        if self.closed:
            return
        self.closed = True
        self._watches.close()
        self._wakeup.close()

    def after_fork(self) -> None:
        """In the child: kernel objects are shared with the parent, so it gets its own."""
        self._watches.after_fork(self._wakeup.fd)
        self.foreign = 0  # the threads are not here
        self._wakeup.close()
        self._wakeup = Wakeup()
        self.add_reader(self._wakeup.fd, self._wakeup.drain)


Hub = Loop


def get_loop() -> Loop:
    """The calling thread's loop, made if need be."""
    here = _current()
    if here is None:
        here = current()
    thread = here._thread
    loop = thread.loop
    if loop is None:
        loop = thread.loop = Loop()
        on_interrupt(loop.on_ctrl_c, lambda: _current() is loop)
    return loop  # type: ignore[no-any-return]


get_hub = get_loop


def _number_of(fd: Any) -> int:
    number = fd if isinstance(fd, int) else fd.fileno()
    if number < 0:
        raise ValueError(f"{number} is no file descriptor: is it closed already?")
    return int(number)


def _after_fork_in_child() -> None:
    here = _current()
    if here is not None and here._thread.loop is not None:
        here._thread.loop.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
