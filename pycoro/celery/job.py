"""One call of a task of Celery's: what is told of its beginning and end, its limits, its killing.

Whoever ends a call says so: what happens to it afterwards is not told of any more. So of a task
that has just come to its end and has had its time, only one of both is reported. Callbacks are
Celery's: they acknowledge messages and store results, so they wait, each in some task; one that
fails is logged, and that is all.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import (
    SoftTimeLimitExceeded,
    WorkerLostError,
    WorkerShutdown,
    WorkerTerminate,
)
from celery.utils.log import get_logger

from ..errors import CoroutineExit
from ..loop import get_loop
from ..task import Task
from ..timers import Timer

logger = get_logger(__name__)

Callback = Callable[..., Any] | None


class Job:
    """target(*args, **kwargs), which run() calls in a task of its own. `number`: what Celery takes
    for the number of a process. The limits are seconds from its beginning; None or 0 for none.

    Celery's callbacks: accepted(number, time), done(result), failed(info), timed_out(soft, limit).
    """

    __slots__ = (
        "__weakref__",
        "accepted",
        "args",
        "began",
        "done",
        "failed",
        "hard_limit",
        "kwargs",
        "number",
        "over",
        "soft_limit",
        "target",
        "task",
        "timed_out",
    )

    def __init__(
        self,
        number: int,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        *,
        accepted: Callback = None,
        done: Callback = None,
        failed: Callback = None,
        timed_out: Callback = None,
        soft_limit: float | None = None,
        hard_limit: float | None = None,
    ) -> None:
        self.number = number
        self.target = target
        self.args = args or ()
        self.kwargs = kwargs or {}
        self.accepted = accepted
        self.done = done
        self.failed = failed
        self.timed_out = timed_out
        self.soft_limit = soft_limit
        self.hard_limit = hard_limit
        self.began = False  # is the target called?
        self.over = False  # somebody has told of its end, or is about to
        self.task: Task | None = None  # that it runs in

    def run(self) -> None:
        """From its beginning to what is told of its end. Raises what is to end the worker."""
        _tell(self.accepted, self.number, monotonic())
        if self.over:  # it was revoked before
            return
        too_late: list[BaseException] = []
        timers = self._start_timers(too_late)
        self.began = True
        try:
            result = self.target(*self.args, **self.kwargs)
        except (WorkerShutdown, WorkerTerminate):
            raise
        except BaseException as error:
            end, told = self.failed, _describe(error)
        else:
            end, told = self.done, result
        finally:
            for timer in timers:
                timer.cancel()
            for limit in too_late:
                get_loop().withdraw(limit)
        if not self.over:
            self.over = True
            _tell(end, told)

    # ---- limits: callbacks of the loop ----

    def _start_timers(self, errors: list[BaseException]) -> list[Timer]:
        later = get_loop().call_later
        timers = []
        if self.soft_limit:
            timers.append(later(self.soft_limit, self._end_softly, errors))
        if self.hard_limit:
            timers.append(later(self.hard_limit, self._end_hard))
        return timers

    def _end_softly(self, errors: list[BaseException]) -> None:
        if self.over or self.task is None:
            return
        error = SoftTimeLimitExceeded(self.soft_limit)
        errors.append(error)
        get_loop().interrupt(self.task, error)
        Task.spawn(_tell, self.timed_out, True, self.soft_limit)

    def _end_hard(self) -> None:
        if not self.over:
            self.kill()
            Task.spawn(_tell, self.timed_out, False, self.hard_limit)

    def kill(self) -> None:
        """CoroutineExit in it, where it waits, or where it waits next; but not in what tells of its
        beginning or end. What becomes of it is not told of, but by who calls this."""
        if self.over:
            return
        self.over = True
        if self.began and self.task is not None:
            self.task.kill(CoroutineExit, block=False)

    def terminate(self, signal: int) -> None:
        """Celery's, of a result of apply_async(): TaskPool.terminate_job() has done it."""


def _tell(callback: Callback, *args: Any) -> None:
    if callback is None:
        return
    try:
        callback(*args)
    except Exception:
        logger.exception("Callback %r of the pool raised an error", callback)


def _describe(error: BaseException) -> Any:
    """Celery's description of what a call has raised, which is the exception that is handled. A
    task that leaves by sys.exit(), say, would have taken its process with it."""
    if isinstance(error, Exception):
        return ExceptionInfo()
    try:
        raise WorkerLostError(f"The task was left by {error!r}") from error
    except WorkerLostError:
        return ExceptionInfo()
