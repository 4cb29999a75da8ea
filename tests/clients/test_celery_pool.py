"""Celery's pool of coroutines without a worker: what is told of jobs, room, and the timer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import pycoro
from pycoro.testing import virtual_time

pytest.importorskip("celery", reason="celery is missing: pip install 'pycoro[celery]'")

from billiard.exceptions import SoftTimeLimitExceeded, WorkerLostError
from celery.exceptions import ImproperlyConfigured, WorkerShutdown
from celery.worker import state

from pycoro import monkey
from pycoro.celery import TaskPool, transport
from pycoro.celery.results import Drainer
from pycoro.celery.timer import Timer


@pytest.fixture(autouse=True)
def time() -> Iterator[Any]:
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A pool that has been started, as if all were patched."""
    monkeypatch.setattr(monkey, "is_module_patched", lambda name: True)

    def make(limit: int, **options: Any) -> Any:
        pool = TaskPool(limit, **options)
        pool.start()
        return pool

    return make


def apply(pool: Any, log: list[Any], function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Tells the log of whatever is told of it."""

    def failed(info: Any) -> None:
        log.append(("failed", type(getattr(info.exception, "exc", info.exception))))

    callbacks = {
        "accept_callback": lambda number, time: log.append(("accepted", number)),
        "callback": lambda result: log.append(("done", result)),
        "error_callback": failed,
        "timeout_callback": lambda soft, limit: log.append(("soft" if soft else "hard", limit)),
    }
    return pool.apply_async(function, args, **{**callbacks, **more})


def test_a_result(make: Callable[..., Any]) -> None:
    log: list[Any] = []
    pool = make(1)
    apply(pool, log, divmod, 7, 2)
    pool.stop()
    assert log == [("accepted", 1), ("done", (3, 1))]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(), ValueError),
        (SystemExit(3), WorkerLostError),
        (KeyboardInterrupt(), WorkerLostError),
        (pycoro.GreenletExit(), WorkerLostError),
    ],
)
def test_an_error(make: Callable[..., Any], error: BaseException, told: type) -> None:
    def fail() -> None:
        raise error

    log: list[Any] = []
    pool = make(1)
    apply(pool, log, fail)
    pool.stop()
    assert log == [("accepted", 1), ("failed", told)]
    assert pool.info["free-slots"] == 1


def test_a_worker_s_end_is_raised_in_the_main_program(make: Callable[..., Any]) -> None:
    def end() -> None:
        raise WorkerShutdown(4)

    log: list[Any] = []
    pool = make(1)
    apply(pool, log, end)
    with pytest.raises(WorkerShutdown):
        pool.stop()
    assert log == [("accepted", 1)]


def test_callbacks_that_fail_are_logged(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **named: Any) -> None:
        raise ValueError("of a callback")

    log: list[Any] = []
    pool = make(1)
    apply(pool, log, log.append, "called", accept_callback=fail, callback=fail)
    apply(pool, log, log.append, "another")
    pool.stop()
    assert log == ["called", ("accepted", 2), "another", ("done", None)]
    assert caplog.text.count("ValueError: of a callback") == 2


def test_limits(make: Callable[..., Any]) -> None:
    log: list[Any] = []

    def work(name: str, seconds: float) -> str:
        try:
            pycoro.sleep(seconds)
        except BaseException as error:
            log.append((name, type(error)))
            raise
        return name

    pool = make(9, timeout=5, soft_timeout=4)
    apply(pool, log, work, "quick", 3)
    apply(pool, log, work, "soft", 9)
    apply(pool, log, work, "hard", 9, soft_timeout=7)
    apply(pool, log, work, "own", 9, timeout=2)
    pool.stop()
    pycoro.sleep(0)  # who tells of limits is another task
    assert log == [
        *(("accepted", number) for number in (1, 2, 3, 4)),
        ("own", pycoro.GreenletExit),
        ("hard", 2),
        ("done", "quick"),
        ("soft", SoftTimeLimitExceeded),
        ("failed", SoftTimeLimitExceeded),
        ("soft", 4),
        ("hard", pycoro.GreenletExit),
        ("hard", 5),
    ]


def test_an_end_that_is_being_told_of_is_the_end(make: Callable[..., Any]) -> None:
    log: list[Any] = []

    def tell(result: Any) -> None:
        pycoro.sleep(9)
        log.append(result)

    pool = make(1)
    job = apply(pool, log, int, 7, callback=tell, timeout=1, soft_timeout=1)
    pycoro.sleep(2)
    pool.terminate_job(job.number)
    pool.stop()
    assert log == [("accepted", 1), 7]


def test_a_job_is_terminated(make: Callable[..., Any]) -> None:
    log: list[Any] = []
    pool = make(2)
    job = apply(pool, log, pycoro.sleep, 9)
    apply(pool, log, pycoro.sleep, 2)
    pycoro.sleep(1)
    pool.terminate_job(job.number, 15)
    pool.terminate_job(77, 15)  # there is none
    pool.stop()
    assert log == [("accepted", 1), ("accepted", 2), ("done", None)]


def test_a_job_is_terminated_as_it_begins(make: Callable[..., Any]) -> None:
    log: list[Any] = []
    pool = make(1)

    def accept(number: int, time: float) -> None:
        pool.terminate_job(number)
        pycoro.sleep(1)  # what is told to the broker is not broken off
        log.append("told")

    apply(pool, log, log.append, "called", accept_callback=accept)
    pool.stop()
    assert log == ["told"]


def test_room(make: Callable[..., Any], time: Any) -> None:
    log: list[Any] = []
    pool = make(1)
    start = time.now
    for _ in range(3):
        apply(pool, log, pycoro.sleep, 10)
        log.append(time.now - start)
    pool.grow(2)
    for _ in range(2):
        apply(pool, log, pycoro.sleep, 10)
        log.append(time.now - start)
    assert [item for item in log if isinstance(item, float)] == [0, 10, 20, 20, 20]
    pool.shrink(2)
    assert (pool.num_processes, pool.info["running-tasks"], pool.info["free-slots"]) == (1, 3, 0)
    apply(pool, log, pycoro.sleep, 10)
    assert time.now - start == 30
    apply(pool, log, pycoro.sleep, 10)
    assert time.now - start == 40
    pool.stop()


def test_who_waits_for_room_gives_up_at_the_end(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Any] = []
    pool = make(1)
    apply(pool, log, pycoro.sleep, 3)
    pycoro.spawn_later(1.5, monkeypatch.setattr, state, "should_stop", 0)
    assert apply(pool, log, log.append, "called") is None
    pool.stop()
    assert apply(pool, log, log.append, "called") is None
    assert log == [("accepted", 1), ("done", None)]


def test_terminate_kills_what_runs(make: Callable[..., Any]) -> None:
    log: list[Any] = []
    pool = make(3)
    for _ in range(3):
        apply(pool, log, pycoro.sleep, 9)
    pycoro.sleep(1)
    pool.terminate()
    assert log == [("accepted", number) for number in (1, 2, 3)]
    assert pool.info["running-tasks"] == 0


def test_what_has_not_begun_is_not_accepted_at_the_end(make: Callable[..., Any]) -> None:
    """Else its message would be acknowledged, and nobody would do it."""
    log: list[Any] = []
    pool = make(1)
    apply(pool, log, log.append, "called")
    pool.terminate()
    assert log == []
    assert pool.info["free-slots"] == 1


def test_what_is_not_patched_or_prepared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"python -m pycoro\.celery"):
        TaskPool(3)
    monkeypatch.setattr(monkey, "is_module_patched", lambda name: True)
    with pytest.raises(ImproperlyConfigured, match="before the worker is made"):
        TaskPool(3, threads=False)


# ---- the timer ----


def test_timer() -> None:
    log: list[Any] = []
    timer = Timer()
    timer.call_after(3, log.append, ("third",))
    timer.call_after(1, log.append, ("first",))
    gone = timer.call_after(2, log.append, ("second",))
    timer.call_after(2.5, log.append, ("second",)).cancel()
    assert [place.entry.args[0] for place in timer.schedule.queue] == [
        *("first", "second", "second", "third")
    ]
    timer.cancel(gone)
    assert len(timer) == 3
    pycoro.sleep(2.6)
    assert (log, len(timer)) == (["first"], 1)
    timer.stop()
    pycoro.sleep(5)
    assert (log, len(timer)) == (["first"], 0)


def test_a_timer_s_errors() -> None:
    log: list[Any] = []
    timer = Timer(on_error=log.append)
    timer.call_after(1, int, ("x",))
    pycoro.sleep(2)
    assert [type(error) for error in log] == [ValueError]


# ---- messages and results ----


@pytest.mark.parametrize("may_take_more", [False, True])
def test_a_task_s_end_breaks_off_the_wait_of_who_may_take_no_more(
    may_take_more: bool, time: Any
) -> None:
    channel = SimpleNamespace(
        active_queues={"queue"}, qos=SimpleNamespace(can_consume=lambda: may_take_more)
    )
    poll = transport._Poll(
        SimpleNamespace(poll=pycoro.sleep, number=7), SimpleNamespace(_channels=[channel])
    )
    assert poll.number == 7
    start = time.now
    waiter = pycoro.spawn(poll.poll, 100)
    other = pycoro.spawn(pycoro.sleep, 200)
    pycoro.sleep(1)
    transport.task_has_ended()
    if may_take_more:
        assert waiter.get() is None
        assert time.now - start == 100
    else:
        with pytest.raises(TimeoutError):
            waiter.get()
        assert time.now - start == 1
    transport.task_has_ended()  # nobody waits so any more
    other.get()
    assert time.now - start == 200


def test_nothing_is_given_back_by_a_connection_that_is_given_up() -> None:
    """As kombu would when it closes that once more, and fail."""
    channel = SimpleNamespace(connection=SimpleNamespace(client=None), do_restore=True)
    unacknowledged = transport._QoS(channel)
    unacknowledged._quick_append("tag", "message")
    unacknowledged.restore_unacked_once()
    assert not unacknowledged._delivered


def test_one_of_those_who_wait_for_results_reads_for_all() -> None:
    log: list[Any] = []
    results = [SimpleNamespace(ready=False, name=name) for name in "abc"]
    coming = iter([results[2], results[0], results[1]])

    def read(timeout: float) -> None:
        log.append("reads")
        pycoro.sleep(timeout)
        one = next(coming)
        one.ready = True
        log.append(one.name)

    def wait(result: Any) -> None:
        for _ in drainer.drain_events_until(result, wait=read):
            pass
        log.append(f"has {result.name}")

    drainer = Drainer(None)
    pycoro.joinall([pycoro.spawn(wait, result) for result in results], raise_error=True)
    assert [entry for entry in log if not entry.startswith("has")] == [
        *("reads", "c", "reads", "a", "reads", "b")
    ]
    assert [entry for entry in log if entry.startswith("has")] == ["has c", "has a", "has b"]
