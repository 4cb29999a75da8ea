"""The loop: who runs next in a thread, and what they wait for.

Each thread has one Loop, made when first asked for. It is a coroutine itself, but not every switch
goes through it: whoever has to wait hands over to the next in the queue `ready`, straight. The loop
has a place in that queue too: in its turn it runs a callback, or the timers that are due and
a look at the descriptors, and lines up again. So `ready` is never empty while somebody runs.

In `ready` stand tasks that have not started, coroutines that are to go on, and the loop, once for
each callback in `_callbacks`, where None stands for timers and descriptors.

A coroutine that waits has in `_wait` what it waits for: an object with forget(waiter), by which
the wait can be broken off. Whoever wakes it clears `_wait` first, so it is never in `ready` twice.
"""

from __future__ import annotations

import _thread
import os
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from . import _native
from .coroutine import Coroutine, current
from .errors import CoroutineExit, LoopExit
from .poller import READ, READABLE, UNUSUAL, WRITABLE, Poller, Watch, make_poller
from .timers import Timer, TimerHeap
from .wakeup import Wakeup, defer_interrupt, on_interrupt

_switch = _native.switch
_current = _native.current

TURN: Any = ("your turn",)  # what is delivered to whom the queue's turn comes to; a task's argument
ENDED: Any = object()  # what a task that has ended delivers to the loop


class Handle:
    """A callback that is to run soon. `cancel()` at any time before."""

    __slots__ = ("args", "callback")

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


class Guest:
    """Stands for a coroutine that is no Task while it waits."""

    __slots__ = ("__weakref__", "_wait", "coroutine")

    def __init__(self, coroutine: Coroutine) -> None:
        self.coroutine = coroutine
        self._wait: Any = None

    @property
    def _handle(self) -> int:
        return self.coroutine._handle

    @property
    def _run(self) -> None:
        return None


class Loop(Coroutine):
    """A thread's loop. get_loop() gives it; do not make one."""

    __slots__ = (
        "_callbacks",
        "_guests",
        "_poller",
        "_timers",
        "_wakeup",
        "_watches",
        "box",
        "closed",
        "errors",
        "foreign",
        "main",
        "ready",
    )

    def __init__(self) -> None:
        here = current()
        self.main: Coroutine = here._box[1].main
        super().__init__(self._serve, self.main, name="loop", context="empty")
        self.box: list[Any] = here._box
        self.ready: deque[Any] = deque()
        self.errors: dict[Any, BaseException] = {}  # to be raised in those when their turn comes
        self.foreign = 0  # calls under way in other threads, which will call in: no LoopExit
        self.closed = False
        self._callbacks: deque[Handle | None] = deque()
        self._guests: weakref.WeakKeyDictionary[Coroutine, weakref.ref[Guest]]
        self._guests = weakref.WeakKeyDictionary()
        self._timers = TimerHeap()
        self._watches: dict[int, Watch] = {}
        self._poller: Poller = make_poller(self._watches)
        self._wakeup = Wakeup()
        self.add_reader(self._wakeup.fd, self._wakeup.drain)
        self._callbacks.append(None)
        self.ready.append(self)

    # ---- callbacks ----

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Calls it in the loop when its turn comes, in the order of calls and spawns. It must not
        wait for anything: spawn a task for that. Only for the loop's own thread."""
        handle = Handle(callback, args)
        self._callbacks.append(handle)
        self.ready.append(self)
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
        """The Watch of a descriptor. OSError where it cannot be watched (EBADF; EPERM: a regular
        file, which is always ready)."""
        watch = self._watches.get(fd)
        if watch is None:
            watch = Watch(fd, self)
            self._poller.add(watch)
            self._watches[fd] = watch
        return watch

    def rearm(self, watch: Watch) -> None:
        """What is ready now is reported once more: for a wait without a system call tried."""
        self._poller.rearm(watch)

    def unwatch(self, fd: int, error: BaseException | None = None) -> None:
        """Before a descriptor is closed: whoever waits for it gets the error, default OSError."""
        watch = self._watches.pop(fd, None)
        if watch is None:
            return
        self._poller.discard(watch)
        waiters = [watch.reader, watch.writer, *(entry[1] for entry in watch.crowd or ())]
        for waiter in waiters:
            if waiter is not None:
                self.interrupt(waiter, error or OSError(9, "the descriptor was closed"))

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Calls it whenever the descriptor is readable, as long as it is, until remove_reader()."""
        watch = self.watch(_number_of(fd))
        watch.on_read = Handle(callback, args)
        self._poller.rearm(watch)

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """Calls it whenever the descriptor is writable, as long as it is, until remove_writer()."""
        watch = self.watch(_number_of(fd))
        watch.on_write = Handle(callback, args)
        self._poller.rearm(watch)

    def remove_reader(self, fd: Any) -> bool:
        """Was there one?"""
        watch = self._watches.get(_number_of(fd))
        if watch is None or watch.on_read is None:
            return False
        watch.on_read = None
        self._drop_idle(watch)
        return True

    def remove_writer(self, fd: Any) -> bool:
        """Was there one?"""
        watch = self._watches.get(_number_of(fd))
        if watch is None or watch.on_write is None:
            return False
        watch.on_write = None
        self._drop_idle(watch)
        return True

    def _drop_idle(self, watch: Watch) -> None:
        if not watch.wanted:
            del self._watches[watch.fd]
            self._poller.discard(watch)

    # ---- waiting and waking: what waiting.py is made of ----

    def enlist(self, where: Any) -> Any:
        """The running coroutine is about to wait for `where`: gives what to wake() later. Call
        pass_on() next."""
        me = _current()
        try:
            me._wait = where
        except AttributeError:
            return self._enlist_guest(where)
        return me

    def _enlist_guest(self, where: Any) -> Guest:
        me = current()
        if isinstance(me, Loop):
            raise RuntimeError(
                "a callback of the loop must not wait: spawn a task that does, and waits there"
            )
        guest = Guest(me)
        self._guests[me] = weakref.ref(guest)
        guest._wait = where
        return guest

    @defer_interrupt
    def pass_on(self) -> None:
        """Suspends the running coroutine, which stands in a queue somewhere, until its turn."""
        entry = self.ready.popleft()
        handle = entry._handle or self._begin(entry)
        self.box[0] = TURN; _switch(handle)  # fmt: skip  # noqa: E702
        if self.errors:
            self._raise_error()

    def wake(self, waiter: Any) -> None:
        """It goes on when its turn comes. It must be waiting; nothing may be left of its wait."""
        waiter._wait = None
        self.ready.append(waiter)

    def interrupt(self, waiter: Any, error: BaseException) -> None:
        """Breaks off the wait and raises the error there; where it has been woken already, the
        error is raised all the same."""
        if type(waiter) is Coroutine:
            reference = self._guests.get(waiter)
            waiter = reference() if reference is not None else None
            if waiter is None:
                return
        where = waiter._wait
        if where is not None:
            where.forget(waiter)
            waiter._wait = None
            self.ready.append(waiter)
        key = waiter.coroutine if type(waiter) is Guest else waiter
        self.errors.setdefault(key, error)

    def _raise_error(self) -> None:
        error = self.errors.pop(_current(), None)
        if error is not None:
            raise error

    def _begin(self, entry: Any) -> int:
        """Gives a new task its stack; one that cannot have it fails, and the next one's turn
        comes. Passes over those that have ended while they stood in the queue."""
        while True:
            if entry._handle:
                return entry._handle  # type: ignore[no-any-return]
            if entry._run is not None:
                try:
                    return entry._prepare()  # type: ignore[no-any-return]
                except BaseException as error:
                    entry.fail(error)
            entry = self.ready.popleft()

    # ---- the loop's own turn ----

    @defer_interrupt
    def _serve(self, _turn: Any) -> Any:
        ready = self.ready
        callbacks = self._callbacks
        box = self.box
        try:
            while True:
                handle = callbacks.popleft()
                try:
                    if handle is None:
                        self._look()
                    else:
                        handle.run()
                except BaseException as error:
                    self.handle_error(handle, error)
                if handle is None:
                    callbacks.append(None)
                    ready.append(self)
                entry = ready.popleft()
                while entry is not self:
                    number = entry._handle or self._begin(entry)
                    try:
                        box[0] = TURN; got = _switch(number)  # fmt: skip  # noqa: E702
                    except CoroutineExit:
                        raise
                    except BaseException as error:  # of a plain coroutine that was made in here
                        self.handle_error(None, error)
                    else:
                        if got is TURN:
                            break
                    entry = ready.popleft()
        except CoroutineExit:  # the thread ends
            self._close()
        return None

    def _look(self) -> None:
        """Runs timers that are due and wakes whose descriptors are ready; sleeps until then where
        there is nothing else to do."""
        timers = self._timers
        timeout = 0.0
        if not self.ready:
            due = timers.next_due()
            if due is not None:
                timeout = max(0.0, due - monotonic())
            elif self.foreign or self._awaits_descriptors():
                timeout = -1.0
            else:
                self._give_up()
        self._dispatch(self._poller.poll(timeout))
        if len(timers):
            now = monotonic()
            while (timer := timers.pop_due(now)) is not None:
                try:
                    timer.run()
                except BaseException as error:
                    self.handle_error(timer, error)

    def _awaits_descriptors(self) -> bool:
        own = self._wakeup.fd
        return any(watch.wanted and fd != own for fd, watch in self._watches.items())

    def _dispatch(self, events: list[tuple[int, int]]) -> None:
        watches = self._watches
        append = self.ready.append
        for fd, bits in events:
            watch = watches.get(fd)
            if watch is None:
                continue
            watch.drained = False
            if bits & UNUSUAL:
                watch.unusual = True
            if bits & READABLE and (waiter := watch.reader) is not None:
                watch.reader = waiter._wait = None
                append(waiter)
            if bits & WRITABLE and (waiter := watch.writer) is not None:
                watch.writer = waiter._wait = None
                append(waiter)
            if watch.crowd is not None:
                self._wake_crowd(watch, bits)
            if watch.on_read is not None or watch.on_write is not None:
                self._call_back(watch, bits)

    def _wake_crowd(self, watch: Watch, bits: int) -> None:
        crowd, watch.crowd = watch.crowd or [], None
        for entry in crowd:
            direction, waiter, where = entry
            if not bits & (READABLE if direction == READ else WRITABLE):
                watch.join_crowd(*entry)
            elif waiter._wait is where:  # else another watch has woken it
                self.wake(waiter)

    def _call_back(self, watch: Watch, bits: int) -> None:
        for handle, mask in ((watch.on_read, READABLE), (watch.on_write, WRITABLE)):
            if handle is not None and bits & mask:
                try:
                    handle.run()
                except BaseException as error:
                    self.handle_error(handle, error)
        if self._watches.get(watch.fd) is watch:
            self._poller.rearm(watch)

    def _give_up(self) -> None:
        self.interrupt(
            self.main,
            LoopExit(
                "this would wait forever: no task can run, no timer is set and no descriptor is "
                "waited for, so nothing can ever wake the main program"
            ),
        )

    # ---- errors and the end ----

    def handle_error(self, context: Any, error: BaseException) -> None:
        """An exception has ended `context`: a task, a Handle, a Timer, or None. KeyboardInterrupt
        and SystemExit are raised in the main program, others are reported on stderr. May be
        replaced."""
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.interrupt(self.main, error)
        elif not isinstance(error, CoroutineExit):
            report(context, error)

    def interrupt_main(self) -> None:
        """Ctrl-C: KeyboardInterrupt in the main program. Safe in a signal handler."""
        self.call_soon_threadsafe(self.interrupt, self.main, KeyboardInterrupt())

    def _close(self) -> None:
        self.closed = True
        if getattr(_local, "loop", None) is self:
            del _local.loop
        self._wakeup.close()
        self._poller.close()
        self._watches.clear()

    def _after_fork(self) -> None:
        """In the child: kernel objects are shared with the parent, so it gets its own."""
        callback_watch = self._watches.pop(self._wakeup.fd)
        self._poller.close()
        self._wakeup.close()
        self._poller = make_poller(self._watches)
        self._wakeup = Wakeup()
        callback_watch.fd = self._wakeup.fd
        callback_watch.on_read = Handle(self._wakeup.drain, ())
        self._watches[self._wakeup.fd] = callback_watch
        for watch in list(self._watches.values()):
            try:
                self._poller.add(watch)
            except OSError:  # closed behind our back
                del self._watches[watch.fd]


Hub = Loop

_local = _thread._local()


def get_loop() -> Loop:
    """The calling thread's loop, made if need be."""
    try:
        return _local.loop  # type: ignore[no-any-return]
    except AttributeError:
        loop = _local.loop = Loop()
        on_interrupt(loop.interrupt_main, lambda: isinstance(_current(), Loop))
        return loop


get_hub = get_loop


def report(context: Any, error: BaseException) -> None:
    """Writes it to stderr in one piece, as sys.excepthook would, and what it happened in."""
    stream = sys.stderr
    if stream is None:
        return
    where = f"Exception in {context!r}:\n" if context is not None else "Exception in the loop:\n"
    stream.write(where + "".join(traceback.format_exception(error)))
    stream.flush()


def _number_of(fd: Any) -> int:
    number = fd if isinstance(fd, int) else fd.fileno()
    if number < 0:
        raise ValueError(f"{number} is no file descriptor: is it closed already?")
    return int(number)


def _after_fork_in_child() -> None:
    loop = getattr(_local, "loop", None)
    if loop is not None:
        loop._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
