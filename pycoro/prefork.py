"""Worker processes for a server, and the supervisor that keeps them alive: one core each.

The supervisor opens one listening socket for each worker, at the same port (SO_REUSEPORT, by which
the kernel shares connections out), and keeps all of them open: so what waits in a queue is not lost
while a worker is replaced. A Unix socket has one queue, which all share.

SIGTERM and Ctrl-C end all gracefully, SIGHUP replaces all workers by new ones. A worker that dies
is replaced; one that dies young, after a pause that doubles. One whose loop stands still for too
long is killed, if that is wanted (heartbeat.py). Should the supervisor be killed, its workers
notice and end.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from select import PIPE_BUF
from types import FrameType
from typing import Any

from .checks import check_number
from .coroutine import current
from .event import Event
from .heartbeat import Heartbeat
from .loop import get_loop
from .os import nb_read
from .reports import say
from .task import spawn
from .wakeup import is_main_thread

YOUNG = 1.0  # seconds: who dies before has not worked
SHORTEST, LONGEST = 0.1, 10.0  # seconds of pauses
_BEATS = 4  # signs of life within worker_timeout
_LAST_WORD = 1.0  # seconds between SIGABRT and SIGKILL
_KILLED = 5.0  # seconds more than the grace period, until a worker is killed
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Refused(Exception):
    """What was asked for cannot be: one line for who asked, and no traceback."""


class Place:
    """One worker's: its socket, and who works there now."""

    def __init__(self, listener: Any) -> None:
        self.listener = listener
        self.pid: int | None = None
        self.born = 0.0
        self.is_new = True  # has nobody worked there before?
        self.pause = SHORTEST
        self.due = 0.0  # when there is to be a new one
        self.heart: Heartbeat | None = None
        self.hung = False  # has it been told to die of that?
        self.last_word = 0.0  # when it is killed, in that case


class Supervisor:
    """run() calls work(listener) in a process for each of the listeners, until it is to stop; for
    the main program. work() returns when the process gets SIGTERM, within `grace` seconds.

    worker_timeout: a worker whose loop has had no turn for so many seconds gets SIGABRT, for which
    faulthandler, where it is enabled, tells where it stands; a second later it is killed. That
    counts from the fork on, so work() has to come to its loop in time. None: it may stand still for
    ever. Errors: TypeError, ValueError for what is no number of seconds above 0.

    Where work() raises Refused, it is of no use to try again. At the first start that ends all, and
    run() raises it; later, in place of one that has worked, there may yet be another: it is told.
    """

    def __init__(
        self,
        work: Callable[[Any], None],
        listeners: Sequence[Any],
        grace: float = 30.0,
        worker_timeout: float | None = None,
    ) -> None:
        self._work = work
        self._worker_timeout = check_worker_timeout(worker_timeout)
        self._looked = self._excused = 0.0  # see _kill_hung()
        self._places = [Place(listener) for listener in listeners]
        self._grace = grace
        self._leaving: dict[int, float] = {}  # processes that are to end, and when they are killed
        self._came: set[int] = set()  # signals
        self._wake = Event()
        self._pipe = (-1, -1)  # which ends with this process
        self._refusals = (-1, -1)  # another pipe: why workers cannot work
        self._refused = b""

    @property
    def pids(self) -> list[int]:
        """Of the workers."""
        return [place.pid for place in self._places if place.pid is not None]

    def run(self) -> None:
        """Returns after SIGTERM; raises KeyboardInterrupt after Ctrl-C. Errors: Refused, of work();
        RuntimeError in a task, or outside of the main thread."""
        here = current()
        if not is_main_thread() or here is not here._thread.main:
            raise RuntimeError("workers are for the main program: call this outside of tasks")
        self._pipe = os.pipe()
        self._refusals = os.pipe()
        os.set_blocking(self._refusals[0], False)
        former = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            self._supervise()
        finally:
            for number, handler in former.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            for end in self._pipe + self._refusals:
                os.close(end)
        if self._refused:
            raise Refused(self._refused.partition(b"\0")[0].decode(errors="replace"))
        if signal.SIGINT in self._came:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Python's handler."""
        self._came.add(number)
        get_loop().post_threadsafe(self._wake.set)

    def _supervise(self) -> None:
        loop = get_loop()
        for place in self._places:
            self._begin(place)
        while not self._came & {signal.SIGTERM, signal.SIGINT}:
            if signal.SIGHUP in self._came:
                self._came.discard(signal.SIGHUP)
                self._replace_all()
            self._reap()
            if self._refused:
                break
            self._kill_hung()
            now = loop.clock()
            for place in self._places:
                if place.pid is None and place.due <= now:
                    self._begin(place)
            self._sleep([place.due for place in self._places if place.pid is None])
        for place in self._places:
            place.listener.close()  # nobody is to wait in a queue for nothing
            self._dismiss(place)
        while self._leaving:
            self._reap()
            if self._leaving:
                self._sleep([])

    def _sleep(self, times: list[float]) -> None:
        now = get_loop().clock()
        times = [*times, *self._leaving.values(), now + 1.0]  # SIGCHLD may be somebody else's
        if self._worker_timeout is not None:
            times.append(now + self._worker_timeout / _BEATS)
        self._wake.wait(max(0.0, min(times) - now))
        self._wake.clear()

    def _begin(self, place: Place) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        timeout = self._worker_timeout
        place.heart = None if timeout is None else Heartbeat(timeout / _BEATS)
        place.hung = False
        pid = os.fork()
        if not pid:
            self._be_worker(place)
        place.pid = pid
        place.is_new = False
        place.born = get_loop().clock()

    def _be_worker(self, place: Place) -> None:
        """In the child, which never leaves this."""
        listener = place.listener
        code = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is the supervisor's
            os.close(self._pipe[1])
            spawn(_end_with, self._pipe[0])
            for other in self._places:
                if other.listener is not listener and other.listener.fileno() >= 0:
                    other.listener.close()
            if place.heart is not None:
                place.heart.start()
            self._work(listener)
            code = 0
        except KeyboardInterrupt:
            code = 0  # of the terminal, to all of us
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except Refused as error:
            if place.is_new:
                why = str(error).encode(errors="replace")[: PIPE_BUF - 1]  # so it is in one piece
                os.write(self._refusals[1], why + b"\0")
            else:
                say(f"pycoro: worker {os.getpid()}: {error}\n")
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError, AttributeError):
                    pass
            os._exit(code)

    def _replace_all(self) -> None:
        """New ones first: then somebody listens all the time."""
        for place in self._places:
            former = place.pid
            self._begin(place)
            if former is not None:
                self._tell_to_end(former)

    def _dismiss(self, place: Place) -> None:
        if place.pid is not None:
            self._tell_to_end(place.pid)
            place.pid = None

    def _tell_to_end(self, pid: int) -> None:
        self._leaving[pid] = get_loop().clock() + self._grace + _KILLED
        _kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        """Looks who has ended, and kills who should have."""
        now = get_loop().clock()
        for pid, due in list(self._leaving.items()):
            if _ended(pid) is not None:
                del self._leaving[pid]
            elif due <= now:
                self._leaving[pid] = now + 1.0
                say(f"pycoro: worker {pid} has not ended in time: killed\n")
                _kill(pid, signal.SIGKILL)
        for place in self._places:
            if place.pid is None or (status := _ended(place.pid)) is None:
                continue
            with suppress(BlockingIOError):
                self._refused = os.read(self._refusals[0], PIPE_BUF)
            if self._refused:
                place.pid = None
                continue
            say(f"pycoro: worker {place.pid} has ended ({status}): there will be another\n")
            young = now - place.born < YOUNG
            place.due = now + place.pause if young else now
            place.pause = min(LONGEST, place.pause * 2) if young else SHORTEST
            place.pid = None

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
        for place in self._places:
            if place.pid is None or place.heart is None:
                continue
            if place.hung:
                if place.last_word <= now:
                    _kill(place.pid, signal.SIGKILL)
            elif now - max(place.heart.last, place.born, self._excused) > timeout:
                say(
                    f"pycoro: the loop of worker {place.pid} has stood still for more than "
                    f"{timeout:g} s: killed\n"
                )
                place.hung = True
                place.last_word = now + _LAST_WORD
                _kill(place.pid, signal.SIGABRT)


def check_worker_timeout(timeout: float | None) -> float | None:
    """`timeout` itself. Errors: TypeError, ValueError."""
    if timeout is not None and check_number(timeout, "worker_timeout") <= 0:
        raise ValueError(f"worker_timeout must be above 0, or None for no limit, not {timeout!r}")
    return timeout


def _ended(pid: int) -> str | None:
    """How, or None where it has not."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # somebody else has reaped it
        return "unknown"
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"


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
