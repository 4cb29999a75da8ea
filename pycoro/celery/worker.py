"""What a worker of Celery has to have before its pool is made, for that to be of coroutines.

- Celery's loop that waits for one connection, not the one of callbacks, which tasks cannot wake;
  and there no wait of 0.1 s for RabbitMQ's heartbeats after each message.
- A stack of requests for each coroutine. Celery asks greenlet, where that is installed, who is
  running: all of pycoro's tasks are one greenlet to it.
- Handlers of signals that run in tasks. Python runs them amid whatever is running, in the loop
  itself, say; and Celery's wait when they end a worker at once.
- With Redis, as many connections as tasks need: kombu's ten, and redis-py's hundred, would let
  acknowledgements fail. And one result backend for all tasks: Celery makes one for each thread,
  which a task seems to be, so each would connect anew. What the application has set, stays.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from celery import _state, platforms
from celery.backends import asynchronous
from celery.utils import threads
from celery.worker import loops

from ..loop import get_loop
from ..task import Task
from . import transport
from .results import Drainer

_REDIS = ("redis", "rediss", "sentinel")
_UNLIMITED = 1 << 30
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class _Signals(platforms.Signals):  # type: ignore[misc]
    """How Celery sets handlers."""

    def __setitem__(self, name: str, handler: Any) -> None:
        if callable(handler) and self.signum(name) in _ENDING:
            handler = _in_a_task(handler)
        super().__setitem__(name, handler)


def _in_a_task(handler: Callable[..., Any]) -> Callable[[int, FrameType | None], None]:
    loop = get_loop()

    def deliver(number: int, frame: FrameType | None) -> None:
        loop.post_threadsafe(Task.spawn, handler, number, None)

    return deliver


def _suit_redis(app: Any) -> None:
    settings = app.conf
    if app.connection_for_read().transport.driver_type == "redis":
        settings.broker_transport_options = {
            "max_connections": _UNLIMITED,
            **settings.broker_transport_options,
        }
    if str(settings.result_backend).partition("://")[0] in _REDIS:
        if settings.redis_max_connections is None:
            settings.redis_max_connections = _UNLIMITED
        if "result_backend_thread_safe" not in settings.without_defaults():
            settings.result_backend_thread_safe = True


def prepare(worker: Any) -> None:
    """For a worker that has its settings, and no pool yet."""
    worker.use_eventloop = False
    drain: Any = getattr(loops, "_quick_drain", None)
    if drain is not None and not isinstance(drain, partial):
        loops._quick_drain = partial(drain, timeout=0)
    transport.install()
    asynchronous.register_drainer("default")(Drainer)
    _suit_redis(worker.app)
    platforms.signals = _Signals()
    threads.get_ident = threading.get_ident  # for stacks that will be made, and for those that are:
    for stack in (_state._task_stack, *(task.request_stack for task in worker.app.tasks.values())):
        stack.__ident_func__ = threading.get_ident
