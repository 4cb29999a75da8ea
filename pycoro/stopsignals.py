"""SIGTERM and Ctrl-C as a wish to come to an end, while a main program serves.

The first Ctrl-C is a wish, so it is not raised in whatever handler happens to run; the second is
raised at once, as ever. What has a handler of the program's own is left alone, and so is all in a
task or another thread, for to end the process is not their affair.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from .coroutine import current
from .loop import get_loop
from .signal import getsignal
from .wakeup import is_main_thread, is_own_handler


class StopSignals:
    """As a context manager: calls stop() in the loop when one of them comes. A Ctrl-C is raised at
    the end of the block."""

    def __init__(self, stop: Callable[[], Any]) -> None:
        self._stop = stop
        self._former: dict[int, Any] = {}
        self._interrupted = False

    def __enter__(self) -> StopSignals:
        here = current()
        if is_main_thread() and here is here._thread.main:
            self._loop = get_loop()
            if getsignal(signal.SIGTERM) == signal.SIG_DFL:
                self._take(signal.SIGTERM)
            if is_own_handler(getsignal(signal.SIGINT)):
                self._take(signal.SIGINT)
        return self

    def _take(self, number: int) -> None:
        self._former[number] = getsignal(number)
        signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Python's handler."""
        if number == signal.SIGINT:
            self._interrupted = True
            self._give_back(number)
        self._loop.post_threadsafe(self._stop)

    def _give_back(self, number: int) -> None:
        former = self._former.pop(number)
        if getsignal(number) == self._handle:
            signal.signal(number, former)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in list(self._former):
            self._give_back(number)
        if self._interrupted and value is None:
            raise KeyboardInterrupt
