"""Several tasks at once: waiting for all or some of them, and killing them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .coroutine import current
from .errors import CoroutineExit
from .loop import get_loop
from .task import PENDING, Task
from .waiting import pass_on_until
from .wakeup import defer_interrupt


class _Count:
    """Waits for the end of several tasks: counts those that are still missing. With `at_error`
    the first that fails is the last that is waited for."""

    __slots__ = ("at_error", "missing", "waiter")

    def __init__(self, missing: int, at_error: bool) -> None:
        self.missing = missing
        self.at_error = at_error
        self.waiter: Any = None

    def __call__(self, task: Task) -> None:
        self.missing -= 1
        over = self.missing == 0 or (self.at_error and task._error is not None)
        if over and self.waiter is not None:
            task._loop.wake(self.waiter)
            self.waiter = None

    def forget(self, waiter: Any) -> bool:
        self.waiter = None
        return True


def joinall(
    tasks: Iterable[Task],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Task]:
    """Waits for the end of all the tasks, or `count` of them, `timeout` seconds at most. Gives
    those that have ended. With raise_error the first error among them is raised as soon as there
    is one. Errors: RuntimeError where it would wait for itself; CoroutineError for another
    thread's task."""
    tasks = _check(tasks)
    if timeout is None and count is None and not raise_error:
        for task in tasks:
            if task._value is PENDING:
                task.join()
        return tasks
    pending = [task for task in tasks if task._value is PENDING]
    wanted = len(tasks) if count is None else min(count, len(tasks))
    missing = wanted - (len(tasks) - len(pending))
    if missing > 0 and not (raise_error and any(task._error is not None for task in tasks)):
        _join_some(pending, missing, timeout, raise_error)
    ended = [task for task in tasks if task._value is not PENDING]
    if raise_error:
        for task in ended:
            if task._error is not None:
                raise task._error
    return ended


@defer_interrupt
def _join_some(pending: list[Task], missing: int, timeout: float | None, at_error: bool) -> None:
    loop = get_loop()
    counter = _Count(missing, at_error)
    waiter = loop.enlist(counter)
    try:
        if missing == len(pending) and waiter in pending:
            raise RuntimeError(f"{waiter!r} cannot wait for its own end")
        for task in pending:
            task.link(counter)
        counter.waiter = waiter
        pass_on_until(loop, waiter, counter, timeout)
    finally:
        waiter._wait = None
        for task in pending:
            task.unlink(counter)


def killall(
    tasks: Iterable[Task],
    exception: type[BaseException] | BaseException = CoroutineExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Kills all of them, then waits for their end, `timeout` seconds in all at most. Where the
    running task is among them, it gets the exception here, once the others have been told."""
    tasks = _check(tasks)
    here = current()
    for task in tasks:
        if task is not here:
            task.kill(exception, block=False)
    for task in tasks:
        if task is here:
            task.kill(exception)
    if block:
        joinall(tasks, timeout)


def _check(tasks: Iterable[Task]) -> list[Task]:
    tasks = list(tasks)
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(f"a Task was expected, not {type(task).__name__}")
    return tasks
