"""The monitor: a real thread that tells when one coroutine keeps its loop from its turn.

Opt-in: start() for the calling thread; `config.monitor_thread`, or PYCORO_MONITOR=100 (in ms) in
the environment, for every loop. It looks twice within the time that is allowed. Where the loop has
had no turn in between and the same coroutine runs, that one is looked at again when its time is
over. A loop that sleeps in the kernel does what it is there for; the main program blocks nobody
where nothing else is to do.

C code that keeps the GIL keeps it from the monitor as well. That looks at the first moment that it
can, when the coroutine still stands at its call. What runs pays nothing for being watched but two
looks at the clock in each turn of the loop (turns.py).
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from _thread import _local, allocate_lock, get_ident, get_native_id, start_new_thread
from collections.abc import Callable
from time import perf_counter
from time import sleep as nap
from typing import Any

from . import _native, deadlock
from .blocking import (
    Suspect,
    computed_by,
    describe,
    describe_end,
    is_asleep,
    is_needed,
    stack_of,
    who,
)
from .checks import check_seconds
from .coroutine import current
from .errors import InvalidThreadUseError
from .events import EventLoopBlocked, PeriodicMonitorThreadStartedEvent, notify
from .reports import report_unraisable
from .settings import config
from .threads import Thread
from .turns import TurnClock

REPEAT = 10.0
_LEAST_TICK, _LONGEST_TICK = 0.01, 0.25  # seconds between two looks
_PATIENCE = 1.0  # seconds that stop() waits for a report that is under way

_monitors: set[Monitor] = set()  # that are wanted


class Monitor:
    """The monitor of one thread's loop, gevent's periodic monitoring thread: start() makes it. As
    a context manager it is stopped at the end, else with the loop, thread or process. In a forked
    child the one of the thread that is there goes on."""

    def __init__(
        self,
        thread: Thread,
        threshold: float | None = None,
        report: Callable[[EventLoopBlocked], object] | None = None,
        repeat: float = REPEAT,
    ) -> None:
        self._threshold = None if threshold is None else check_seconds(threshold, "threshold")
        self._repeat = check_seconds(repeat, "repeat")
        if report is not None and not callable(report):
            raise TypeError(f"report must be callable, not {type(report).__name__}")
        self._report = report
        self._thread = thread
        self._watched_id = get_native_id()  # of that thread, which makes its own monitor
        self._loop: Any = None
        self._clock: TurnClock | None = None
        self._suspect: Suspect | None = None
        self._excused: tuple[int, Any] | None = None
        self._functions: dict[Callable[[Any], object], tuple[float, float]] = {}  # period, when
        self._due = self._looked = 0.0
        self._native_id = 0  # of the thread, by the kernel
        self.monitor_thread_ident: int | None = None
        self._attach()
        _monitors.add(self)
        self._begin()

    # ---- for users ----

    @property
    def threshold(self) -> float:
        """Seconds that a coroutine may run: as given, or else config.max_blocking_time."""
        return config.max_blocking_time if self._threshold is None else self._threshold

    @property
    def hub(self) -> Any:
        """The loop; None before there is one."""
        return self._thread.loop

    @property
    def running(self) -> bool:
        """Does it look on?"""
        return self.monitor_thread_ident is not None

    def stop(self) -> None:
        """It looks no more. From any thread; does nothing the second time. Waits for a report
        that is under way, a second at most."""
        _monitors.discard(self)
        self._end()
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.remove(self)

    kill = stop

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def ignore_current_greenlet_blocking(self) -> None:
        """What runs now may block until it waits the next time. In the watched thread."""
        if self._clock is not None:
            self._excused = (self._clock.count, weakref.ref(current()))

    def monitor_current_greenlet_blocking(self) -> None:
        """Undoes that."""
        self._excused = None

    def add_monitoring_function(
        self, function: Callable[[Any], object], period: float | None
    ) -> None:
        """Calls function(hub) in the monitor's thread about every `period` seconds; None: no more.
        Errors: TypeError for what is not callable, ValueError for a period that is not above 0."""
        if not callable(function):
            raise TypeError(f"function must be callable, not {type(function).__name__}")
        if period is None:
            self._functions.pop(function, None)
            return
        if check_seconds(period, "period") == 0:
            raise ValueError("period must be more than 0 seconds; None ends it")
        self._functions[function] = (period, perf_counter() + period)

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Monitor of thread {self._thread.ident:#x} {state}>"

    # ---- the thread ----

    def _begin(self) -> None:
        if self.monitor_thread_ident is not None:
            return
        self.monitor_thread_ident = 0  # in one piece with the question
        self._halt, self._gone, begun = locks = [allocate_lock() for _ in range(3)]
        for lock in locks:
            lock.acquire()
        self._due = self._looked = perf_counter()
        try:
            start_new_thread(self._run, (begun,))
        except BaseException:
            self.monitor_thread_ident = None
            _monitors.discard(self)
            raise
        begun.acquire()

    def _end(self) -> None:
        """Has the thread go, and waits for that unless it is the calling one."""
        if self.monitor_thread_ident is None:
            return
        try:
            self._halt.release()
        except RuntimeError:  # somebody has done it
            pass
        if self.monitor_thread_ident != get_ident() and self._gone.acquire(timeout=_PATIENCE):
            self._gone.release()

    def _run(self, begun: Any) -> None:
        self.monitor_thread_ident = get_ident()
        self._native_id = get_native_id()
        _own.farewell = _Farewell(self)
        # Not one that might wake a loop; who has counted it as such looks again.
        deadlock.set_idle(self, True)
        deadlock.leave(self)
        begun.release()
        try:
            while not self._halt.acquire(timeout=self._tick()):
                if self._thread.ended or (self._loop is not None and self._loop.closed):
                    _monitors.discard(self)
                    break
                self._work(perf_counter())
            self._tell_last()
        except BaseException as error:
            report_unraisable(error)
        self._suspect = None

    def _tick(self) -> float:
        """Seconds until the next look."""
        now = perf_counter()
        tick = self.threshold / 2
        if self._suspect is not None and not self._suspect.told:
            tick = self._suspect.first_seen + self.threshold - now
        tick = min(max(tick, _LEAST_TICK), _LONGEST_TICK)
        self._due = now + tick
        return tick

    def _work(self, now: float) -> None:
        try:
            self._look(now)
        except Exception as error:  # of a subscriber, or in report()
            report_unraisable(error)
        self._looked = now
        for function, (period, when) in list(self._functions.items()):
            if now >= when and function in self._functions:
                self._functions[function] = (period, now + period)
                try:
                    function(self.hub)
                except Exception as error:
                    report_unraisable(error)

    # ---- looking ----

    def _attach(self) -> None:
        if self._loop is None and (loop := self._thread.loop) is not None:
            self._loop = loop
            self._clock = TurnClock.of(loop, self)

    def _look(self, now: float) -> None:
        self._attach()
        clock, loop = self._clock, self._loop
        if clock is None:
            return
        running, turn = _native.thread_running(self._thread.main), clock.count
        suspect = self._suspect
        if suspect is not None and not suspect.is_still(running, turn):
            self._suspect = None
            if suspect.told:
                self._tell_end(suspect, now)
            suspect = None
        if (
            not self.threshold
            or running is None
            or self._is_excused(running, turn)
            or (running is loop and is_asleep(loop, self._thread.ident))
        ):
            suspect = None
        elif suspect is None:
            suspect = self._suspect_of(running, turn, now)
        self._suspect = suspect
        if suspect is not None:
            self._judge(suspect, running, now)

    def _suspect_of(self, running: Any, turn: int, now: float) -> Suspect:
        assert self._clock is not None
        since = self._clock.began if running is self._loop else self._clock.ended
        late = now - self._due
        return Suspect(
            coroutine=weakref.ref(running),
            turn=turn,
            first_seen=max(self._due, since),
            begun=max(self._looked, since),
            delay=late if late > self.threshold else 0.0,
            looked=now,
            computed=computed_by(self._watched_id),
        )

    def _is_excused(self, running: Any, turn: int) -> bool:
        excused = self._excused
        return excused is not None and excused[0] == turn and excused[1]() is running

    def _judge(self, suspect: Suspect, running: Any, now: float) -> None:
        if now - suspect.first_seen < self.threshold or now < suspect.tell_next:
            return
        if running is self._thread.main and not is_needed(self._loop):
            return
        stack = stack_of(self._thread.ident)
        clock = self._clock
        if clock is None or not suspect.is_still(
            _native.thread_running(self._thread.main), clock.count
        ):
            return  # it went on before we had the stack
        suspect.told = who(running, self._loop)
        suspect.tell_next = now + self._repeat
        busy = suspect.busy(computed_by(self._watched_id), now)
        lines = describe(suspect, stack, now, self.threshold, self._loop, busy)
        self._tell(
            EventLoopBlocked(
                running, now - suspect.begun, lines, hub=self._loop, stack=stack, busy=busy
            )
        )

    def _tell_end(self, suspect: Suspect, now: float) -> None:
        one = suspect.coroutine()  # None where it has gone
        lines = describe_end(suspect, now)
        self._tell(EventLoopBlocked(one, now - suspect.begun, lines, hub=self._loop, over=True))

    def _tell_last(self) -> None:
        """It looks no more: who has been told of and has let go since?"""
        suspect, clock = self._suspect, self._clock
        if suspect is not None and suspect.told and clock is not None:
            running = _native.thread_running(self._thread.main)
            if not suspect.is_still(running, clock.count):
                self._tell_end(suspect, perf_counter())

    def _tell(self, event: EventLoopBlocked) -> None:
        notify(event)
        if self._report is not None:
            self._report(event)
        elif config.print_blocking_reports and sys.stderr is not None:
            sys.stderr.write(f"{event}\n")
            sys.stderr.flush()


class _Farewell:
    """Dies with the monitor's thread, when the interpreter counts that no more: from then on it
    is not to be counted off either."""

    __slots__ = ("monitor",)

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    def __del__(self, set_idle: Callable[[Any, bool], None] = deadlock.set_idle) -> None:
        set_idle(self.monitor, False)
        self.monitor.monitor_thread_ident = None
        self.monitor._gone.release()


_own = _local()


def start(
    threshold: float | None = None,
    report: Callable[[EventLoopBlocked], object] | None = None,
    repeat: float = REPEAT,
) -> Monitor:
    """Watches the calling thread's loop, also one that is yet to be made. A coroutine that runs
    for more than `threshold` seconds (default: config.max_blocking_time, 0.1) without letting the
    loop have its turn is told of once, then every `repeat` seconds (inf: no more), and when it
    lets go: to events.subscribers, and by report(event), on stderr without one. Something that
    only takes text will do: report=logging.getLogger(__name__).warning. All are called in the
    monitor's thread, and must not use the watched one's tasks. What is over within half as much
    again as the threshold may go unnoticed. Errors: TypeError, ValueError for what is no time."""
    return Monitor(current()._thread, threshold, report, repeat)


def start_for(loop: Any) -> Monitor:
    """The loop's monitor with the settings of config, started if it does not run."""
    if get_ident() != loop._thread.ident:
        raise InvalidThreadUseError("only the loop's own thread can start its monitor")
    monitor: Monitor | None = loop.periodic_monitoring_thread
    if monitor is None or not monitor.running:
        monitor = loop.periodic_monitoring_thread = Monitor(loop._thread)
        notify(PeriodicMonitorThreadStartedEvent(monitor))
    return monitor


def stop_all() -> None:
    """At the end of the process: nothing is told while the interpreter goes down."""
    for monitor in list(_monitors):
        monitor.stop()


def before_fork() -> None:
    """The threads are not in the child: nothing of theirs may be half done when it begins. And
    Python warns of a fork where there are threads: so they shall be gone for the kernel too."""
    for monitor in list(_monitors):
        monitor._end()
        for _ in range(50):
            if monitor.running or not os.access(f"/proc/self/task/{monitor._native_id}", os.F_OK):
                break
            nap(0.001)


def after_fork_in_parent() -> None:
    for monitor in list(_monitors):
        monitor._begin()


def after_fork_in_child() -> None:
    """For the loop's own hook to call, when it is known who of all threads is still there."""
    for monitor in list(_monitors):
        if monitor._thread.ident == get_ident():
            monitor._watched_id = get_native_id()
            monitor._begin()
        else:
            _monitors.discard(monitor)


atexit.register(stop_all)
os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent)
