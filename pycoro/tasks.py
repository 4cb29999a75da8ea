"""Several tasks at once: waiting for all or some of them, and killing them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import CoroutineExit
from .loop import get_loop
from .task import PENDING, Task
from .waiting import pass_on_until
from .wakeup import defer_interrupt


class _Count:
    """Waits for the end of several tasks: counts those that are still missing."""

    __slots__ = ("missing", "waiter")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.waiter: Any = None

    def __call__(self, task: Task) -> None:
        self.missing -= 1
        if self.missing == 0 and self.waiter is not None:
            task._loop.wake(self.waiter)
            self.waiter = None

    def forget(self, waiter: Any) -> None:
        self.waiter = None


def joinall(
    tasks: Iterable[Task],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Task]:
    """Waits for the end of all the tasks, or `count` of them, `timeout` seconds at most. Gives
    those that have ended. With raise_error the first error among them is raised, once."""
    tasks = list(tasks)
    if timeout is None and count is None and not raise_error:
        for task in tasks:
            if task._value is PENDING:
                task.join()
        return tasks
    pending = [task for task in tasks if task._value is PENDING]
    wanted = len(tasks) if count is None else min(count, len(tasks))
    missing = wanted - (len(tasks) - len(pending))
    if missing > 0:
        _join_some(pending, missing, timeout)
    ended = [task for task in tasks if task._value is not PENDING]
    if raise_error:
        for task in ended:
            if task._error is not None:
                raise task._error
    return ended


@defer_interrupt
def _join_some(pending: list[Task], missing: int, timeout: float | None) -> None:
    counter = _Count(missing)
    for task in pending:
        task.link(counter)
    try:
        loop = get_loop()
        counter.waiter = loop.enlist(counter)
        pass_on_until(loop, counter.waiter, counter, timeout)
    finally:
        for task in pending:
            task.unlink(counter)


def killall(
    tasks: Iterable[Task],
    exception: type[BaseException] | BaseException = CoroutineExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Kills all of them, then waits for their end, `timeout` seconds in all at most."""
    tasks = list(tasks)
    for task in tasks:
        task.kill(exception, block=False)
    if block:
        joinall(tasks, timeout)
