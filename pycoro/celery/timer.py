"""The worker's timer, in the loop: tasks with a countdown, heartbeats, rate limits.

An entry that is due runs in a task of its own, for it may have to wait: for room in the pool, say.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from kombu.asynchronous import timer as _kombu

from .. import timers
from ..loop import get_loop
from ..task import Task


class Timer(_kombu.Timer):  # type: ignore[misc]
    """kombu's, which has call_at(), call_after(), call_repeatedly(). For one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: dict[Any, timers.Timer] = {}  # by kombu's (time, priority, entry)

    def _enter(self, eta: float, priority: int, entry: Any, **kwargs: Any) -> Any:
        place = _kombu.scheduled(eta, priority, entry)
        delay = max(0.0, eta - monotonic())
        self._pending[place] = get_loop().call_later(delay, self._come_due, place)
        return entry

    def _come_due(self, place: Any) -> None:
        del self._pending[place]
        if not place.entry.canceled:
            Task.spawn(self.apply_entry, place.entry)

    def cancel(self, tref: Any) -> None:
        """The entry will not run any more."""
        tref.cancel()
        for place in [place for place in self._pending if place.entry is tref]:
            self._pending.pop(place).cancel()

    def clear(self) -> None:
        """None of the entries will run."""
        while self._pending:
            self._pending.popitem()[1].cancel()

    stop = clear

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def queue(self) -> list[Any]:
        """(time, priority, entry) of each, the next one first."""
        return sorted(self._pending)
