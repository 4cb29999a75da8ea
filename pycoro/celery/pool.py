"""TaskPool: Celery's tasks as coroutines, at most so many at once.

All run in the worker's main thread, and let others run where they wait. Who brings another one
while there is no room waits for it, which keeps the worker from taking more than it can do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.concurrency import base, get_implementation
from celery.exceptions import ImproperlyConfigured
from celery.worker import state

from .. import monkey
from ..pool import Group
from ..semaphore import Semaphore
from ..task import Task
from . import timer, transport, worker
from .job import Job

_LOOK = 1.0  # seconds between two looks whether the worker is to end, while there is no room

NOT_PATCHED = """\
pycoro.celery needs the standard library patched before Celery is imported. Start the worker so:

    python -m pycoro.celery -A app worker -c 1000
"""

NOT_PREPARED = """\
pycoro.celery has to be imported before the worker is made. Start it with python -m pycoro.celery, \
or import TaskPool from there and give it to the worker as its pool_cls.
"""

WITH_BEAT = """\
A worker of coroutines takes no --beat (-B), whose process could not go on after the fork. Run it \
as a program of its own: celery -A app beat
"""


class TaskPool(base.BasePool):  # type: ignore[misc]
    """Celery makes it. `limit` tasks at most run at once. Errors: ImproperlyConfigured where the
    standard library is not patched, or the worker has another loop, or is to run beat."""

    Timer = timer.Timer

    signal_safe = False
    is_green = True
    task_join_will_block = False

    with_beat = False  # is that wanted of the worker?

    def __init__(self, *args: Any, **options: Any) -> None:
        if not (monkey.is_module_patched("socket") and monkey.is_module_patched("threading")):
            raise ImproperlyConfigured(NOT_PATCHED)
        if options.get("threads") is False:
            raise ImproperlyConfigured(NOT_PREPARED)
        if self.with_beat:
            raise ImproperlyConfigured(WITH_BEAT)
        super().__init__(*args, **options)
        self.timeout: float | None = options.get("timeout")
        self.soft_timeout: float | None = options.get("soft_timeout")
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._running = Group()
        self._room = Semaphore(self.limit)
        self._is_stopping = False

    # ---- tasks ----

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        error_callback: Any = None,
        timeout_callback: Any = None,
        timeout: float | None = None,
        soft_timeout: float | None = None,
        **options: Any,
    ) -> Job | None:
        """Starts it once there is room, and gives the job. None where the worker is to end first:
        it is not acknowledged, so the broker gives it to another."""
        if not self._enter():
            return None
        number = next(self._numbers)
        job = Job(
            number,
            target,
            args,
            kwargs,
            accepted=accept_callback,
            done=callback,
            failed=error_callback,
            timed_out=timeout_callback,
            soft_limit=soft_timeout or self.soft_timeout,
            hard_limit=timeout or self.timeout,
        )
        self._jobs[number] = job
        job.task = self._running.spawn(self._run, job)
        return job

    def _enter(self) -> bool:
        """There is room, and it is taken. False where the worker is to end."""
        while self._may_begin():
            if self._room.acquire(timeout=_LOOK):
                if self._may_begin():
                    return True
                self._room.release()
        return False

    def _may_begin(self) -> bool:
        flags = (state.should_stop, state.should_terminate)  # or the code of the exit, 0 included
        return self.active and all(flag is None or flag is False for flag in flags)

    def _run(self, job: Job) -> None:
        try:
            if not job.over:  # at the worker's end: it is not accepted, so another one gets it
                job.run()
        finally:
            del self._jobs[job.number]
            self._room.release()
            transport.task_has_ended()

    def spawn_n(self, function: Callable[..., Any], *args: Any) -> Task:
        """In a task that does not count: the worker's own."""
        return Task.spawn(function, *args)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """The task that `pid` stands for is killed: CoroutineExit, whatever the signal. Celery
        tells of it."""
        job = self._jobs.get(pid)
        if job is not None:
            job.kill()

    # ---- the end ----

    def on_stop(self) -> None:
        """Waits for all that run."""
        self._is_stopping = True
        self._running.join()

    def on_terminate(self) -> None:
        """Kills all that run, unless somebody waits for their end already. None is acknowledged
        that has not been, so the broker gives them to another worker."""
        if not self._is_stopping:
            for job in list(self._jobs.values()):
                job.kill()
        self._running.join()

    # ---- size ----

    def grow(self, n: int = 1) -> None:
        """Room for n more."""
        self.limit += n
        for _ in range(n):
            self._room.release()

    def shrink(self, n: int = 1) -> None:
        """Room for n less; those that run may come to their end."""
        self.limit -= n
        self._room.counter -= n

    @property
    def num_processes(self) -> int:
        """How many can run at once."""
        return self.limit  # type: ignore[no-any-return]

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        info["running-tasks"] = len(self._jobs)
        info["free-slots"] = max(0, self._room.counter)
        info["timeouts"] = (self.soft_timeout or 0, self.timeout or 0)
        return info


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _prepare(sender: Any, **named: Any) -> None:
    pool = get_implementation(sender.pool_cls)
    if isinstance(pool, type) and issubclass(pool, TaskPool):
        pool.with_beat = bool(sender.options.get("beat"))
        worker.prepare(sender)
