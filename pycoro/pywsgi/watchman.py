"""Who looks after all connections of a server: one timer ends those that have taken too long.

So a request costs no timer; a connection ends up to a round, `interval` seconds, later than it
should. The timer runs while there are handlers.
"""

from __future__ import annotations

from typing import Any

from ..loop import Loop
from ..timers import LightTimer


class Watchman:
    """`connections` come and go by themselves. The server's `now` is when the last round was."""

    def __init__(self, server: Any, interval: float) -> None:
        self.connections: set[Any] = set()
        self._server = server
        self._interval = interval
        self._timer: LightTimer | None = None
        self._woken = False  # since the last round; that connection may not have begun

    def wake(self, loop: Loop) -> None:
        """There is a new connection. In the loop's thread."""
        self._woken = True
        if self._timer is None:
            self._server.now = loop.clock()
            self._set(loop)

    def leave(self) -> None:
        """The last connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: Loop) -> None:
        self._timer = LightTimer(loop.clock() + self._interval, self._go_round, (loop,))
        loop.add_timer(self._timer)

    def _go_round(self, loop: Loop) -> None:
        now = self._server.now = loop.clock()
        self._timer = None
        if not self._server._handlers.running and not self._woken:  # with TLS, it takes a while
            return
        self._woken = False
        self._set(loop)
        for connection in list(self.connections):
            if connection.end < now:
                connection.expire()
