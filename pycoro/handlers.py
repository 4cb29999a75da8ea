"""The handlers of a server that run now, in whatever coroutines: to wait for their end, to kill
them."""

from __future__ import annotations

from typing import Any

from .coroutine import current
from .loop import get_loop
from .tasks import kill
from .waiting import WaitQueue


class Handlers:
    """`running`: their coroutines. Who takes one out calls ended() then, if somebody may wait."""

    __slots__ = ("__weakref__", "_queue", "running")

    def __init__(self) -> None:
        self.running: set[Any] = set()
        self._queue = WaitQueue(self)

    def ended(self) -> None:
        """One has ended."""
        self._queue.wake_all()

    def others(self) -> set[Any]:
        """All but the running coroutine, which may be one."""
        return self.running - {current()}

    def join(self, timeout: float) -> None:
        """Waits for the end of the others, `timeout` seconds at most."""
        clock = get_loop().clock
        deadline = clock() + timeout
        me = {current()}
        while self.running - me and (left := deadline - clock()) > 0:
            self._queue.wait_unless(lambda: not self.running - me, left)

    def kill(self) -> None:
        """Kills the others, without waiting. A thread that has no tasks cannot be killed."""
        me = current()
        for handler in self.others():
            if handler._thread is me._thread:
                kill(handler)
            elif (loop := handler._thread.loop) is not None and handler is not loop.main:
                loop.post_threadsafe(kill, handler)
