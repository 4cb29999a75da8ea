"""Waiting for the results of tasks, in many coroutines that share a connection.

One of those who wait reads what comes, for whomever it is; the others wait until it has read
something, and then see whether theirs has come. When the reader has its own, another one goes on.
"""

from __future__ import annotations

from typing import Any

from celery.backends import asynchronous

from ..event import Event


class Drainer(asynchronous.Drainer):  # type: ignore[misc]
    """Celery's, of a result backend."""

    _reading: Event | None = None  # set when what is being read has been read

    def wait_for(self, p: Any, wait: Any, timeout: float | None = None) -> None:
        """Until somebody has read something, `timeout` seconds at most. Errors: the backend's."""
        if self._reading is not None:
            self._reading.wait(timeout)
            return
        done = self._reading = Event()
        try:
            wait(timeout=timeout)
        finally:
            self._reading = None
            done.set()
