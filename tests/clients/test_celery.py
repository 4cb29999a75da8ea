"""Celery's workers with the pool of coroutines, on a Redis server. Tasks: celery_app.py."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients.celery_worker import (
    PATIENCE,
    TESTS,
    Worker,
    app,
    began,
    celery_app,
    exceptions,
    go,
    kill_one_of,
    left,
    server,
    worker,
)
from clients.servers import free_port, running

COUNT = 200
SECONDS = 1.0
MUCH_LESS = COUNT * SECONDS / 10  # one after the other they would take 200 seconds


@pytest.fixture(scope="module")
def broker(started: Callable[[str], tuple[int, Path]]) -> Iterator[tuple[int, Path]]:
    port, folder = started("redis")
    celery_app.configure(port)
    yield port, folder
    gc.collect()  # results talk to the server once more when they go, while it is there


@pytest.fixture(scope="module")
def big(broker: tuple[int, Path]) -> Iterator[Worker]:
    """Has room for all."""
    with worker(*broker, "big", "-c", str(COUNT)) as one:
        yield one


@pytest.fixture(scope="module")
def small(broker: tuple[int, Path]) -> Iterator[Worker]:
    """Has room for two."""
    with worker(*broker, "small", "-c", "2") as one:
        yield one


# ---- tasks ----


def test_many_at_once_take_about_as_long_as_one(big: Worker) -> None:
    big.send("twice", 1).get(timeout=PATIENCE)  # it is ready
    start = time.monotonic()
    results = [big.send("nap", SECONDS) for _ in range(COUNT)]
    assert [result.get(timeout=PATIENCE) for result in results] == [each.id for each in results]
    assert SECONDS <= time.monotonic() - start < MUCH_LESS


def test_many_acknowledged_at_once(big: Worker) -> None:
    names = [f"late-{number}" for number in range(COUNT)]
    results = [big.send("late", name) for name in names]
    for _ in names:
        server().blpop(["began"], PATIENCE)
    go(*names)
    assert [result.get(timeout=PATIENCE) for result in results] == names
    big.wait_until(lambda: server().hlen("unacked") == 0)
    assert "Couldn't ack" not in big.told()


def test_tasks_wait_for_other_tasks(big: Worker) -> None:
    results = [big.send("add_up", "big", [n, n + 1]) for n in range(20)]
    assert [r.get(timeout=PATIENCE) for r in results] == [4 * n + 2 for n in range(20)]


def test_a_task_with_a_countdown(big: Worker) -> None:
    late = big.send("twice", 4, countdown=0.3)
    assert late.get(timeout=PATIENCE) == 8


# ---- limits and revocation ----


def test_a_soft_limit_is_raised_where_the_task_waits(big: Worker) -> None:
    assert big.send("early", "soft", soft_time_limit=0.3).get(timeout=PATIENCE) == "had to hurry"
    began("soft")
    assert left("soft") == "SoftTimeLimitExceeded"
    with pytest.raises(exceptions.SoftTimeLimitExceeded):
        big.send("hurry", "x", soft_time_limit=0.3).get(timeout=PATIENCE)
    assert "Soft time limit (0.3s) exceeded for early" in big.told()


def test_a_hard_limit_kills_the_task(big: Worker) -> None:
    result = big.send("early", "hard", time_limit=0.3)
    with pytest.raises(exceptions.TimeLimitExceeded):
        result.get(timeout=PATIENCE)
    began("hard")
    assert left("hard") == "CoroutineExit"
    big.wait_until(lambda: big.pool()["running-tasks"] == 0)
    assert result.state == "FAILURE"


def test_a_revoked_task_is_killed(big: Worker) -> None:
    result = big.send("early", "revoked")
    began("revoked")
    app.control.revoke(result.id, terminate=True)
    with pytest.raises(exceptions.TaskRevokedError):
        result.get(timeout=PATIENCE)
    assert left("revoked") == "CoroutineExit"
    big.wait_until(lambda: big.pool()["running-tasks"] == 0)


def test_a_task_that_exits_is_as_a_lost_worker(big: Worker) -> None:
    assert big.send("leave", "a").get(timeout=PATIENCE) == "came back"


# ---- the pool ----


def test_stats(big: Worker) -> None:
    big.wait_until(lambda: big.pool()["running-tasks"] == 0)
    assert big.pool() == {
        "implementation": "pycoro.celery.pool:TaskPool",
        "max-concurrency": COUNT,
        "running-tasks": 0,
        "free-slots": COUNT,
        "timeouts": [0, 0],
    }


def test_the_pool_grows_and_shrinks(small: Worker) -> None:
    results = [small.send("early", name) for name in "abcd"]
    began("a", "b")
    assert small.ask("pool_grow", n=1) == {"ok": "pool will grow"}
    began("c")
    assert small.ask("pool_shrink", n=2) == {"ok": "pool will shrink"}
    assert small.pool()["max-concurrency"] == 1
    go("a", "b")
    assert [result.get(timeout=PATIENCE) for result in results[:2]] == ["a", "b"]
    assert small.pool()["free-slots"] == 0
    go("c")
    began("d")
    go("d")
    assert [result.get(timeout=PATIENCE) for result in results[2:]] == ["c", "d"]


def test_autoscale_and_a_task_that_ends_its_worker(broker: tuple[int, Path]) -> None:
    with worker(*broker, "scaled", "--autoscale", "3,1") as one:
        for name in "klm":
            one.send("early", name)
        began("k", "l", "m")
        go("k", "l", "m")
        one.send("shut_down")
        assert one.process.wait(PATIENCE) == 5


# ---- the end ----


def test_a_warm_shutdown_lets_running_tasks_finish(broker: tuple[int, Path]) -> None:
    with worker(*broker, "warm", "-c", "2") as one:
        results = [one.send("early", name) for name in ("w1", "w2", "w3")]
        began("w1", "w2")
        one.process.send_signal(signal.SIGTERM)
        one.wait_until(lambda: "Warm shutdown" in one.told())
        go("w1", "w2")
        assert one.process.wait(PATIENCE) == 0, one.told()
        assert server().llen("warm") == 1  # the third is given back
        assert [result.get(timeout=PATIENCE) for result in results[:2]] == ["w1", "w2"]
        assert server().llen("began") == 0


def test_a_cold_shutdown_gives_tasks_back(broker: tuple[int, Path]) -> None:
    with worker(*broker, "cold", "-c", "2") as one:
        one.send("late", "cold")
        began("cold")
        assert one.end(signal.SIGQUIT) == 0, one.told()
        assert left("cold") == "CoroutineExit", one.told()
        assert server().llen("cold") == 1


def test_nothing_is_lost_with_a_worker(broker: tuple[int, Path]) -> None:
    soon = {"PYCORO_VISIBILITY": "2"}
    with (
        worker(*broker, "pair", "-c", "5", name="one", PYCORO_STUCK="1", **soon) as one,
        worker(*broker, "pair", "-c", "5", name="two", **soon) as two,
    ):
        kill_one_of(one, two)
        two.wait_until(lambda: server().hlen("unacked") == 0)
        assert server().llen("pair") == 0


def test_a_worker_outlives_its_server(tmp_path: Path) -> None:
    """Though a late task is under way, which cannot be given back to a server that has gone."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]

    def begins(task: str, name: str) -> None:
        with (
            app.connection(f"redis://127.0.0.1:{port}/0") as connection,
            celery_app.redis.Redis(port=port) as own,
        ):
            app.send_task(task, [name], queue="moved", connection=connection, ignore_result=True)
            one.wait_until(lambda: own.blpop(["began"], 1) == (b"began", name.encode()))

    with ExitStack() as stack:
        with running(command, tmp_path, port, stop=signal.SIGKILL):
            one = stack.enter_context(worker(port, tmp_path, "moved", gossip=True))
            begins("sit", "here")
        one.wait_until(lambda: "Cannot connect to" in one.told())
        with running(command, tmp_path, port):
            begins("sit", "there")


# ---- the command ----


@pytest.mark.parametrize(
    ("arguments", "setting", "complaint"),
    [
        ("worker -P gevent", "", "the pool is its own, not gevent"),
        ("-q worker -E --pool=solo", "", "the pool is its own, not solo"),
        ("worker", "POOL=solo", "the pool is its own, not solo"),
        ("worker -D", "", "--detach would start an unpatched celery"),
        ("worker -ED", "", "--detach would start an unpatched celery"),
        ("worker", "DETACH=1", "--detach would start an unpatched celery"),
        ("-q multi start a", "", "multi would start unpatched workers"),
        ("multi --help", "", "multi would start unpatched workers"),
    ],
)
def test_the_command_refuses_what_would_not_be_patched(
    arguments: str, setting: str, complaint: str
) -> None:
    name, _, value = setting.partition("=")
    done = subprocess.run(
        [sys.executable, *["-m", "pycoro.celery", "-b", "memory://", *arguments.split()]],
        env={**os.environ, f"CELERY_WORKER_{name}": value, "C_FAKEFORK": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m pycoro.celery: {complaint}")


def test_an_unpatched_worker_is_told_what_to_do(broker: tuple[int, Path]) -> None:
    done = subprocess.run(
        [sys.executable, *["-m", "celery", "-A", "clients.celery_app", "worker", "-P", "custom"]],
        cwd=TESTS,
        env={
            **os.environ,
            "CELERY_CUSTOM_WORKER_POOL": "pycoro.celery:TaskPool",
            "PYCORO_REDIS": str(broker[0]),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "python -m pycoro.celery -A app worker" in done.stderr


def test_a_worker_with_beat_is_told_what_to_do(broker: tuple[int, Path]) -> None:
    done = subprocess.run(
        [sys.executable, *["-m", "pycoro.celery", "-A", "clients.celery_app", "worker", "-B"]],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "PYCORO_REDIS": str(broker[0])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "celery -A app beat" in done.stderr
