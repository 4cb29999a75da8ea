"""The Celery application of the tests of workers, for those and for who sends them tasks.

Tasks wait in the Redis server, whichever the broker is: there a test can see that they have begun,
and let them go on. What they were left by is told of there as well, for a result does not say that.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from typing import Any

import redis
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded, WorkerShutdown

PATIENCE = 60  # seconds that a test waits for what is to come

app = Celery("celery_app")
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)


def configure(port: int, broker: str | None = None) -> None:
    """`port`: of Redis, which is also the broker where there is no other."""
    app.conf.result_backend = f"redis://127.0.0.1:{port}/0"
    app.conf.broker_url = broker or app.conf.result_backend
    if broker is None:
        # What a lost worker had comes back in so many seconds.
        app.conf.broker_transport_options = {
            "visibility_timeout": float(os.environ.get("PYCORO_VISIBILITY", "3600")),
            "unacked_mutex_expire": 2,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }


@cache
def server_at(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, max_connections=1000, socket_timeout=2 * PATIENCE)


def server() -> redis.Redis:
    return server_at(app.conf.result_backend)


if "PYCORO_REDIS" in os.environ:
    configure(int(os.environ["PYCORO_REDIS"]), os.environ.get("PYCORO_BROKER"))


@app.task(name="nap", bind=True)
def nap(self: Any, seconds: float) -> str:
    """Its own number."""
    assert server().blpop(["nothing"], seconds) is None
    return str(self.request.id)


def hold(name: str) -> str:
    """Begins, and goes on when the test lets it. Soft limits are caught where it waits."""
    try:
        server().rpush("began", name)
        assert server().blpop([f"go-{name}"], PATIENCE) is not None
        server().rpush(f"left-{name}", "return")
    except BaseException as error:
        server().rpush(f"left-{name}", type(error).__name__)
        if not isinstance(error, SoftTimeLimitExceeded):
            raise
        return "had to hurry"
    return name


early = app.task(name="early")(hold)
late = app.task(name="late", acks_late=True)(hold)


@app.task(name="sit", acks_late=True)
def sit(name: str) -> None:
    """Waits for nothing of the server's, once it has begun: for longer than its worker lives."""
    server().rpush("began", name)
    time.sleep(PATIENCE)


@app.task(name="hurry")
def hurry(name: str) -> None:
    """Does not catch the soft limit."""
    server().blpop([f"go-{name}"], PATIENCE)


@app.task(name="note", bind=True, acks_late=True)
def note(self: Any, number: int) -> None:
    """In some workers, odd numbers never come to their end."""
    who = self.request.hostname
    server().sadd(f"begun-{who}", number)
    server().blpop(["nothing"], PATIENCE if number % 2 and "PYCORO_STUCK" in os.environ else 0.2)
    server().sadd(f"noted-{who}", number)


@app.task(name="leave", acks_late=True)
def leave(name: str) -> str:
    """The first time it goes, and takes its process with it, were that its own."""
    if server().incr(f"times-{name}") == 1:
        sys.exit(3)
    return "came back"


@app.task(name="add_up")
def add_up(queue: str, numbers: list[int]) -> int:
    """Waits for other tasks, as no task of processes may."""
    results = [twice.apply_async([number], queue=queue) for number in numbers]
    return sum(result.get(timeout=PATIENCE) for result in results)


@app.task(name="twice")
def twice(number: int) -> int:
    return 2 * number


@app.task(name="shut_down")
def shut_down() -> None:
    raise WorkerShutdown(5)
