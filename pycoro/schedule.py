"""Who runs next in a thread, and how a wait ends.

In the queue `ready` stand tasks that have not started, coroutines that are to go on, and callbacks,
whose turn is the loop's. Whoever has to wait hands over to the next of them, straight.

A coroutine that waits has in `_wait` what it waits for: an object whose forget(waiter) takes it out
of there, or says False where somebody has done so before. Who takes it out, in one step that no
other thread can cut in two, has to wake it, and nobody else may: so a wait ends once, whichever of
waker, time limit and interrupt comes first. `_wait` and `ready` are changed in the coroutine's own
thread alone. After the wait `_wait` is None for one that was woken, else BROKEN_OFF.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any

from . import _native
from .checks import make_exception
from .coroutine import BROKEN_OFF, Coroutine, current
from .entries import Handle
from .errors import (
    BlockingSwitchOutError,
    CoroutineExit,
    InvalidSwitchError,
    InvalidThreadUseError,
    LoopExit,
)
from .reports import report, report_unraisable
from .wakeup import Wakeup, defer_interrupt

_switch = _native.switch
_NOTHING: Any = ()  # what a switch without a value brings: there is but one empty tuple
_current = _native.current


# Seconds. A look at descriptors and timers costs as much as several turns of tasks that only wake
# each other: where there is always one to go on, it waits for so long. Not for who sleeps for 0.
LOOK_EVERY = 0.0001


class Scheduler(Coroutine):
    """The part of a Loop that knows neither time nor descriptors. It is the parent of tasks."""

    __slots__ = (
        "_due",
        "_in_line",
        "_later",
        "_look_from",
        "_stale",
        "_turn",
        "_wakeup",
        "cancelling",
        "closed",
        "errors",
        "main",
        "ready",
    )

    # Errors that are no task's own affair, and those that are none at all: gevent's names.
    SYSTEM_ERROR: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, SystemError)
    NOT_ERROR: tuple[type[BaseException], ...] = (CoroutineExit, SystemExit)

    def __init__(self, look: Callable[[], None]) -> None:
        self.main: Coroutine = current()._thread.main
        super().__init__(self._serve, self.main, name="loop", context="empty")
        self.ready: deque[Any] = deque()
        self.errors: dict[Any, list[BaseException]] = {}  # to be raised there, in turn
        # How many cancelled scopes have not been left (see scope.py), and entries are in _later.
        self.cancelling = 0
        self.closed = False
        self._due: deque[Handle] = deque()  # callbacks whose turn has come
        self._later: dict[Any, list[BaseException]] = {}  # to be raised in its next wait
        self._stale: dict[Any, int] = {}  # wakes on their way to who waits no more
        self._turn = Handle(look, ())
        self._in_line = True  # is _turn in `ready`?
        self._look_from = 0.0  # by monotonic(): until then _turn lets others go first
        self._wakeup = Wakeup()
        self.ready.append(self._turn)

    # ---- callbacks ----

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Calls it in the loop when its turn comes, in the order of calls and spawns. It must not
        wait for anything: spawn a task for that. Only for the loop's own thread. TypeError where
        it is not callable, RuntimeError where the loop has ended."""
        if self.closed or not callable(callback):
            self._refuse_callback(callback)
        return self.post(callback, *args)

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """Like call_soon(), from any thread or signal handler; wakes the loop."""
        if self.closed or not callable(callback):
            self._refuse_callback(callback)
        return self.post_threadsafe(callback, *args)

    def _refuse_callback(self, callback: Any) -> None:
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        raise RuntimeError(
            "the loop is closed: its thread has ended, or it was destroyed, and it calls nothing "
            "any more. get_loop() gives the calling thread's"
        )

    def post(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """The runtime's call_soon(), for what is no order to the loop itself: one that has ended
        forgets it, as tasks that are to start, for there is nobody whom it could matter to."""
        handle = Handle(callback, args)
        self.ready.append(handle)
        return handle

    def post_threadsafe(self, callback: Callable[..., Any], *args: Any) -> Handle:
        """The runtime's call_soon_threadsafe()."""
        handle = self.post(callback, *args)
        if self._wakeup.is_asleep:  # else it looks at `ready` once more before it sleeps
            self._wakeup.wake()
        return handle

    # ---- waiting and waking: what waiting.py is made of ----

    def enlist(self, where: Any) -> Coroutine:
        """The running coroutine is about to wait for `where`: gives what to wake() later. Call
        pass_on() next. BlockingSwitchOutError in a callback, which must not wait."""
        me = _current()
        if me is self:
            raise BlockingSwitchOutError(
                "a callback of the loop must not wait: spawn a task that does, and waits there"
            )
        me._wait = where
        return me  # type: ignore[no-any-return]

    @defer_interrupt
    def pass_on(self) -> None:
        """Suspends the running coroutine, which stands in a queue somewhere, until its turn."""
        if self.cancelling:
            self._refuse_to_wait()
        try:
            entry = self.ready.popleft()
        except IndexError:  # a callback of the loop's turn has switched to us
            entry = self._turn
        try:
            brought = _switch(entry if entry._handle is not None else self._begin(entry))
        except BaseException:  # thrown into us: unwinding, or a plain throw()
            self._break_off()
            raise
        if brought is not _NOTHING:
            self._refuse(brought)
        if self.errors:
            self._raise_error()

    def _refuse(self, brought: Any) -> None:
        """We were to be woken, and nobody of the loop's brings a value: a plain switch() did, or
        the end of a coroutine whose parent we are. (Without a value: see Coroutine.switch.)"""
        where = _current()._wait
        self._break_off()
        raise InvalidSwitchError(
            f"a switch() brought {brought!r} here, where the loop was to end a wait"
            f"{'' if where is None else f' for {where!r}'}: who waits is woken, or kill()ed"
        )

    def _refuse_to_wait(self) -> None:
        """Raises what has been put off, or in who is within a cancelled scope, before it waits;
        not where it must wait all the same (see semaphore.py)."""
        me = _current()
        if getattr(me._wait, "is_firm", False):
            return
        error = None
        if me in self._later:
            error = self._later[me].pop(0)
            if not self._later[me]:
                self._take_later(me)
        elif (scope := getattr(me, "_notes", {}).get("scope")) is not None:
            error = scope.verdict()
        if error is not None:
            self._break_off()
            try:
                raise error
            finally:
                del error  # it holds this frame

    def _break_off(self) -> None:
        me = _current()
        where = me._wait
        if where is not None and where is not BROKEN_OFF:
            if where.forget(me):
                me._wait = BROKEN_OFF
            else:  # another thread's call to wake us is on its way
                me._wait = None
                self._stale[me] = self._stale.get(me, 0) + 1
            return
        try:
            self.ready.remove(me)
        except ValueError:
            pass

    def wake(self, waiter: Any) -> None:
        """It goes on when its turn comes. It must be waiting, and have been taken out of what it
        waits for. For its own thread; wake() of waiting.py is for any."""
        waiter._wait = None
        self.ready.append(waiter)

    def wake_from_afar(self, waiter: Any) -> None:
        """The same, from another thread."""
        self.post_threadsafe(self._arrive, waiter)

    def _arrive(self, waiter: Any) -> None:
        stale = self._stale.pop(waiter, 0) if self._stale else 0
        if not stale:
            self.wake(waiter)
        elif stale > 1:
            self._stale[waiter] = stale - 1

    def interrupt(self, waiter: Coroutine, error: BaseException) -> None:
        """Breaks off the wait and raises the error there; also in one that has been woken already,
        or that waits for a plain switch() to come back."""
        where = waiter._wait
        if where is not None and where is not BROKEN_OFF:
            if where.forget(waiter):  # else another thread wakes it
                waiter._wait = BROKEN_OFF
                self.ready.append(waiter)
        elif waiter not in self.ready:  # it waits for a plain switch() to come back
            if not waiter.dead:
                self.post(waiter.throw, error)
            return
        errors = self.errors.setdefault(waiter, [])
        if not (isinstance(error, CoroutineExit) and any(type(e) is type(error) for e in errors)):
            errors.append(error)  # of two kills that it has not noticed yet, one is enough

    @defer_interrupt
    def break_off(self, waiter: Coroutine, error: BaseException) -> None:
        """interrupt() for one that waits and has not been woken by anybody; any other is left
        alone."""
        where = waiter._wait
        if where is not None and where is not BROKEN_OFF and where.forget(waiter):
            waiter._wait = BROKEN_OFF
            self.ready.append(waiter)
            self.errors.setdefault(waiter, []).append(error)

    def interrupt_main(self, error: BaseException) -> None:
        """Raises the error in the thread's main program, wherever that is."""
        where = self.main._wait
        if getattr(where, "is_firm", False):
            where.is_firm = False  # whatever it must have, it is to end
        self.interrupt(self.main, error)

    def throw(self, kind: Any = CoroutineExit, value: Any = None, traceback: Any = None) -> None:
        """Raises it in the thread's main program, which is who gets what is thrown into gevent's
        hub; that is of no use then, and the loop goes on: destroy() ends it. Errors: TypeError for
        what is no exception; InvalidThreadUseError in another thread."""
        error = make_exception(kind, value, traceback)
        here = _current()
        if here is None or here._thread is not self._thread:
            raise InvalidThreadUseError("a loop's main program is for its own thread to interrupt")
        if here is not self.main:
            self.interrupt_main(error)
            return
        try:
            raise error
        finally:
            del error  # it holds this frame

    def _raise_error(self) -> None:
        errors = self.errors.pop(_current(), None)
        if errors:
            self.put_off(errors[1:])
            try:
                raise errors[0]
            finally:
                del errors  # which hold this frame

    @defer_interrupt
    def put_off(self, errors: list[BaseException]) -> None:
        """Raises them in the running coroutine later, one in each of its next waits: for who gets
        several at once, and can raise but one."""
        if not errors:
            return
        me = _current()
        if me not in self._later:
            self._later[me] = []
            self.cancelling += 1
            self.post(self._raise_later, me)
        self._later[me] += errors

    def withdraw(self, error: BaseException) -> None:
        """It is not to be raised in the running coroutine any more, should it have been put off."""
        me = _current()
        if me not in self._later:
            return
        self._later[me] = [later for later in self._later[me] if later is not error]
        if not self._later[me]:
            self._take_later(me)

    def _raise_later(self, coroutine: Coroutine) -> None:
        """Should it not have waited until now."""
        for error in self._take_later(coroutine):
            self.interrupt(coroutine, error)

    def _take_later(self, coroutine: Any) -> list[BaseException]:
        errors = self._later.pop(coroutine, None)
        if errors is None:
            return []
        self.cancelling -= 1
        return errors

    # ---- callbacks and their errors ----

    def _run_arrivals(self) -> None:
        """Callbacks that other threads have sent while we slept: whom they wake need not wait for
        another look at the descriptors."""
        ready = self.ready
        for _ in range(len(ready)):
            if not ready or not isinstance(ready[0], Handle) or ready[0] is self._turn:
                return
            self._run_callback(ready.popleft())

    def _run_callback(self, callback: Any) -> None:
        try:
            callback.run()
        except BaseException as error:
            self.tell_error(callback, error)

    def tell_error(self, context: Any, error: BaseException) -> None:
        """handle_error(), whatever that does. What unwinds the loop itself, in a callback that has
        not come back, is raised."""
        if isinstance(error, CoroutineExit) and error.unwinds:
            raise error
        try:
            self.handle_error(context, type(error), error, error.__traceback__)
        except self.SYSTEM_ERROR as another:
            self.interrupt_main(another)
        except BaseException as another:  # must not end the loop
            report_unraisable(another)  # to sys.unraisablehook

    def handle_error(
        self,
        context: Any,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """An exception has ended `context`: a task, a Handle, a Timer, or None. What is in
        SYSTEM_ERROR is raised in the main program; else it is reported on stderr, unless it is in
        NOT_ERROR. May be replaced; gevent's Hub.handle_error."""
        if value is None:
            return
        if isinstance(value, self.SYSTEM_ERROR):
            self.interrupt_main(value)
        elif not isinstance(value, self.NOT_ERROR):
            report(context, value)

    # ---- beginning ----

    def _begin(self, entry: Any) -> Coroutine:
        """Whom to switch to for one that is not alive: a new task gets its stack, and fails where
        it cannot have it; a callback is the loop's. Passes over those that have ended."""
        while True:
            if isinstance(entry, Handle):
                if entry is self._turn:
                    if self.ready and monotonic() < self._look_from:
                        self.ready.append(entry)
                        entry = self.ready.popleft()
                        continue
                    self._in_line = False
                self._due.append(entry)
                self._wake_up()
                return self
            if entry._handle is not None:
                return entry  # type: ignore[no-any-return]
            if entry._entry is not None:
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

    def _serve(self) -> None:
        raise NotImplementedError  # see loop.py
