"""Worker processes for a server, and the supervisor that keeps them alive: one core each.

The supervisor opens one listening socket for each worker, at the same port (SO_REUSEPORT, by which
the kernel shares connections out), and keeps all of them open: so what waits in a queue is not lost
while a worker is replaced. A Unix socket has one queue, which all share.

SIGTERM and Ctrl-C end all gracefully, SIGHUP replaces all workers by new ones: each former one
serves until the new one has started. A worker that dies is replaced; one that dies young, after a
pause that doubles. One whose loop stands still for too long is killed, if that is wanted
(heartbeat.py). Should the supervisor be killed, its workers notice and end.

At the beginning, and after SIGHUP, one worker goes ahead, and the others follow when it has
started. If it cannot, neither could they: that is told once, and is the end, or the end of that
reload.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any

from .checks import check_number
from .coroutine import current
from .event import Event
from .loop import get_loop
from .os import nb_read
from .reports import say
from .task import spawn
from .wakeup import is_main_thread
from .workerprocess import Refused, Worker

YOUNG = 1.0  # seconds: who dies before has not worked
SHORTEST, LONGEST = 0.1, 10.0  # seconds of pauses
_BEATS = 4  # signs of life within worker_timeout
_LAST_WORD = 1.0  # seconds between SIGABRT and SIGKILL
_KILLED = 5.0  # seconds more than the grace period, until a worker is killed
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Place:
    """One worker's: its socket, who works there now, and who is to take over in a reload."""

    def __init__(self, listener: Any) -> None:
        self.listener = listener
        self.worker: Worker | None = None
        self.heir: Worker | None = None
        self.pause = SHORTEST
        self.due = 0.0  # when there is to be a new one, where nobody works


class Supervisor:
    """run() has a process for each of the listeners, which calls start(listener), and then serve();
    for the main program. serve() returns when the process gets SIGTERM, within `grace` seconds.

    worker_timeout: a worker whose loop has had no turn for so many seconds gets SIGABRT, for which
    faulthandler, where it is enabled, tells where it stands; a second later it is killed. That
    counts from the fork on, so it has to start and come to its loop in time. None: it may stand
    still for ever. Errors: TypeError, ValueError for what is no number of seconds above 0.
    """

    def __init__(
        self,
        start: Callable[[Any], Any],
        serve: Callable[[], Any],
        listeners: Sequence[Any],
        grace: float = 30.0,
        worker_timeout: float | None = None,
    ) -> None:
        self._start = start
        self._serve = serve
        self._worker_timeout = check_worker_timeout(worker_timeout)
        self._looked = self._excused = 0.0  # see _kill_hung()
        self._places = [Place(listener) for listener in listeners]
        self._grace = grace
        self._leaving: dict[Worker, float] = {}  # who is to end, and when they are killed
        self._works = False  # has any of them ever started?
        self._failure: str | None = None  # why the first could not
        self._followers: list[Place] = []  # of who goes ahead in a reload
        self._came: set[int] = set()  # signals
        self._wake = Event()
        self._pipe = (-1, -1)  # which ends with this process

    def run(self) -> None:
        """Returns after SIGTERM; raises KeyboardInterrupt after Ctrl-C. Errors: Refused where the
        first worker cannot start; RuntimeError in a task, or outside of the main thread."""
        here = current()
        if not is_main_thread() or here is not here._thread.main:
            raise RuntimeError("workers are for the main program: call this outside of tasks")
        self._pipe = os.pipe()
        former = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            self._supervise()
        finally:
            for number, handler in former.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            for end in self._pipe:
                os.close(end)
        if signal.SIGINT in self._came:
            raise KeyboardInterrupt
        if self._failure is not None and signal.SIGTERM not in self._came:
            raise Refused(f"the workers cannot start: {self._failure}")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Python's handler."""
        self._came.add(number)
        get_loop().post_threadsafe(self._wake.set)

    def _supervise(self) -> None:
        loop = get_loop()
        while not self._came & {signal.SIGTERM, signal.SIGINT}:
            self._reap()
            if self._failure is not None:
                break
            if signal.SIGHUP in self._came and self._works:
                self._came.discard(signal.SIGHUP)
                self._reload()
            self._kill_hung()
            now = loop.clock()
            for place in self._vacant():
                if place.due <= now:
                    place.worker = self._fork(place)
            self._sleep([place.due for place in self._vacant()])
        for place in self._places:
            place.listener.close()  # nobody is to wait in a queue for nothing
        for worker in self._workers():
            self._tell_to_end(worker)
        self._places.clear()
        while self._leaving:
            self._reap()
            if self._leaving:
                self._sleep([])

    def _workers(self) -> Iterator[Worker]:
        for place in self._places:
            for worker in (place.worker, place.heir):
                if worker is not None:
                    yield worker

    def _vacant(self) -> list[Place]:
        """Where somebody is to begin: in the first place, before anybody works."""
        places = self._places if self._works else self._places[:1]
        return [place for place in places if place.worker is None]

    def _sleep(self, times: list[float]) -> None:
        now = get_loop().clock()
        times = [*times, *self._leaving.values(), now + 1.0]  # SIGCHLD may be somebody else's
        if self._worker_timeout is not None:
            times.append(now + self._worker_timeout / _BEATS)
        self._wake.wait(max(0.0, min(times) - now))
        self._wake.clear()

    def _fork(self, place: Place) -> Worker | None:
        """None where the system does not let us, for want of descriptors or processes: that passes
        over. OSError where nobody works yet."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        timeout = self._worker_timeout
        worker = None
        try:
            worker = Worker(None if timeout is None else timeout / _BEATS)
            pid = os.fork()
        except OSError as error:
            if worker is not None:
                worker.give_up()
            if not self._works:
                raise
            say(f"pycoro: no new worker can be made now: {error}\n")
            self._put_off(place)
            return None
        if not pid:
            worker.run(partial(self._start_worker, place.listener), self._serve)
        worker.forked(pid, self._wake.set)
        return worker

    def _start_worker(self, listener: Any) -> None:
        """In the child."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is the supervisor's
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.SIGTERM in self._came:  # since the fork: our own handler has had it
            os.kill(os.getpid(), signal.SIGTERM)
        if signal.SIGINT in self._came:
            raise KeyboardInterrupt
        os.close(self._pipe[1])
        spawn(_end_with, self._pipe[0])
        for place in self._places:
            if place.listener is not listener and place.listener.fileno() >= 0:
                place.listener.close()
        for other in (*self._workers(), *self._leaving):
            other.close()
        self._start(listener)

    def _reload(self) -> None:
        """From the beginning, where one is under way."""
        for place in self._places:
            if place.heir is not None:
                self._tell_to_end(place.heir)
                place.heir = None
        first, *self._followers = self._places
        first.heir = self._fork(first)

    def _tell_to_end(self, worker: Worker) -> None:
        self._leaving[worker] = get_loop().clock() + self._grace + _KILLED
        _kill(worker.pid, signal.SIGTERM)

    def _reap(self) -> None:
        """Looks who has started and who has ended, and kills who should have."""
        now = get_loop().clock()
        for worker, due in list(self._leaving.items()):
            worker.look()
            if worker.ended is not None:
                del self._leaving[worker]
            elif due <= now:
                self._leaving[worker] = now + 1.0
                say(f"pycoro: worker {worker.pid} has not ended in time: killed\n")
                _kill(worker.pid, signal.SIGKILL)
        for place in self._places:
            if place.heir is not None:
                self._look_at_heir(place, place.heir)
            if place.worker is not None:
                self._look_at_worker(place, place.worker)

    def _look_at_heir(self, place: Place, heir: Worker) -> None:
        heir.look()
        if heir.started:
            if place.worker is not None:
                self._tell_to_end(place.worker)
            place.worker, place.heir = heir, None
            for follower in self._followers:
                follower.heir = self._fork(follower)
        elif heir.ended is not None:
            why = heir.why or heir.ended
            say(f"pycoro: new worker {heir.pid} cannot start, the former one goes on: {why}\n")
            place.heir = None
        else:
            return
        self._followers = []

    def _look_at_worker(self, place: Place, worker: Worker) -> None:
        worker.look()
        if worker.started:
            self._works = True
        if worker.ended is None:
            return
        place.worker = None
        now = get_loop().clock()
        if not worker.started or now - worker.born < YOUNG:
            self._put_off(place)
        else:
            place.due, place.pause = now, SHORTEST
        if not self._works:
            self._failure = worker.why or worker.ended
        elif worker.started or not worker.why:
            say(f"pycoro: worker {worker.pid} has ended ({worker.ended}): there will be another\n")
        else:
            say(f"pycoro: worker {worker.pid} cannot start: {worker.why}: there will be another\n")

    def _put_off(self, place: Place) -> None:
        place.due = get_loop().clock() + place.pause
        place.pause = min(LONGEST, place.pause * 2)

    def _kill_hung(self) -> None:
        """Not where this process itself has been late: all of us may have been stopped, or the
        machine has had no time for anybody."""
        timeout = self._worker_timeout
        if timeout is None:
            return
        now = get_loop().clock()
        if now - self._looked > timeout / 2:
            self._excused = now
        self._looked = now
        for worker in self._workers():
            if worker.heart is None:
                continue
            if worker.hung:
                if worker.last_word <= now:
                    _kill(worker.pid, signal.SIGKILL)
            elif now - max(worker.heart.last, worker.born, self._excused) > timeout:
                say(
                    f"pycoro: the loop of worker {worker.pid} has stood still for more than "
                    f"{timeout:g} s: killed\n"
                )
                worker.hung = True
                worker.last_word = now + _LAST_WORD
                _kill(worker.pid, signal.SIGABRT)


def check_worker_timeout(timeout: float | None) -> float | None:
    """`timeout` itself. Errors: TypeError, ValueError."""
    if timeout is not None and check_number(timeout, "worker_timeout") <= 0:
        raise ValueError(f"worker_timeout must be above 0, or None for no limit, not {timeout!r}")
    return timeout


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _end_with(pipe: int) -> None:
    """Of a worker: nobody ever writes to the pipe, so it ends with the supervisor."""
    os.set_blocking(pipe, False)
    nb_read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
