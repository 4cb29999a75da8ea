"""Signals: signal_handler(), which calls a function in a task; and the stdlib's signal module.

Python's own handler of a signal runs in whatever the main thread is doing just then, and must not
wait. One that is set here is called in a task of its own, soon after. The stdlib's handler that was
there before is put back when the last one for a signal is cancelled, unless somebody has set
another meanwhile.
"""

from __future__ import annotations

import signal as _stdlib
from collections.abc import Callable
from types import FrameType
from typing import Any

from .loop import Loop, get_loop
from .task import Task
from .wakeup import is_main_thread

_signal = _stdlib.signal
_getsignal = _stdlib.getsignal

_handlers: dict[int, list[signal_handler]] = {}
_former: dict[int, Any] = {}  # what signal.getsignal() gave before


class signal_handler:  # noqa: N801  # gevent's name, which programs call like a function
    """Calls handler(*args, **kwargs) in a new task whenever the process gets the signal, until
    cancel(). There may be several for a signal. A main program that waits for nothing else waits
    for the signal then, without LoopExit.

    Errors: TypeError where the handler is not callable; ValueError for what is no signal, and
    outside of the main thread; OSError for one that cannot be handled.
    """

    def __init__(
        self, signalnum: int, handler: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> None:
        if not callable(handler):
            raise TypeError(f"the signal handler must be callable, not {type(handler).__name__}")
        if not is_main_thread():
            raise ValueError(
                "signals can only be handled in the main thread: call signal_handler() there"
            )
        former = _getsignal(signalnum)
        self.handler: Callable[..., Any] | None = handler
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs
        self._loop: Loop = get_loop()
        self._number = int(signalnum)
        if former is not _deliver:
            _signal(signalnum, _deliver)
            _former[self._number] = former
        _handlers.setdefault(self._number, []).append(self)

    def cancel(self) -> None:
        """It will not be called any more. Errors: ValueError outside of the main thread."""
        if self.handler is None:
            return
        if not is_main_thread():
            raise ValueError("a signal handler can only be cancelled in the main thread")
        self.handler, self.args, self.kwargs = None, (), {}
        others = _handlers[self._number]
        others.remove(self)
        if not others and _getsignal(self._number) is _deliver:
            former = _former.pop(self._number)
            _signal(self._number, _stdlib.SIG_DFL if former is None else former)

    def _call(self) -> None:
        if self.handler is not None:
            Task.spawn(self.handler, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        state = "cancelled" if self.handler is None else f"calls {self.handler!r}"
        return f"<signal_handler of {self._number} {state}>"


def _deliver(number: int, frame: FrameType | None) -> None:
    """Python's handler of the signals."""
    for handler in list(_handlers.get(number, ())):
        loop = handler._loop
        if loop.closed:  # the thread has a new one
            loop = handler._loop = get_loop()
        loop.post_threadsafe(handler._call)  # in vain, at the end of the process


signal = _signal
getsignal = _getsignal


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)
