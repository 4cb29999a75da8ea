"""The tasks of a TaskGroup, and how one of them says that it has started."""

from __future__ import annotations

from typing import Any

from .chain import move
from .task import Task
from .wakeup import defer_interrupt


class ChildTask(Task):
    """A Task whose group is told of its end, and has its error: that is not reported on stderr."""

    __slots__ = ("_group",)

    _group: Any

    def succeed(self, value: Any) -> None:
        try:
            Task.succeed(self, value)
        finally:
            self._group._ended(self, None)

    def fail(self, error: BaseException) -> None:
        try:
            Task.fail(self, error)
        finally:
            self._group._ended(self, error)

    def _report(self, error: BaseException) -> None:
        pass


class TaskStatus:
    """What a task that is started by TaskGroup.start() has as `task_status`. Until it calls
    started() it is in a group of its own, `nest`, whose block is in start()."""

    __slots__ = ("called", "group", "nest", "task", "value")

    def __init__(self, nest: Any, group: Any) -> None:
        self.nest = nest
        self.group = group
        self.called = False
        self.task: Any = None
        self.value: Any = None

    @defer_interrupt
    def started(self, value: Any = None) -> None:
        """start() goes on, and gives the value. Errors: RuntimeError the second time, and once the
        task has ended; InvalidThreadUseError in another thread."""
        nest, group, task = self.nest, self.group, self.task
        if self.called:
            raise RuntimeError(f"started() has been called before, for {task!r}")
        if task not in nest._tasks:
            raise RuntimeError(f"started() comes too late: {task!r} has ended")
        nest._check_open()
        self.called = True
        self.value = value
        if nest.cancel_scope.verdict() is not None:
            return  # it is to end, and start() waits for that
        del nest._tasks[task]
        group._tasks[task] = None
        task._group = group
        move(task, nest.cancel_scope, group.cancel_scope)
        nest._wake_when_over()
