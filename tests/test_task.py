"""Tasks: spawn, sleep, join, get, kill, links, errors; several tasks at once."""

from __future__ import annotations

import contextvars
import threading
import weakref
from typing import Any

import pytest

import pycoro
from pycoro import (
    CoroutineExit,
    Greenlet,
    Task,
    Timeout,
    _native,
    getcurrent,
    joinall,
    killall,
    sleep,
    spawn,
    spawn_later,
)
from pycoro.waiting import WaitQueue


def fails(error: BaseException) -> None:
    raise error


# ---- running ----


def test_tasks_take_turns() -> None:
    log: list[tuple[str, int]] = []

    def hops(name: str) -> str:
        for turn in range(3):
            log.append((name, turn))
            sleep(0)
        return name

    tasks = [spawn(hops, name) for name in "abc"]
    assert log == []
    assert joinall(tasks) == tasks
    assert log == [(name, turn) for turn in range(3) for name in "abc"]
    assert [task.value for task in tasks] == ["a", "b", "c"]


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    log: list[int] = []

    def sleeps(number: int) -> None:
        sleep(number * 0.01)
        log.append(number)

    joinall([spawn(sleeps, number) for number in (3, 1, 2)])
    assert log == [1, 2, 3]


def test_a_task_gets_arguments_and_is_the_current_one() -> None:
    def run(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs, getcurrent()

    task = spawn(run, 1, 2, function=3, self=4)
    assert task.get() == ((1, 2), {"function": 3, "self": 4}, task)
    assert Greenlet is Task


def test_spawn_later_starts_later_and_can_be_killed_before() -> None:
    log: list[str] = []
    first = spawn_later(0.01, log.append, "first")
    never = spawn_later(0.01, log.append, "never")
    never.kill()
    assert (first.ready(), never.ready(), log) == (False, True, [])
    first.join()
    sleep(0.02)
    assert log == ["first"]


def test_a_task_that_is_made_starts_once() -> None:
    log: list[str] = []
    task = Task(log.append, "ran")
    sleep(0)
    assert (log, task.started) == ([], False)
    task.start()
    task.start()
    task.start_later(0)
    task.join()
    sleep(0.001)
    assert log == ["ran"]


def test_start_of_one_that_waits_for_its_turn_does_not_wake_it_twice() -> None:
    log: list[str] = []
    again: WaitQueue = WaitQueue()

    def waits() -> None:
        log.append("runs")
        again.wait()
        log.append("woken")

    task, other = Task(waits), Task(log.append, "other")
    task.start()
    other.start()
    last = spawn(log.append, "last")
    for each in (task, other, last):
        each.start()
        each.start_later(0)
    joinall([other, last])
    sleep(0.001)
    assert log == ["runs", "other", "last"]
    again.wake_all()
    task.join()
    assert log == ["runs", "other", "last", "woken"]


@pytest.mark.parametrize("timeout", ["soon", float("nan")])
def test_a_timeout_that_is_no_number_is_refused_and_leaves_nothing_behind(timeout: Any) -> None:
    log: list[str] = []
    task, queue = spawn(sleep, 0.001), WaitQueue()
    for wait in (task.join, task.result, queue.wait, lambda seconds: joinall([task], seconds)):
        with pytest.raises((TypeError, ValueError)):
            wait(timeout)
    with pytest.raises((TypeError, ValueError)):
        sleep(timeout)
    with pytest.raises((TypeError, ValueError)):
        pycoro.get_loop().call_later(timeout, log.append, "never")
    with pytest.raises((TypeError, ValueError)):
        Task(log.append, "never").start_later(timeout)
    assert len(queue) == 0
    assert queue.wait(0.005) is False  # not woken by the end of the task
    assert task.ready()
    assert log == []


def test_a_task_of_another_thread_is_refused() -> None:
    tasks: list[Task] = []
    made, done = threading.Event(), threading.Event()
    ends: list[bool] = []

    def run() -> None:
        tasks.extend([spawn(sleep, 0), Task(sleep)])
        made.set()
        done.wait(10)
        ends.append(tasks[0].join())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    made.wait(10)
    try:
        for use in (
            tasks[0].join,
            tasks[0].get,
            tasks[0].kill,
            lambda: tasks[0].link(print),
            lambda: joinall(tasks[:1], timeout=1),
            tasks[1].start,
        ):
            with pytest.raises(pycoro.CoroutineError, match="another thread's loop"):
                use()
    finally:
        done.set()
        thread.join(10)
    assert ends == [True]


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(TypeError, match="must be callable, not int"):
        spawn(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be callable, not str"):
        spawn(sleep).link("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot wait for int"):
        joinall([5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="non-negative"):
        sleep(-1)


def test_a_task_sees_a_copy_of_its_maker_s_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("maker's")

    def run() -> str:
        seen = variable.get()
        variable.set("task's")
        return seen

    assert spawn(run).get() == "maker's"
    assert variable.get() == "maker's"
    empty = Task.make(lambda: variable.get("none"), context="empty", name="empty one")
    empty.start()
    assert (empty.get(), empty.name) == ("none", "empty one")


# ---- the end ----


def test_states_of_a_task() -> None:
    task = spawn(sleep, 0.001)
    assert (task.started, task.ready(), bool(task), task.value) == (True, False, True, None)
    sleep(0)
    assert (task.started, task.ready(), bool(task)) == (True, False, True)
    task.join()
    assert (task.ready(), task.successful(), bool(task), task.dead) == (True, True, False, True)
    assert "'sleep' done" in repr(task)


def test_an_error_is_reported_once_with_its_stack_and_kills_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = spawn(sleep, 0.001)
    task = spawn(fails, ValueError("oh no"))
    joinall([task, other])
    assert (task.ready(), task.successful(), task.value) == (True, False, None)
    assert other.successful()
    text = capsys.readouterr().err
    assert text.startswith("Exception in <Task 'fails' failed with ValueError")
    assert "in fails\n" in text
    assert text.count("Traceback") == text.count("ValueError: oh no") == 1
    with pytest.raises(ValueError, match="oh no"):
        task.get()
    assert capsys.readouterr().err == ""


def test_who_waits_in_get_has_the_error_and_it_is_not_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="oh no"):
        spawn(fails, ValueError("oh no")).get()
    with pytest.raises(ValueError, match="oh no"):
        spawn(fails, ValueError("oh no")).result()
    assert capsys.readouterr().err == ""


def test_get_without_waiting_or_with_a_timeout() -> None:
    task = spawn(sleep, 10)
    with pytest.raises(Timeout):
        task.get(block=False)
    with pytest.raises(Timeout, match=r"0\.001 seconds"):
        task.get(timeout=0.001)
    with pytest.raises(TimeoutError, match=r"not ended after 0\.001 seconds"):
        task.result(timeout=0.001)
    assert task.join(0.001) is False
    task.kill()
    assert isinstance(task.get(), CoroutineExit)


def test_a_task_that_joins_itself_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="cannot wait for its own end"):
        spawn(lambda: getcurrent().join()).get()


def test_links_are_called_with_the_task() -> None:
    log: list[object] = []
    task = spawn(lambda: "value")
    unlinked = log.append
    task.link(lambda task: log.append(("linked", task.value)))
    task.link(unlinked)
    task.unlink(unlinked)
    task.join()
    task.link(lambda task: log.append(("late", task.value)))
    sleep(0)
    assert log == [("linked", "value"), ("late", "value")]


def test_many_may_wait_for_one() -> None:
    log: list[int] = []
    task = spawn(sleep, 0.001)

    def waits(number: int) -> None:
        task.join()
        log.append(number)

    joinall([spawn(waits, number) for number in range(5)])
    assert log == [0, 1, 2, 3, 4]


def test_a_result_lives_as_long_as_the_task() -> None:
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing)
    task = spawn(lambda thing: None, thing)
    del thing
    task.join()
    assert reference() is None


def test_a_killed_task_holds_nothing_of_what_it_did() -> None:
    references: list[weakref.ref[Any]] = []

    class Thing:
        pass

    def run() -> None:
        thing = Thing()
        references.append(weakref.ref(thing))
        sleep(1000)

    task = spawn(run)
    sleep(0)
    task.kill()
    references.append(weakref.ref(task))
    assert references[0]() is None
    del task
    sleep(0)
    assert references[1]() is None  # without the collector


# ---- killing ----


def test_kill_raises_in_the_task_and_waits_for_its_end() -> None:
    log: list[str] = []

    def run() -> None:
        try:
            sleep(10)
        except CoroutineExit:
            log.append("killed")
            sleep(0.001)
            log.append("cleaned up")
            raise

    task = spawn(run)
    sleep(0)
    task.kill()
    assert log == ["killed", "cleaned up"]
    assert task.successful()
    assert isinstance(task.value, CoroutineExit)
    task.kill()


def test_kill_before_the_start_lets_it_never_run() -> None:
    log: list[str] = []
    task = spawn(log.append, "ran")
    task.kill()
    task.kill()
    sleep(0)
    assert (log, task.ready(), task.dead) == ([], True, True)
    assert isinstance(task.get(), CoroutineExit)


def test_kill_twice_before_it_notices_is_one_kill() -> None:
    log: list[str] = []

    def run() -> None:
        try:
            sleep(10)
        except CoroutineExit:
            log.append("killed")
        sleep(0.001)
        log.append("survived")

    task = spawn(run)
    sleep(0)
    task.kill(block=False)
    task.kill(block=False)
    task.join()
    assert log == ["killed", "survived"]


def test_kill_with_an_exception_and_without_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(sleep, 10)
    sleep(0)
    task.kill(KeyError("why"), block=False)
    assert not task.ready()
    task.join()
    assert isinstance(task.exception, KeyError)
    assert "KeyError: 'why'" in capsys.readouterr().err
    with pytest.raises(TypeError, match="exceptions must be"):
        spawn(sleep, 0).kill(5)  # type: ignore[arg-type]


def test_a_task_may_kill_itself() -> None:
    log: list[str] = []

    def run() -> None:
        getcurrent().kill()
        log.append("not here")

    task = spawn(run)
    task.join()
    assert (log, isinstance(task.value, CoroutineExit)) == ([], True)


def test_kill_of_one_that_is_about_to_go_on() -> None:
    log: list[str] = []
    queue = WaitQueue()

    def run() -> None:
        queue.wait()
        log.append("went on")

    task = spawn(run)
    sleep(0)
    queue.wake_all()
    task.kill()
    assert (log, task.ready(), len(queue)) == ([], True, 0)
    sleep(0)


def test_a_killed_wait_leaves_nothing_behind() -> None:
    queue = WaitQueue()
    first, second = spawn(queue.wait), spawn(queue.wait)
    sleep(0)
    first.kill()
    assert len(queue) == 1
    assert queue.wake_one()
    assert second.get() is True
    assert not queue.wake_one()


def test_a_plain_throw_breaks_off_the_wait_as_well() -> None:
    queue = WaitQueue()
    log: list[str] = []

    def run() -> None:
        try:
            queue.wait()
        except KeyError:
            log.append("thrown")
        sleep(0.001)
        log.append("slept")

    task = spawn(run)
    sleep(0)
    pycoro.get_loop().call_soon(task.throw, KeyError())
    task.join()
    assert (log, len(queue)) == (["thrown", "slept"], 0)


def test_wait_with_a_timeout() -> None:
    queue = WaitQueue()
    assert queue.wait(0.001) is False
    assert len(queue) == 0
    spawn(queue.wake_all)
    assert queue.wait(10) is True


# ---- several ----


def test_joinall_with_a_timeout_gives_those_that_have_ended() -> None:
    quick, slow = spawn(sleep, 0), spawn(sleep, 10)
    assert joinall([quick, slow], timeout=0.01) == [quick]
    killall([quick, slow])
    assert joinall([quick, slow]) == [quick, slow]


def test_joinall_with_a_count() -> None:
    tasks = [spawn(sleep, seconds) for seconds in (10, 0.001, 10, 0)]
    assert joinall(tasks, count=2) == [tasks[3], tasks[1]]
    assert joinall(tasks, count=1) == [tasks[1]]
    killall(tasks)
    assert all(task.ready() for task in tasks)


def test_joinall_raises_the_first_error(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [spawn(sleep, 0), spawn(fails, ValueError("first")), spawn(sleep, 0.001)]
    with pytest.raises(ValueError, match="first"):
        joinall(tasks, raise_error=True)
    assert capsys.readouterr().err.count("ValueError: first") == 1


def test_joinall_does_not_wait_for_the_others_once_one_has_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forever = spawn(sleep, 1000)
    failed = spawn(fails, ValueError("early"))
    for _ in range(2):  # while it fails, and afterwards
        with pytest.raises(ValueError, match="early"):
            joinall([forever, failed], raise_error=True)
    forever.kill()
    assert capsys.readouterr().err.count("ValueError: early") == 1


def test_a_task_among_those_that_it_joins_or_kills() -> None:
    log: list[str] = []

    def waits() -> None:
        try:
            sleep(1000)
        finally:
            log.append("other ends")

    def kills() -> None:
        with pytest.raises(RuntimeError, match="its own end"):
            joinall([other, getcurrent()], timeout=1)  # type: ignore[list-item]
        try:
            killall([getcurrent(), other])  # type: ignore[list-item]
        finally:
            log.append("killer ends")

    other = spawn(waits)
    killer = spawn(kills)
    joinall([other, killer])
    assert log == ["killer ends", "other ends"]
    assert isinstance(killer.value, CoroutineExit)


def test_links_have_run_when_join_returns() -> None:
    log: list[str] = []
    task = spawn(sleep, 0)
    task.link(lambda task: log.append("link"))
    task.join()
    log.append("joined")
    assert log == ["link", "joined"]


def test_killall_of_many() -> None:
    log: list[int] = []

    def run(number: int) -> None:
        try:
            sleep(10)
        finally:
            log.append(number)

    tasks = [spawn(run, number) for number in range(100)]
    sleep(0)
    killall([*tasks, spawn(log.append, "never")])
    assert log == list(range(100))


def test_ten_thousand_tasks() -> None:
    total = 0

    def run(number: int) -> None:
        nonlocal total
        sleep(0)
        total += number

    joinall([spawn(run, number) for number in range(10_000)])
    assert total == sum(range(10_000))


def test_each_thread_runs_its_own_tasks() -> None:
    results: list[int] = []

    def thread(number: int) -> None:
        def run(value: int) -> int:
            sleep(0.001)
            return value

        results.append(sum(task.get() for task in [spawn(run, number) for _ in range(20)]))

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(results) == [0, 20, 40, 60, 80]


def test_a_task_that_cannot_have_a_stack_fails_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_stack(task: Task) -> Any:
        if task.name == "doomed":
            raise MemoryError("no memory for another stack")
        return prepare(task)

    prepare = _native.prepare
    monkeypatch.setattr(_native, "prepare", no_stack)
    doomed, other = Task.make(sleep, name="doomed"), spawn(sleep, 0)
    doomed.start()
    joinall([doomed, other])
    assert isinstance(doomed.exception, MemoryError)
    assert other.successful()
    assert "no memory for another stack" in capsys.readouterr().err


def test_a_task_runs_once() -> None:
    tasks = [pycoro.spawn(lambda: 5), pycoro.spawn(pycoro.sleep, 1000)]
    pycoro.sleep(0)
    for task in tasks:
        with pytest.raises(RuntimeError, match="has begun already"):
            task.run()
    assert tasks[0].value == 5
    tasks[1].kill()


class Ordered(Task):
    def __lt__(self, other: Any) -> bool:
        return id(self) < id(other)


class Equal(Task):
    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Equal)

    def __hash__(self) -> int:
        return 1


class Unhashable(pycoro.Coroutine):
    __slots__ = ()

    def __eq__(self, other: Any) -> bool:
        return self is other


def test_a_task_is_equal_to_itself_alone() -> None:
    """A kill took another one, which was equal, out of its queue: that one was never woken."""
    for wrong in (Equal, Unhashable):
        with pytest.raises(TypeError, match=f"{wrong.__name__} must not have an __eq__ or __hash"):
            wrong(len)
    task = Ordered.spawn(lambda: 5)
    assert task.get() == 5
