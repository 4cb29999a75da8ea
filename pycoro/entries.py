"""What stands in a loop's queue besides coroutines, and who waits until it is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .coroutine import Coroutine


class Handle:
    """A callback that is to run soon. `cancel()` at any time before."""

    __slots__ = ("args", "callback")

    _handle = None  # see Scheduler._begin() in schedule.py

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def run(self) -> None:
        if self.callback is not None:
            self.callback(*self.args)

    def __repr__(self) -> str:
        return f"<Handle {self.callback!r}>"


class Idlers:
    """Who waits until there is nothing else to do: (priority, coroutine)."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[tuple[int, Coroutine]] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, priority: int, waiter: Coroutine) -> None:
        self._waiters.append((priority, waiter))

    def pop(self) -> list[Coroutine]:
        """Takes out those of the highest priority."""
        highest = max(priority for priority, _ in self._waiters)
        waiters = [waiter for priority, waiter in self._waiters if priority == highest]
        self._waiters = [entry for entry in self._waiters if entry[0] != highest]
        return waiters

    def forget(self, waiter: Any) -> bool:
        self._waiters = [entry for entry in self._waiters if entry[1] is not waiter]
        return True

    def keep(self, stay: set[Any]) -> None:
        self._waiters = [entry for entry in self._waiters if entry[1] in stay]

    def __repr__(self) -> str:
        return "<nothing else to do>"
