"""What gevent's Hub has besides what a loop is for: names that programs look for there.

`loop_class`, `threadpool_class`, `resolver_class` are above the loop, and put themselves in here.
"""

from __future__ import annotations

import sys
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from .reports import report

if TYPE_CHECKING:
    from .schedule import Scheduler
else:
    Scheduler = object


class _Fired:
    """What one waits for that waits for a watcher."""

    __slots__ = ("waiter",)

    def __init__(self) -> None:
        self.waiter: Any = None

    def forget(self, waiter: Any) -> bool:
        if self.waiter is not waiter:
            return False
        self.waiter = None
        return True

    def wake(self, hub: Scheduler) -> None:
        """The watcher's callback."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            hub.wake(waiter)

    def __repr__(self) -> str:
        return "<a watcher>"


class HubNames(Scheduler):
    """The part of a Loop that is there for these names. `threadpool_size`: how many threads its
    own pool has at most."""

    __slots__ = ()

    threadpool_size = 10
    threadpool_class: Any = None
    resolver_class: Any = None
    loop_class: Any = None

    @cached_property
    def threadpool(self) -> Any:
        """The loop's own ThreadPool, made when first asked for; it ends with the loop."""
        return self.threadpool_class(self.threadpool_size, self)

    @cached_property
    def resolver(self) -> Any:
        """Looks names up: see resolver.py."""
        return self.resolver_class(self)

    @cached_property
    def loop(self) -> Any:
        """Itself by the names of libev's loop: see core.py."""
        return self.loop_class(self)

    @property
    def main_hub(self) -> bool:
        """Is it the main thread's?"""
        return self._thread.ident == threading.main_thread().ident

    @property
    def thread_ident(self) -> int:
        """Of its thread, which may have several tasks."""
        return self._thread.ident

    @property
    def exception_stream(self) -> TextIO | None:
        """Where errors are reported: sys.stderr."""
        return sys.stderr

    def print_exception(self, context: Any, t: Any, v: BaseException, tb: Any) -> None:
        """Reports an error, as handle_error() does."""
        report(context, v)

    def handle_system_error(self, type: Any, value: BaseException, tb: Any = None) -> None:
        """Raises it in the thread's main program."""
        self.interrupt_main(value)

    def wait(self, watcher: Any) -> None:
        """Waits until the watcher, which has not been started, calls back once."""
        fired = _Fired()
        watcher.start(fired.wake, self)
        try:
            fired.waiter = self.enlist(fired)
            self.pass_on()
        finally:
            watcher.stop()

    def cancel_wait(self, watcher: Any, error: BaseException, close_watcher: bool = False) -> None:
        """Raises the error in who waits for the watcher by wait(), if anybody does."""
        fired = getattr(watcher.callback, "__self__", None)
        if isinstance(fired, _Fired) and fired.waiter is not None:
            self.interrupt(fired.waiter, error)
        if close_watcher:
            watcher.close()
