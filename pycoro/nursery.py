"""TaskGroup: tasks that a block of code does not outlive. trio's nursery, asyncio's TaskGroup.

At the end of its block a group waits for all of its tasks. The first error, in a task or in the
block, cancels the rest; when all have ended the errors are raised as an ExceptionGroup. A kill, a
Timeout or an outer scope's Cancelled that comes to the block cancels the tasks, waits for them, and
goes on as what it is; should there be errors as well, they come first: none of them is lost.

The tasks are in the scopes that the group is in (see scope.py), its own `cancel_scope` being the
innermost one. While the block waits, in a shield, cancellation reaches the tasks alone.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from sys import _getframe
from types import FrameType, TracebackType
from typing import Any

from . import _native
from .ancestry import spawn_callbacks
from .chain import innermost
from .child import ChildTask, TaskStatus
from .coroutine import ContextPolicy
from .errors import CoroutineExit, InvalidThreadUseError, LoopExit
from .forks import in_child
from .outcome import SYSTEM, choose, without_expected
from .scope import CancelScope
from .task import Task
from .wakeup import defer_interrupt

_current = _native.current

NEW, OPEN, CLOSED = "not entered", "open", "closed"

_forks = 0  # how often this process has been forked off


class TaskGroup:
    """`with TaskGroup() as group:` group.spawn(f, *args) runs f beside the block, and the block
    ends when all of that has ended. `cancel_scope`: of the block and the tasks, with a deadline
    that can be set.

    A task that is killed is no error, nor is one that Cancelled ends; one that takes no notice of
    that is waited for. Results: task.get(), or task.value. Tasks may be spawned by anybody in the
    thread until the group has closed, by its tasks also while it closes. Errors of the block:
    ExceptionGroup of all errors, or BaseExceptionGroup; KeyboardInterrupt and SystemExit as they
    are, and then other errors are told of on stderr.
    """

    __slots__ = (
        "__weakref__",
        "_errors",
        "_forks",
        "_starting",  # calls of start() that are under way
        "_state",
        "_tasks",
        "_waiter",  # the coroutine of the block, at its end
        "cancel_scope",
    )

    def __init__(self) -> None:
        self.cancel_scope = CancelScope()
        self.cancel_scope._group = self
        self._errors: list[BaseException] = []
        self._forks = _forks
        self._starting = 0
        self._state = NEW
        self._tasks: dict[Task, None] = {}
        self._waiter: Any = None

    @property
    def tasks(self) -> list[Task]:
        """Those that have not ended, the oldest first."""
        return list(self._tasks)

    def cancel(self, reason: Any = None) -> None:
        """cancel_scope.cancel(): the block and the tasks are given up, and the block is left
        silently. Of any thread."""
        self.cancel_scope.cancel(reason)

    # ---- tasks ----

    def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
        """A task of the group that starts when its turn comes. Errors: TypeError for what is not
        callable; RuntimeError before the block and once the group has closed;
        InvalidThreadUseError in another thread."""
        self._check_open()
        _check_function(function)
        return self._adopt(ChildTask(function, *args, **kwargs))

    def start_soon(
        self, function: Callable[..., Any], /, *args: Any, name: str | None = None
    ) -> Task:
        """spawn() as trio has it."""
        return self.create_task(function, args, name=name)

    def create_task(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        stack_size: int | None = None,
        context: ContextPolicy | contextvars.Context = "copy",
    ) -> Task:
        """spawn() with the parameters of Task.make()."""
        self._check_open()
        _check_function(function)
        return self._adopt(
            ChildTask.make(
                function, args, kwargs, name=name, stack_size=stack_size, context=context
            )
        )

    def start(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Spawns function(*args, task_status=..., **kwargs) and waits until that calls
        task_status.started(value); gives the value. Until then the task belongs to the caller: it
        is cancelled with him, and what it raises is raised here. From then on it is the group's.
        Errors: as of spawn(); RuntimeError where it ends without having called that."""
        self._check_open()
        _check_function(function)
        nest = TaskGroup()
        status = TaskStatus(nest, self)
        alone = None
        self._starting += 1
        try:
            with nest:
                nest._set_place(_getframe(1))
                status.task = nest.spawn(function, *args, task_status=status, **kwargs)
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            alone = group.exceptions[0]
        finally:
            self._starting -= 1
            self._wake_when_over()
        if alone is not None:
            try:
                raise alone
            finally:
                del alone
        if not status.called:
            raise RuntimeError(f"{status.task!r} has ended without calling task_status.started()")
        return status.value

    def _check_open(self) -> None:
        if self._state is not OPEN:
            raise RuntimeError(f"{self!r} takes no tasks: it is {self._state}")
        here = _current()
        if here is None or here._thread is not self.cancel_scope._loop._thread:
            raise InvalidThreadUseError(
                f"{self!r} belongs to another thread's loop: hand the call over by its "
                "call_soon_threadsafe()"
            )

    @defer_interrupt
    def _adopt(self, task: ChildTask) -> Task:
        task._group = self
        try:
            task._notes["scope"] = self.cancel_scope
        except AttributeError:
            task._notes = {"scope": self.cancel_scope}
        self._tasks[task] = None
        if spawn_callbacks:
            try:
                task.start()
            except BaseException:  # of a callback: it will not start
                self._tasks.pop(task, None)
                raise
        else:  # the same, for this is what spawning costs
            task._scheduled = True
            task._loop.ready.append(task)
        return task

    @defer_interrupt
    def _ended(self, task: Task, error: BaseException | None) -> None:
        """A task has ended. In its coroutine, or, where it never began, in anybody's."""
        self._tasks.pop(task, None)
        if error is not None:
            scope = self.cancel_scope
            if scope.has_raised(error):
                scope.cancelled_caught = True
            rest = without_expected(error, scope)
            if rest is not None:
                self._add_error(rest, f"{type(rest).__name__} in its task {task.name!r}")
        if not self._tasks or self._forks != _forks:
            self._wake_when_over()

    def _add_error(self, error: BaseException, reason: str) -> None:
        self._errors.append(error)
        self.cancel_scope.cancel(reason)

    def _is_over(self) -> bool:
        if self._forks != _forks:  # the other tasks are the parent process's
            self._forks = _forks
            for task in list(self._tasks):
                if task._handle is None and task not in task._loop.ready:
                    del self._tasks[task]
        return not self._tasks and not self._starting

    def _wake_when_over(self) -> None:
        if self._waiter is not None and self._is_over():
            waiter, self._waiter = self._waiter, None
            self.cancel_scope._loop.wake(waiter)

    # ---- the block ----

    @defer_interrupt
    def __enter__(self) -> TaskGroup:
        if self._state is not NEW:
            raise RuntimeError(f"{self!r} is for one block: make another one for this")
        self.cancel_scope.__enter__()
        self._set_place(_getframe(1))
        self._state = OPEN
        return self

    def _set_place(self, frame: FrameType) -> None:
        self.cancel_scope._code = frame.f_code
        self.cancel_scope._instruction = frame.f_lasti

    @defer_interrupt
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        scope = self.cancel_scope
        if self._state is not OPEN or (scope._owner() not in (_current(), None)):
            raise RuntimeError(
                f"{self!r} cannot be left here: it is left once, where it was entered, by a "
                "`with` block"
            )
        passing: list[BaseException] = []  # what is not ours
        if isinstance(value, BaseExceptionGroup):
            scope.cancelled_caught |= scope.has_raised(value)
            rest = scope.rest_of(value)
            if rest is not None:
                self._add_error(rest, f"{type(rest).__name__} in its block")
        elif isinstance(value, Exception):
            self._add_error(value, f"{type(value).__name__} in its block")
        elif value is not None:
            passing.append(value)
            scope.cancel(f"{type(value).__name__} in its block")
        in_flight = value if passing else None
        had_tasks = not self._is_over()
        if had_tasks:
            self._wait(passing)
        self._state = CLOSED
        scope._group = None  # no more of a ring
        try:
            if scope.__exit__(kind, in_flight, traceback):
                del passing[0]
        except (*SYSTEM, CoroutineExit) as stronger:  # see CancelScope._catch()
            passing[0] = stronger
        except RuntimeError as misuse:
            self._errors.append(misuse)
        errors, self._errors = self._errors, []
        if errors or passing:
            error = choose(self, scope._loop, errors, passing)
            if error is value:
                return False
            try:
                raise error from error.__cause__
            finally:  # no cycles of frames and errors
                del errors, passing, error, value, in_flight
        if value is None and had_tasks:
            self._raise_outer()
        return True

    def _wait(self, passing: list[BaseException]) -> None:
        """Until all tasks have ended. What is raised in here meanwhile is added to `passing`."""
        scope = self.cancel_scope
        with CancelScope(shield=True):
            while not self._is_over():
                self._waiter = scope._loop.enlist(self)
                try:
                    scope._loop.pass_on()
                except BaseException as error:
                    self._waiter = None
                    stuck = scope._loop.closed or any(isinstance(one, LoopExit) for one in passing)
                    if isinstance(error, LoopExit) and stuck:  # the tasks will never end
                        if not passing:
                            passing.append(error)
                        break
                    passing.append(error)
                    scope.cancel(f"{type(error).__name__} at the end of its block")

    @staticmethod
    def _raise_outer() -> None:
        """The end of the block has waited, and raises what a wait in there does."""
        scope = innermost(_current())
        error = scope.verdict() if scope is not None else None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it holds this frame

    def forget(self, waiter: Any) -> bool:
        """Of the end of the block; see schedule.py."""
        if self._waiter is not waiter:
            return False
        self._waiter = None
        return True

    def __repr__(self) -> str:
        scope = self.cancel_scope
        name = None if self._state is NEW else scope._owner()
        of = f" of {name.name!r} at {scope.place}" if name is not None else ""
        count = len(self._tasks)
        tasks = f"{count} task{'' if count == 1 else 's'}"
        return f"<TaskGroup{of}, {self._state}, {tasks} {id(self):#x}>"


def _check_function(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"the function must be callable, not {type(function).__name__}")


@in_child
def _count_fork() -> None:
    global _forks
    _forks += 1
