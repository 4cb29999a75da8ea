"""The loop: timers, descriptors and callbacks of a thread, and its end.

Each thread has one Loop, made when first asked for. It is a coroutine itself, but not every switch
goes through it: see schedule.py. In its own turn it runs callbacks that are due and takes a look at
timers and descriptors; that look always has its place in the queue.

`clock` gives seconds; timers are by it. With `jump` set, that is called, with the next timer's
time, instead of sleeping until then: it polls, and lets time pass (testing.py does that).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from errno import EBADF
from time import monotonic
from typing import Any

from . import _native, deadlock, monitor
from .checks import check_number, check_timeout
from .coroutine import BROKEN_OFF, Coroutine, current
from .entries import Handle, Idlers
from .errors import CoroutineExit, InvalidThreadUseError, LoopExit
from .forks import in_child
from .hubnames import HubNames
from .poller import READ, WRITE
from .schedule import LOOK_EVERY, Scheduler
from .settings import config
from .threads import bury, run_unraisable
from .timers import LightTimer, Timer, TimerHeap
from .wakeup import Wakeup, defer_interrupt, on_interrupt
from .watches import Watch, Watches

_LONGEST = 86400.0  # seconds of one sleep in the kernel, which takes 2**31 milliseconds at most
_switch = _native.switch
_current = _native.current


class _NoMore(deque[Any]):
    """The `ready` of a loop that has ended, which goes on with nobody: so who waits is told."""

    def append(self, entry: Any) -> None:
        pass


class Loop(HubNames, Scheduler):
    """A thread's loop, gevent's Hub. get_loop() gives it; do not make one."""

    __slots__ = (
        "__dict__",
        "_joiners",
        "_timers",
        "_watches",
        "clock",
        "foreign",
        "idlers",
        "jump",
    )

    def __init__(self) -> None:
        super().__init__(self._look)
        self.foreign = 0  # calls under way in other threads, which will call in: no LoopExit
        self.clock: Callable[[], float] = monotonic
        self.jump: Callable[[float], list[tuple[Watch, Any]]] | None = None
        self.periodic_monitoring_thread: monitor.Monitor | None = None
        self._timers = TimerHeap()
        self._joiners: list[Coroutine] = []  # who waits until there is nothing more to do
        self.idlers = Idlers()
        self._watches = Watches(self, self.ready.append)
        self._watch_wakeup()

    def _watch_wakeup(self) -> None:
        self.add_reader(self._wakeup.fd, self._wakeup.drain)
        if self._wakeup.bell is not None:
            self.watch(self._wakeup.bell)  # no callback: that it ends the sleep is all

    # ---- timers ----

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Calls it after `delay` seconds, not before. Those due at the same time run in the order
        they were made. Errors: TypeError where it is not callable; TypeError, ValueError for a
        delay that is no number; RuntimeError where the loop has ended."""
        check_number(delay, "delay")
        if self.closed or not callable(callback):
            self._refuse_callback(callback)
        return self.add_timer(Timer(self.clock() + delay, callback, args))

    def add_timer(self, timer: Timer) -> Timer:
        """`timer.when` is by the loop's clock."""
        self._timers.add(timer)
        return timer

    # ---- descriptors ----

    def watch(self, fd: int) -> Watch:
        """The Watch of a descriptor; what is ready now is reported there first. OSError where it
        cannot be watched (EBADF; EPERM: a regular file, which is always ready)."""
        return self._watches.get(fd)

    def unwatch(self, fd: int, why: str = "the descriptor was closed") -> None:
        """Before a descriptor is closed: whoever waits for it gets an OSError, which says why."""
        watch = self._watches.find(fd)
        if watch is not None:
            self.end_watch(watch, why)

    def end_watch(self, watch: Watch, why: str) -> None:
        """The same of a Watch, from any thread."""
        here = _current()
        if here is None or here._thread is not self._thread:
            self._watches.before_close(watch)
            self.post_threadsafe(self.end_watch, watch, why)
            return
        for waiter in self._watches.remove(watch):
            self.interrupt(waiter, OSError(EBADF, why))

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

    # ---- the loop's own turn ----

    @defer_interrupt
    def _serve(self) -> None:
        _native.count_anew()  # whom callbacks start is not nested in whoever switched here first
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
                    self.tell_error(None, error)
        except CoroutineExit:  # the thread ends
            self.release()

    def _look(self) -> None:
        """Wakes those whose descriptors are ready, and runs timers that are due; sleeps until then
        where there is nothing else to do."""
        if self._in_line:
            return
        try:
            has_slept = not self.ready
            try:
                calls = self._sleep() if has_slept else self._watches.poll(0.0)
            except BaseException as error:  # of a signal handler: it is the main program's
                calls = []
                self.interrupt_main(error)
            self._get_in_line()  # now, for a callback may switch to those that do not come back
            if has_slept:
                self._run_arrivals()
            if self._timers.count:
                self._timers.run_due(self.clock(), self.tell_error)
            for watch, callback in calls:
                self._run_callback(callback)
                self._watches.look_again(watch, self.tell_error)
            # Not where time is virtual: how often it looks would depend on the real one.
            self._look_from = monotonic() + LOOK_EVERY if self.jump is None else 0.0
        finally:
            self._get_in_line()

    def _get_in_line(self) -> None:
        if not self._in_line:
            self._in_line = True
            self.ready.append(self._turn)

    def _sleep(self) -> list[tuple[Watch, Any]]:
        """In the kernel, until a timer is due or something happens."""
        if self.idlers:
            return self._wake_idlers()
        if self._joiners and not self._has_work():
            for joiner in self._joiners:
                self.wake(joiner)
            self._joiners.clear()
            return self._watches.poll(0.0)
        due = self._timers.next_due()
        if due is None:
            return self._sleep_without_end()
        if self.jump is not None:
            return self.jump(due)
        seconds = min(max(0.0, due - self.clock()), _LONGEST)
        return self.sleep_in_kernel(seconds)

    def sleep_in_kernel(self, seconds: float) -> list[tuple[Watch, Any]]:
        """Until something happens, for so long at most, without end if negative; not at all where
        somebody is ready. Wakes who waited for it, and gives the callbacks that are to run."""
        return self._wakeup.sleep(self._watches.poll, self.ready, seconds)

    def _wake_idlers(self) -> list[tuple[Watch, Any]]:
        """If nothing is ready and nothing due."""
        calls = self._watches.poll(0.0)
        due = self._timers.next_due()
        if not calls and not self.ready and (due is None or due > self.clock()):
            for waiter in self.idlers.pop():
                self.wake(waiter)
        return calls

    def _has_work(self) -> bool:
        """Is there anything to come but timers that nobody waits for?"""
        return (
            any(timer.ref for timer in self._timers)
            or self.foreign > 0
            or self._watches.awaited(self._wakeup.fd)
        )

    def _sleep_without_end(self) -> list[tuple[Watch, Any]]:
        if self.foreign or self._watches.awaited(self._wakeup.fd):
            return self.sleep_in_kernel(-1.0)
        if deadlock.may_be_woken(self):
            try:
                return self.sleep_in_kernel(deadlock.LOOK_AGAIN)
            finally:
                deadlock.awake(self)
        self.interrupt_main(LoopExit(deadlock.explain(_native.thread_suspended())))
        return self._watches.poll(0.0)

    def start_periodic_monitoring_thread(self) -> monitor.Monitor:
        """gevent's name for monitor.start(): the one that is there, if there is. Errors:
        InvalidThreadUseError in another thread."""
        return monitor.start_for(self)

    # ---- the end ----

    def join(self, timeout: float | None = None) -> bool:
        """Waits until there is nothing more to do in this thread: no task can run, no timer is
        set, no descriptor is waited for. False after `timeout` seconds; gevent's Hub.join. Errors:
        TypeError, ValueError for a timeout that is negative or no number; InvalidThreadUseError in
        another thread."""
        check_timeout(timeout)
        here = _current()
        if here is None or here._thread is not self._thread:
            raise InvalidThreadUseError("a loop can only be waited for in its own thread")
        waiter = self.enlist(self)
        self._joiners.append(waiter)
        if timeout is None:
            self.pass_on()
            return True
        over = []

        def leave() -> None:
            if waiter._wait is self and self.forget(waiter):
                over.append(True)
                self.wake(waiter)

        timer = self.add_timer(LightTimer(self.clock() + timeout, leave, ()))
        try:
            self.pass_on()
        finally:
            timer.cancel()
        return not over

    def forget(self, waiter: Any) -> bool:
        """Of join()."""
        if waiter not in self._joiners:
            return False
        self._joiners.remove(waiter)
        return True

    def destroy(self, destroy_loop: bool | None = None) -> None:
        """Ends the thread's loop and its tasks: CoroutineExit is raised in those that wait, and
        they cannot wait any more. get_loop() makes a new one. `destroy_loop`: gevent's, of no use.
        Errors: InvalidThreadUseError in another thread, RuntimeError in a callback of the loop."""
        if self.closed:
            return
        here = _current()
        if here is None or here._thread is not self._thread:
            raise InvalidThreadUseError("a loop can only be destroyed in its own thread")
        if here is self:
            raise RuntimeError("a callback of the loop cannot destroy the loop")
        waiting = self._waiting()
        self.release()
        self._due.clear()
        self.errors.clear()
        self._timers.keep(set())
        for coroutine in waiting - {here, self.main}:  # or else a new loop would wake it
            run_unraisable(bury, coroutine, here)
        if self._thread.loop is self:
            self._thread.loop = None
        if self._handle is not None:
            bury(self, here)

    def _waiting(self) -> set[Coroutine]:
        """The coroutines that it is to wake, or to go on with."""
        suspended = set(_native.thread_suspended()) - {self}
        ready = {entry for entry in self.ready if entry in suspended}
        return ready | {one for one in suspended if one._wait not in (None, BROKEN_OFF)}

    def release(self) -> None:
        """Gives back its descriptors; nothing can wait any more."""
        if self.closed:
            return
        self.closed = True
        self.ready = _NoMore()
        deadlock.leave(self)
        self._watches.close()
        self._wakeup.close()
        self.__dict__.pop("loop", None)
        pool = self.__dict__.pop("threadpool", None)
        if pool is not None:
            pool.kill(block=False)

    def after_fork(self) -> None:
        """In the child, where of all coroutines only the running one goes on, and the main one if
        it waits for that, as of all threads only one does. The loop is as good as new: kernel
        objects, which the parent has too, are made anew; other tasks never go on, and their
        clean-up code is the parent's to run."""
        stay = {_current(), self.main}
        for coroutine in self._waiting() - stay:
            _native.abandon(coroutine)
        self.ready = deque(entry for entry in self.ready if entry in stay or entry is self._turn)
        self._due.clear()
        self._joiners = [joiner for joiner in self._joiners if joiner in stay]
        self.idlers.keep(stay)
        self._timers.keep(stay)
        self.foreign = 0  # the threads are not here
        own = {self._wakeup.fd, self._wakeup.bell}
        self._watches.after_fork(own, self.ready.append, stay)
        self._wakeup.close(forked=True)
        self._wakeup = Wakeup()
        self._watch_wakeup()


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
        on_interrupt(_on_ctrl_c, _is_in_loop)
        if config.monitor_thread:
            monitor.start_for(loop)
    return loop  # type: ignore[no-any-return]


get_hub = get_loop


def _on_ctrl_c(is_wanted: Callable[[], bool]) -> None:
    """KeyboardInterrupt in the main program, from a signal handler."""
    loop = _current()._thread.loop
    if loop is None:
        raise KeyboardInterrupt

    def interrupt() -> None:
        if is_wanted():
            loop.interrupt_main(KeyboardInterrupt())

    loop.post_threadsafe(interrupt)


def _is_in_loop() -> bool:
    here = _current()
    return here is not None and here is here._thread.loop


def _number_of(fd: Any) -> int:
    number = fd if isinstance(fd, int) else fd.fileno()
    if number < 0:
        raise ValueError(f"{number} is no file descriptor: is it closed already?")
    return int(number)


@in_child
def _after_fork_in_child() -> None:
    deadlock.after_fork()
    monitor.after_fork_in_child()
    here = _current()
    if here is not None and here._thread.loop is not None:
        here._thread.loop.after_fork()
