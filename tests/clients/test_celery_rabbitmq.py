"""Celery's workers with the pool of coroutines, on a RabbitMQ server. Tasks: celery_app.py."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clients.celery_worker import (
    PATIENCE,
    Worker,
    app,
    began,
    celery_app,
    exceptions,
    go,
    kill_one_of,
    left,
    worker,
)

Start = Callable[..., AbstractContextManager[Worker]]


@pytest.fixture(scope="module")
def broker(started: Callable[[str], tuple[int, Path]]) -> Iterator[tuple[Start, Any]]:
    """(start, sender): start(QUEUE, OPTION...) is a worker, sender the application that sends tasks
    to it, and asks for their results."""
    url = f"amqp://guest:guest@127.0.0.1:{started('rabbitmq')[0]}//"
    redis = started("redis")
    celery_app.configure(redis[0])
    # Another one, for it keeps its connections, and test_celery.py's are Redis's.
    sender = celery_app.Celery(
        "sender", broker=url, backend=app.conf.result_backend, set_as_current=False
    )
    yield partial(worker, *redis, sender=sender, PYCORO_BROKER=url), sender
    gc.collect()  # results talk to Redis once more when they go, while it is there
    sender.pool.force_close_all()


def waiting(sender: Any, queue: str) -> int:
    """How many messages."""
    with sender.connection() as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def test_nothing_is_lost_with_a_worker(broker: tuple[Start, Any]) -> None:
    start, sender = broker
    with (
        start("pair", "-c", "5", name="one", PYCORO_STUCK="1") as one,
        start("pair", "-c", "5", name="two") as two,
    ):
        kill_one_of(one, two)
        assert two.end(signal.SIGTERM) == 0, two.told()  # what it has not acknowledged goes back
        assert waiting(sender, "pair") == 0


def test_limits_and_a_warm_shutdown(broker: tuple[Start, Any]) -> None:
    start, sender = broker
    with start("warm", "-c", "2") as one:
        hurried = one.send("late", "soft", soft_time_limit=0.3)
        assert hurried.get(timeout=PATIENCE) == "had to hurry"
        began("soft")
        assert left("soft") == "SoftTimeLimitExceeded"

        one.ask("stats")  # so it listens, by a connection of its own
        revoked = one.send("late", "revoked")
        began("revoked")
        sender.control.revoke(revoked.id, terminate=True)
        with pytest.raises(exceptions.TaskRevokedError):
            revoked.get(timeout=PATIENCE)
        assert left("revoked") == "CoroutineExit"

        results = []
        for name in ("w1", "w2"):
            results.append(one.send("late", name))
            began(name)
        one.send("late", "w3")
        one.process.send_signal(signal.SIGTERM)
        one.wait_until(lambda: "Warm shutdown" in one.told())
        go("w1", "w2")
        assert one.process.wait(PATIENCE) == 0, one.told()
        assert [result.get(timeout=PATIENCE) for result in results] == ["w1", "w2"]
        assert waiting(sender, "warm") == 1  # the third
