"""For whoever looks into a running program, under gevent's names: what all threads and coroutines
do, as a page of text or as trees; at a signal, if need be; and does a block of code ever wait?
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TextIO

from .reports import report_unraisable
from .stacks import call_of, frame_of_thread, places_of, text_of
from .switches import FailedToSwitch, assert_switches
from .tree import GreenletTree

__all__ = [
    "FailedToSwitch",
    "GreenletTree",
    "assert_switches",
    "dump_on_signal",
    "format_run_info",
    "print_run_info",
    "wrap_errors",
]

_FailedToSwitch = FailedToSwitch
_RULE = "*" * 80


def print_run_info(
    thread_stacks: bool = True,
    greenlet_stacks: bool = True,
    limit: int | None = None,
    file: TextIO | None = None,
) -> None:
    """Writes format_run_info() to `file`, by default stderr, in one piece."""
    lines = format_run_info(thread_stacks, greenlet_stacks, limit)
    file = sys.stderr if file is None else file
    file.write("\n".join([*lines, ""]))
    file.flush()


def format_run_info(
    thread_stacks: bool = True,
    greenlet_stacks: bool = True,
    limit: int | None = None,
    current_thread_ident: int | None = None,
) -> list[str]:
    """What all threads and coroutines do, in lines: of threads what they run, of coroutines who
    spawned whom, what each waits for and where. Without `thread_stacks` or `greenlet_stacks` there
    are names only; of a stack the innermost `limit` frames. `current_thread_ident`: the thread
    that is marked as the current one, default: the calling one."""
    here = threading.get_ident() if current_thread_ident is None else current_thread_ident
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = [_RULE, "* Threads", _RULE]
    for ident in sorted(sys._current_frames(), key=lambda ident: (ident != here, ident)):
        mark = ", current" if ident == here else ""
        lines.append(f"Thread {ident:#x} ({names.get(ident, 'not of the threading module')}{mark})")
        if thread_stacks:
            lines += text_of(places_of(call_of(frame_of_thread(ident)), limit))
    lines += [_RULE, "* Coroutines", _RULE]
    for tree in GreenletTree.forest():
        ident = tree.greenlet._thread.ident
        lines.append(f"---- of thread {ident:#x} ({names.get(ident, '')})")
        details = {"running_stacks": greenlet_stacks, "running_stack_limit": limit}
        lines += tree.format_lines(details)
    return lines


def dump_on_signal(number: int = signal.SIGUSR1, file: TextIO | None = None) -> Any:
    """From now on `kill -USR1 PID`, or another signal, has print_run_info() written to `file`, by
    default to descriptor 2, whatever sys.stderr is by then. Gives the handler that was there
    before. In the main thread only, and a call in C that does not come back keeps it from running:
    faulthandler.register() does not depend on that, but knows no coroutines. Errors: ValueError,
    OSError as from signal.signal()."""

    def dump(number: int, frame: FrameType | None) -> None:
        try:
            if file is not None:
                print_run_info(file=file)
            else:
                _write_all(2, "\n".join([*format_run_info(), ""]).encode(errors="replace"))
        except Exception as error:  # is not for whoever has been interrupted
            report_unraisable(error)

    dump.is_own = True  # type: ignore[attr-defined]  # it wakes nobody: see wakeup.py
    return signal.signal(number, dump)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class wrap_errors:  # noqa: N801  # gevent's name
    """The function, but that it gives errors of these classes instead of raising them. `errors`:
    an exception class, or a tuple of some."""

    def __init__(self, errors: Any, func: Callable[..., Any]) -> None:
        if not callable(func):
            raise TypeError(f"func must be callable, not {type(func).__name__}")
        for kind in errors if isinstance(errors, tuple) else (errors,):
            if not isinstance(kind, type) or not issubclass(kind, BaseException):
                raise TypeError(f"errors must be exception classes, not {kind!r}")
        self._errors = errors
        self._func = func
        functools.update_wrapper(self, func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._func(*args, **kwargs)
        except self._errors as error:
            return error

    def __getattr__(self, name: str) -> Any:
        if name == "_func":  # not yet there: a copy is being made
            raise AttributeError(name)
        return getattr(self._func, name)

    def __str__(self) -> str:
        return str(self._func)

    def __repr__(self) -> str:
        return repr(self._func)
