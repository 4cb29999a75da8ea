"""Real threads that do jobs: a crew of at most `limit` workers, started when there is work.

A job is an object with call(), which does the work, and deliver(), which tells of it; neither
raises. Any thread may submit() one. Jobs are begun in the order they came in.

There is no lock around the crew's state, so that no signal handler, finalizer or fork can find it
taken. Each step is one that no other thread cuts in two: of a deque, list or set, or an assignment
in one statement. Who submits puts the job in first and looks for an idle worker after that; who has
found no job lies down first and looks once more after that.

Workers are daemons: the interpreter ends without waiting for them, even in the middle of a job. A
forked child has none, and no job; it starts new ones.
"""

from __future__ import annotations

import sys
import threading
from _thread import _local as _ThreadLocal  # noqa: N812  # these three none is a patched one
from _thread import allocate_lock as _allocate_lock
from _thread import get_ident as _get_ident
from _thread import start_new_thread as _start_thread
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

from . import deadlock
from .forks import in_child
from .loop import get_loop
from .reports import report_unraisable
from .waiting import WaitQueue
from .wakeup import defer_interrupt

_here = _ThreadLocal()
_crews: WeakSet[Crew] = WeakSet()


class Job(Protocol):
    def call(self) -> None: ...
    def fail(self, error: BaseException) -> None:
        """It could not be called."""

    def deliver(self) -> None: ...


class Worker:
    """A thread. `bell`: a lock that it waits for while idle, released by who wakes it."""

    __slots__ = ("bell", "crew")

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.bell = _allocate_lock()
        self.bell.acquire()

    def run(self) -> None:
        """What the thread does."""
        _here.farewell = _Farewell(self)
        crew = self.crew
        crew.enter()
        if crew.begin is not None and not crew.begin():
            crew.leave(self, of_itself=True)
            return
        while (job := crew.take(self)) is not None:
            try:
                _call_observed(job)
            except BaseException as error:  # of a tracer
                job.fail(error)
            crew.demand -= 1  # before anybody knows of the result, and has the next job done
            try:
                job.deliver()
            except BaseException as error:  # of a subclass's, say
                report_unraisable(error)
            del job

    def wake(self) -> None:
        deadlock.set_idle(self, False)
        self.bell.release()


class _Farewell:
    """Lives in a thread-local, so that it dies when the thread has ended; in that thread, or in a
    child that another one has forked."""

    __slots__ = ("ident", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.ident = _get_ident()

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not finalizing() and _get_ident() == self.ident:
            self.worker.crew.has_ended(self.worker)


def _call_observed(job: Job) -> None:
    """Under what threading.settrace() and setprofile() have set for new threads by now."""
    profile, trace = threading.getprofile(), threading.gettrace()
    is_observed = profile is not None or trace is not None
    try:
        if is_observed:
            sys.setprofile(profile)
            sys.settrace(trace)
        job.call()
    finally:
        del job  # an error's frames lead back to this one
        if is_observed:
            sys.settrace(None)
            sys.setprofile(None)


def wait_for_threads(queue: WaitQueue, ready: Callable[[], bool], timeout: float | None) -> bool:
    """queue.wait_unless(ready, timeout), where a thread is sure to wake us: this is no deadlock,
    the loop has something to wait for, and no virtual time passes meanwhile."""
    loop = get_loop()
    loop.foreign += 1
    try:
        return queue.wait_unless(ready, timeout)
    finally:
        loop.foreign -= loop.foreign > 0  # 0: in a forked child


class Crew:
    """limit: of workers. idle_timeout: seconds after which an idle one ends; negative for never.
    begin: called by each worker first; it ends where that gives False, and must not raise."""

    __slots__ = (
        "__weakref__",
        "_departures",
        "_idents",
        "_idle",
        "_jobs",
        "_size",
        "_surplus",
        "_threads",
        "_workers",
        "begin",
        "demand",
        "idle_timeout",
        "limit",
    )

    def __init__(
        self, limit: int, idle_timeout: float = -1, begin: Callable[[], bool] | None = None
    ) -> None:
        self.limit = limit
        self.idle_timeout = min(idle_timeout, threading.TIMEOUT_MAX) if idle_timeout >= 0 else -1
        self.begin = begin
        self.demand = 0  # jobs whose call has not ended
        self._jobs: deque[Any] = deque()
        self._idle: list[Worker] = []  # who lay down last is woken first
        self._size = 0  # how many workers there are, or are going to be in a moment
        self._workers: set[Worker] = set()
        self._threads: set[Worker] = set()  # those on their way out too
        self._idents: set[int] = set()  # the workers', by _thread.get_ident()
        self._surplus = 0  # workers that are to end
        self._departures = WaitQueue(self)  # who waits for threads to end
        _crews.add(self)

    def __len__(self) -> int:
        """How many workers there are."""
        return self._size

    def is_own_thread(self) -> bool:
        """Is the caller one of its jobs?"""
        return _get_ident() in self._idents

    # ---- work ----

    @defer_interrupt
    def submit(self, job: Job) -> None:
        """Has a worker do it. Errors: RuntimeError where there is no worker and no thread can be
        started; then the job is not done."""
        self.demand += 1
        self._jobs.append(job)
        try:
            worker = self._idle.pop()
        except IndexError:
            try:
                self.adjust()
            except RuntimeError:  # the workers there are will do
                if not self._size and self.withdraw(job):
                    raise
        else:
            worker.wake()

    def withdraw(self, job: Job) -> bool:
        """It will not be begun. False where it has been, or is not here."""
        try:
            self._jobs.remove(job)
        except ValueError:
            return False
        self.demand -= 1
        return True

    def withdraw_all(self) -> list[Any]:
        """Those that will not be begun."""
        jobs = []
        try:
            while True:
                jobs.append(self._jobs.popleft())
                self.demand -= 1
        except IndexError:
            return jobs

    def adjust(self) -> None:
        """Starts workers where there is work for more. Errors: RuntimeError where no thread can be
        started."""
        self.grow(min(self.limit, self.demand))

    @defer_interrupt
    def grow(self, size: int) -> None:
        """Starts workers until there are `size`. Errors: RuntimeError where no thread can be
        started."""
        while True:
            self._size += (is_missing := self._size < size)
            if not is_missing:
                return
            if self._size == 1:
                self._surplus = 0
            self._surplus += self._surplus > 0  # as many stay as are to
            worker = Worker(self)
            self._workers.add(worker)
            self._threads.add(worker)
            try:
                _start_thread(worker.run, ())
            except BaseException:
                self._threads.discard(worker)
                self._remove(worker, of_itself=True)
                raise

    def enter(self) -> None:
        """The calling thread is one of the crew's from now on, until leave()."""
        self._idents.add(_get_ident())

    def take(self, worker: Worker) -> Any:
        """The next job, for a worker, who waits for it; None where he is to end."""
        jobs = self._jobs
        while worker in self._workers:  # not in a child that a job has forked
            if (not jobs or 0 < self.limit < self._size) and self._surplus:
                self._surplus -= (is_one := self._surplus > 0)
                if is_one:
                    break
            try:
                return jobs.popleft()
            except IndexError:
                pass
            deadlock.set_idle(worker, True)
            self._idle.append(worker)
            if (jobs or self._surplus) and self._rise(worker):
                continue
            if not worker.bell.acquire(True, self.idle_timeout):
                if self._rise(worker):
                    self.leave(worker, of_itself=True)
                    return None
                worker.bell.acquire()  # it is being rung just now
        self.leave(worker)
        return None

    def _rise(self, worker: Worker) -> bool:
        """He stops being idle. False where somebody is waking him."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        deadlock.set_idle(worker, False)
        return True

    # ---- fewer workers ----

    @defer_interrupt
    def shrink(self, size: int) -> None:
        """Has workers end until there are `size`, once there is no job left for them. No waiting
        here: from any thread, at any time."""
        self._surplus = self._size - size if self._size > size else 0
        if self._surplus:
            while self._idle:
                try:
                    self._idle.pop().wake()
                except IndexError:
                    break

    def wait_until_shrunk(self, timeout: float | None = None) -> bool:
        """Waits until the threads have ended that are to; False where `timeout` seconds were over
        first."""
        return self._is_shrunk() or wait_for_threads(self._departures, self._is_shrunk, timeout)

    def _is_shrunk(self) -> bool:
        return not (self._surplus and self._size) and self._threads <= self._workers

    def leave(self, worker: Worker, of_itself: bool = False) -> None:
        """He takes no job any more; of_itself: without having been told to."""
        self._remove(worker, of_itself)
        self._idents.discard(_get_ident())
        if self._jobs:  # one that came in between, and did not find him idle
            try:
                self.adjust()
            except RuntimeError:
                pass

    def _remove(self, worker: Worker, of_itself: bool) -> None:
        try:
            self._workers.remove(worker)
        except KeyError:  # in a forked child, or he has left before
            return
        self._size -= 1
        self._surplus -= of_itself and self._surplus > 0  # one less that has to be told

    def has_ended(self, worker: Worker) -> None:
        """So has his thread."""
        self.leave(worker, of_itself=True)  # if he has not: of an error, for want of memory, say
        self._threads.discard(worker)
        if self._is_shrunk():
            self._departures.wake_all()
        deadlock.leave(worker)  # last: it lets others run, who would see that nobody wakes them

    def after_fork(self) -> None:
        """In the child."""
        self._jobs.clear()
        self._idle.clear()
        self._workers.clear()
        self._threads.clear()
        self._idents.clear()
        self.demand = self._size = self._surplus = 0
        self._departures.wake_all()


@in_child
def _after_fork_in_child() -> None:
    for crew in list(_crews):
        crew.after_fork()
