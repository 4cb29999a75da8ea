"""Waking a loop that sleeps in the kernel: from another thread, and for a signal.

A socket pair: a byte written to one end makes the other readable. The main thread's also is
Python's signal wakeup descriptor, so that a signal ends the sleep no matter which thread it
arrives in, and handlers run at once. Somebody else's wakeup descriptor is left in place: then a
signal is noticed as soon as it interrupts the main thread itself, and within a second where it does
not: it came to another thread, or just before the sleep.

And Ctrl-C: KeyboardInterrupt may come between any two instructions, which the queues of the loop
could not stand. Functions that touch them are marked, and the interrupt waits for a better moment.
"""

from __future__ import annotations

import _socket
import _thread
import os
import select
import signal
import threading
from collections.abc import Callable, Sized
from time import sleep as _nap
from types import CodeType, FrameType
from typing import Any, TypeVar

from .forks import in_child

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


_get_ident = _thread.get_ident  # not the one that names tasks (thread.py)
_thread_start = _thread.start_new_thread
_thread_interrupt = _thread.interrupt_main
_main_ident = threading.main_thread().ident
_UNTOLD = 1.0  # seconds to sleep at most where a signal does not end that


def is_main_thread() -> bool:
    """By number: current_thread() would make an object for a thread that threading does not know,
    and a task may pass for a thread."""
    return _get_ident() == _main_ident


class Wakeup:
    """A signal makes `fd` readable, until drain(). wake() has an edge of `bell` reported, or, where
    that is None, makes `fd` readable; it is safe in any thread and in signal handlers.

    bell: an eventfd, which nobody has to read: each write is an edge. None without epoll.
    """

    __slots__ = (
        "_is_untold",
        "_reader",
        "_ringing",
        "_watches_signals",
        "_writer",
        "bell",
        "fd",
        "is_asleep",
    )

    def __init__(self) -> None:
        self._reader, self._writer = _socket.socketpair(
            _socket.AF_UNIX, _socket.SOCK_STREAM | getattr(_socket, "SOCK_CLOEXEC", 0)
        )
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.fd: int = self._reader.fileno()
        self.bell: int | None = _take_bell()
        self.is_asleep = False
        self._ringing = 0  # threads in wake(); each change is one statement, which none cuts in two
        self._watches_signals = False
        self._is_untold = False  # of signals, which are for the thread of this loop
        if is_main_thread():
            self._watch_signals()

    def _watch_signals(self) -> None:
        try:
            former = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        except ValueError:  # not the interpreter's own main thread
            return
        if former == -1:
            self._watches_signals = True
        else:
            signal.set_wakeup_fd(former, warn_on_full_buffer=False)
            self._is_untold = True

    def sleep(self, poll: Callable[[float], T], ready: Sized, seconds: float) -> T:
        """poll(seconds) that wake() ends, or poll(0) where something is ready. Who adds to `ready`
        looks at `is_asleep` after that. It may be over sooner."""
        if self._is_untold and not 0.0 <= seconds <= _UNTOLD:
            seconds = _UNTOLD
        self.is_asleep = True
        try:
            return poll(0.0 if ready else seconds)
        finally:
            self.is_asleep = False

    def wake(self) -> None:
        self.is_asleep = False  # one ring is enough
        self._ringing += 1
        bell = self.bell
        if bell is not None:
            _ring(bell, 1)
            self._ringing -= 1
            return
        try:
            self._writer.send(b"\0")
        except BlockingIOError:  # full: it is readable all right
            pass
        except OSError:  # closed: its loop has ended
            pass

    def drain(self) -> None:
        try:
            while len(self._reader.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def close(self, forked: bool = False) -> None:
        """forked: in the child, whose parent keeps on using the same kernel objects."""
        if self._watches_signals:
            self._watches_signals = False
            try:
                former = signal.set_wakeup_fd(-1)
                if former not in (-1, self._writer.fileno()):
                    signal.set_wakeup_fd(former)
            except ValueError:  # another thread closes it: the interpreter ends
                pass
        self._reader.close()
        self._writer.close()
        bell, self.bell = self.bell, None
        if bell is not None:
            if forked or not self._ringing:
                os.close(bell)
            else:
                _bells.append(bell)


# Bells of loops that have ended while another thread was about to ring. They stay open, for later
# loops: the number must not be another file's when that thread goes on.
_bells: list[int] = []
_ring: Callable[[int, int], None] = getattr(os, "eventfd_write", lambda bell, count: None)


def _take_bell() -> int | None:
    if not (hasattr(os, "eventfd") and hasattr(select, "epoll")):
        return None
    try:
        return _bells.pop()
    except IndexError:
        return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


@in_child
def _after_fork_in_child() -> None:
    global _main_ident
    _main_ident = _get_ident()
    # The parent is going to ring these; and here no thread is about to.
    while _bells:
        os.close(_bells.pop())


# ---- Ctrl-C ----

_careful: set[CodeType] = set()


def defer_interrupt(function: F) -> F:
    """Marks a function that must not be left in the middle by KeyboardInterrupt: what it took out
    of a queue would be lost. The interrupt comes when it waits, or soon after its end."""
    _careful.add(function.__code__)
    return function


def on_interrupt(
    interrupt: Callable[[Callable[[], bool]], object], is_loop: Callable[[], bool]
) -> None:
    """Ctrl-C calls `interrupt` where is_loop() or a careful function is running, and raises
    KeyboardInterrupt there elsewhere, also in a callback of the loop. `interrupt` gets a function
    that says, when it has come so far, whether it is still wanted: who does not wait for long has
    been interrupted by then, as the signal comes again. Main thread only; a handler of somebody's
    own stays."""
    if not is_main_thread():
        return
    put_off = False  # has `interrupt` been called, and not come so far?
    again = False  # is it not a person's, but come_again()'s?

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal put_off, again
        over, again = again and not put_off, False
        if over:
            return
        if _may_be_cut(frame) and (not is_loop() or _is_in_callback(frame)):
            put_off = False
            raise KeyboardInterrupt
        if not put_off:
            interrupt(is_wanted)
            put_off = True
            if not is_loop():
                _thread_start(come_again, ())

    def is_wanted() -> bool:
        nonlocal put_off
        wanted, put_off = put_off, False
        return wanted

    def come_again() -> None:
        nonlocal again
        while put_off:
            _nap(0.01)
            if put_off:
                again = True
                _thread_interrupt()

    handle.is_own = True  # type: ignore[attr-defined]
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the interpreter's own main thread
        pass


def is_own_handler(handler: Any) -> bool:
    """Is it Python's handler of Ctrl-C, or ours?"""
    return handler is signal.default_int_handler or hasattr(handler, "is_own")


def _may_be_cut(frame: FrameType | None) -> bool:
    """Is it no careful function, and called by none?"""
    while frame is not None and _is_own(frame):
        if frame.f_code in _careful:
            return False
        frame = frame.f_back
    return True


# What the loop calls callbacks by; whoever calls these stands whatever they raise.
_DOORS = ("Handle.run", "Timer.run", "Ending._call_links", "Links._call_due")


def _is_in_callback(frame: FrameType | None) -> bool:
    """Is this a callback that is not our own, or called by one?"""
    is_own = True
    while frame is not None:
        if not is_own and frame.f_code.co_qualname in _DOORS and _is_own(frame):
            return True
        is_own = _is_own(frame)
        frame = frame.f_back
    return False


def _is_own(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__package__") == __package__)
