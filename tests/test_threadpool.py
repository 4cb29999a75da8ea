"""Calls in real threads: ThreadPool, on gevent as well where it has the feature, and how a loop
knows of them. The executor is in test_executor.py, look-ups of names in test_dns.py.

Calls that a test holds back wait for a lock of the interpreter's own, which no loop knows of.
"""

from __future__ import annotations

import _thread
import contextvars
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of, run_python
from peers import Api

import pycoro
from pycoro import CoroutineExit, LoopExit, Timeout, get_hub, get_loop, sleep, spawn, workers
from pycoro.event import AsyncResult, Event
from pycoro.jobs import ThreadPool, ThreadResult


class Gate:
    """Calls that wait until they are let through."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self.passed: list[Any] = []
        self.inside = 0
        self._changed = threading.Condition()

    def call(self, value: Any = None) -> Any:
        with self._changed:
            self.inside += 1
            self._changed.notify_all()
        assert self._gate.wait(60)
        self.passed.append(value)
        return value

    def open(self) -> None:
        self._gate.set()

    def wait_for(self, inside: int) -> None:
        """Blocks this thread until so many calls have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.inside >= inside, 60)


@pytest.fixture
def make(api: Api) -> Iterator[Callable[..., Any]]:
    """Makes pools, and ends them; pycoro's leave no thread behind."""
    before = _thread._count()
    pools = []

    def make(*args: Any, **kwargs: Any) -> Any:
        pools.append(api.threadpool.ThreadPool(*args, **kwargs))
        return pools[-1]

    yield make
    for pool in pools:
        pool.kill()
    while api.is_gevent and _thread._count() > before:
        time.sleep(0.001)  # they are on their way out
    assert _thread._count() == before


@pytest.fixture
def threads(clean_loop: None) -> Iterator[None]:
    """The test leaves no thread behind."""
    before = _thread._count()
    yield
    gc.collect()
    assert _thread._count() == before


def ident() -> int:
    return _thread.get_ident()


# ---- on both ----


def test_a_call_in_a_thread(api: Api, make: Any) -> None:
    pool = make(2)
    result = pool.spawn(divmod, 7, 2)
    assert isinstance(result, api.event.AsyncResult)
    assert result.get() == (3, 1)
    assert pool.spawn(dict, a=1).get() == {"a": 1}
    assert pool.spawn(ident).get() != ident()
    assert pool.apply(int, ("17",)) == 17
    assert pool.apply(dict, kwds={"b": 2}) == {"b": 2}


def test_an_error_in_a_thread(api: Api, make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise LookupError("in there")

    pool = make(1)
    with pytest.raises(LookupError, match="in there") as caught:
        pool.apply(fail)
    assert caught.traceback[-1].name == "fail"
    result = pool.spawn(fail)
    result.wait()
    assert (result.ready(), result.successful(), type(result.exception)) == (
        True,
        False,
        LookupError,
    )
    capsys.readouterr()


def test_other_tasks_run_meanwhile(api: Api, make: Any) -> None:
    pool = make(1)
    gate = Gate()
    log = []
    waiter = api.spawn(lambda: log.append(pool.apply(gate.call, ("result",))))
    for number in range(3):
        api.sleep(0)
        log.append(number)
    gate.open()
    waiter.join()
    assert log == [0, 1, 2, "result"]


def test_mapping(api: Api, make: Any) -> None:
    pool = make(3)
    assert pool.map(str, range(20)) == [str(number) for number in range(20)]
    assert list(pool.imap(pow, range(20), [2] * 20)) == [number**2 for number in range(20)]
    assert sorted(pool.imap_unordered(abs, range(-19, 1))) == list(range(20))
    assert list(pool.imap(str, range(5), maxsize=1)) == list("01234")
    log: list[Any] = []
    assert pool.map_cb(abs, [-1], log.append) == [1]
    assert pool.map_async(abs, [-2], log.append).get() == [2]
    assert pool.apply_cb(abs, (-3,), callback=log.append) == 3
    assert pool.apply_async(abs, (-4,), callback=log.append).get() == 4
    assert log == [[1], [2], 3, 4]


def test_errors_of_mapping(api: Api, make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def invert(number: int) -> float:
        return 1 / number

    pool = make(1)
    with pytest.raises(ZeroDivisionError):
        pool.map(invert, [1, 0, 2])
    for function in (pool.imap, pool.imap_unordered):
        results = function(invert, [1, 0, 2])
        assert next(results) == 1.0
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == [0.5]
    capsys.readouterr()


def test_the_length_of_a_pool_is_the_number_of_its_calls(api: Api, make: Any) -> None:
    pool = make(2)
    gate = Gate()
    assert (len(pool), bool(pool), pool.size, pool.maxsize) == (0, False, 0, 2)
    results = [pool.spawn(gate.call, number) for number in range(3)]
    assert (len(pool), bool(pool), pool.size) == (3, True, 2)
    gate.open()
    pool.join()
    assert len(pool) == 0
    assert [result.get() for result in results] == [0, 1, 2]


def test_spawn_waits_where_too_many_calls_wait(api: Api, make: Any) -> None:
    pool = make(2)
    gate = Gate()
    log: list[Any] = []

    def spawner() -> None:
        for number in range(5):
            pool.spawn(gate.call, number)
            log.append(number)

    task = api.spawn(spawner)
    for _ in range(5):
        api.sleep(0)
    assert (log, len(pool), pool.size) == ([0, 1, 2], 3, 2)
    gate.open()
    task.join()
    pool.join()
    assert (log, sorted(gate.passed)) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])


def test_one_thread_does_its_calls_in_order(api: Api, make: Any) -> None:
    pool = make(1)
    done: list[int] = []
    for number in range(50):
        pool.spawn(done.append, number)
    pool.join()
    assert (done, pool.size) == (list(range(50)), 1)


def test_an_apply_out_of_a_call_is_made_in_the_same_thread(api: Api, make: Any) -> None:
    pool = make(1)

    def outer() -> tuple[int, int]:
        return ident(), pool.apply(ident)

    first, second = pool.apply(outer)
    assert first == second != ident()


def test_who_waits_may_leave_and_the_thread_is_not_lost(api: Api, make: Any) -> None:
    pool = make(1)
    gate = Gate()
    killed = api.spawn(pool.apply, gate.call, ("killed",))
    api.settle()
    with pytest.raises(api.Timeout), api.Timeout(0.001):
        pool.apply(gate.call, ("timed out",))
    waiting = api.spawn(pool.spawn, gate.call, "spawned")  # its turn has not come
    api.settle()
    killed.kill()
    waiting.kill()
    gate.open()
    assert pool.apply(str, (1,)) == "1"
    pool.join()
    assert (len(pool), pool.size) == (0, 1)
    assert gate.passed[:2] == ["killed", "timed out"]


def test_the_number_of_threads_is_settable(api: Api, make: Any) -> None:
    pool = make(3)
    pool.size = 2
    assert pool.size == 2
    pool.size = 3
    assert pool.size == 3
    with pytest.raises(ValueError, match="than maxsize"):
        pool.size = 4
    with pytest.raises(ValueError, match="negative"):
        pool.size = -1
    pool.size = 1
    # gevent's tells one too many now and then
    assert (pool.size, pool.maxsize) == (1, 3) or (api.is_gevent and pool.size == 0)
    pool.maxsize = 0
    assert pool.maxsize == 0
    while pool.size:
        api.sleep(0.001)


def test_a_larger_maxsize_takes_more_calls_at_once(api: Api, make: Any) -> None:
    pool = make(1)
    gate = Gate()
    tasks = [api.spawn(pool.apply, gate.call, (number,)) for number in range(4)]
    api.settle()
    assert (pool.size, len(pool)) == (1, 2)
    pool.maxsize = 4
    api.settle()
    gate.wait_for(4 if not api.is_gevent else 2)
    assert pool.size >= 2
    gate.open()
    api.joinall(tasks)
    assert [task.value for task in tasks] == [0, 1, 2, 3]


def test_sizes_that_are_none(api: Api) -> None:
    with pytest.raises(TypeError):
        api.threadpool.ThreadPool("2")
    with pytest.raises(ValueError, match="negative"):
        api.threadpool.ThreadPool(-1)


def test_a_pool_that_was_killed_can_be_used_again(api: Api, make: Any) -> None:
    pool = make(2)
    gate = Gate()
    gate.open()
    pool.spawn(gate.call, 1)
    pool.spawn(gate.call, 2)
    pool.kill()
    assert (pool.size, len(pool), sorted(gate.passed)) == (0, 0, [1, 2])
    assert pool.apply(abs, (-1,)) == 1
    pool.kill()


def test_idle_threads_end_after_a_while(api: Api, make: Any) -> None:
    pool = make(2, idle_task_timeout=0.005)
    assert pool.map(abs, [-1, -2]) == [1, 2]
    while pool.size:
        api.sleep(0.001)
    assert pool.apply(abs, (-3,)) == 3


def test_the_hubs_own_pool(api: Api) -> None:
    hub = api.get_hub()
    assert hub.threadpool is hub.threadpool
    assert isinstance(hub.threadpool, api.threadpool.ThreadPool)
    assert hub.threadpool_size == hub.threadpool.maxsize == 10
    assert hub.threadpool.apply(ident) != ident()
    hub.threadpool.kill()


def test_threadings_tracer_and_profiler_see_the_calls(api: Api, make: Any) -> None:
    pool = make(1)
    pool.apply(abs, (1,))
    seen = []

    def target() -> tuple[bool, bool]:
        return sys.gettrace() is tracer, sys.getprofile() is profiler

    def tracer(frame: Any, event: str, argument: Any) -> None:
        seen.append(("trace", frame.f_code.co_name))

    def profiler(frame: Any, event: str, argument: Any) -> None:
        seen.append(("profile", frame.f_code.co_name))

    former = threading.gettrace(), threading.getprofile()
    threading.settrace(tracer)
    threading.setprofile(profiler)
    try:
        assert pool.apply(target) == (True, True)
    finally:
        threading.settrace(former[0])  # type: ignore[arg-type]
        threading.setprofile(former[1])
    assert {("trace", "target"), ("profile", "target")} <= set(seen)
    count = len(seen)
    assert pool.apply(lambda: (sys.gettrace(), sys.getprofile())) == former
    assert len(seen) == count


def test_a_tracer_that_fails_fails_the_call(
    api: Api, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mine(Exception):
        pass

    def tracer(frame: Any, event: str, argument: Any) -> None:
        raise Mine

    pool = make(1)
    former = threading.gettrace()
    threading.settrace(tracer)
    try:
        with pytest.raises(Mine):
            pool.apply(lambda: "never")
    finally:
        threading.settrace(former)  # type: ignore[arg-type]
    assert pool.apply(abs, (-1,)) == 1
    pool.join()
    assert len(pool) == 0
    capsys.readouterr()


# ---- pycoro's own: what is refused, and told ----


def test_what_is_refused(threads: None) -> None:
    for bad in (5, None, "call"):
        pool = ThreadPool(1)
        with pytest.raises(TypeError, match="must be callable"):
            pool.spawn(bad)  # type: ignore[arg-type]
        assert (len(pool), get_loop().foreign, pool._places.counter) == (0, 0, 2)
    with pytest.raises(TypeError, match="maxsize must be an int, not float"):
        ThreadPool(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="hub must be a Loop"):
        ThreadPool(1, hub="hub")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout must be a number"):
        ThreadPool(1, idle_task_timeout="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        ThreadPool(1, idle_task_timeout=float("nan"))
    pool = ThreadPool(1)
    with pytest.raises(TypeError, match="maxsize must be an int"):
        pool.maxsize = "2"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="size must be an int"):
        pool.size = None  # type: ignore[assignment]
    assert (pool.maxsize, pool.size, pool.hub) == (1, 0, get_loop())


def test_a_call_cannot_wait_for_its_own_pool(threads: None) -> None:
    pool = ThreadPool(1)
    for wait in (pool.join, pool.kill):
        with pytest.raises(RuntimeError, match="cannot wait for its own end"):
            pool.apply(wait)
    assert pool.apply(pool.kill, (False,)) is True
    pool.kill()


def test_where_no_thread_can_be_started(threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    pool = ThreadPool(2)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_start_thread", fail)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="can't start"):
                pool.spawn(ident)
        assert (len(pool), pool.size, get_loop().foreign, pool._places.counter) == (0, 0, 0, 3)
    gate = Gate()
    first = pool.spawn(gate.call, 1)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_start_thread", fail)
        second = pool.spawn(gate.call, 2)  # the thread that is there does it
    gate.open()
    assert (first.get(), second.get(), pool.size) == (1, 2, 1)
    pool.kill()


def test_an_error_is_reported_where_nobody_waits_for_it(
    threads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise LookupError("nobody waits")

    pool = ThreadPool(1)
    with pytest.raises(LookupError):
        pool.apply(fail)
    linked = pool.spawn(fail)
    linked.rawlink(lambda result: None)
    pool.kill()
    sleep(0)
    late = pool.spawn(fail)
    while not late.ready():  # and the loop does not have its turn meanwhile
        time.sleep(0.001)
    with pytest.raises(LookupError):
        late.get()
    sleep(0)
    assert capsys.readouterr().err == ""
    result = pool.spawn(fail)
    pool.kill()
    sleep(0)
    told = capsys.readouterr().err
    assert "Exception in <ThreadResult of 'test_an_error" in told
    assert told.endswith("LookupError: nobody waits\n")
    with pytest.raises(LookupError):
        result.get()
    pool.kill()


def test_what_is_the_main_programs_ends_that(threads: None) -> None:
    def leave() -> None:
        raise SystemExit(3)

    pool = ThreadPool(1)
    pool.spawn(leave)
    with pytest.raises(SystemExit):
        Event().wait()
    result = pool.spawn(lambda: (_ for _ in ()).throw(CoroutineExit))
    with pytest.raises(CoroutineExit):
        result.get()
    pool.kill()


def test_contextvars_are_copied_into_the_call(threads: None) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    pool = ThreadPool(1)

    def change() -> str:
        former = variable.get()
        variable.set("changed in there")
        return former

    variable.set("mine")
    assert [pool.apply(change), pool.apply(change), variable.get()] == ["mine"] * 3
    context = contextvars.copy_context()
    context.run(variable.set, "other")
    assert context.run(pool.apply, change) == "other"
    pool.kill()


def test_a_result_and_a_call_leave_nothing_behind(threads: None) -> None:
    class Thing:
        alive = 0

        def __init__(self) -> None:
            Thing.alive += 1

        def __del__(self) -> None:
            Thing.alive -= 1

        def fail(self) -> None:
            raise LookupError(self)

    pool = ThreadPool(1)
    gc.collect()
    gc.disable()
    try:
        pool.apply(lambda thing: thing, (Thing(),))
        try:
            pool.apply(Thing().fail)
        except LookupError:
            pass
        pool.join()
        sleep(0)
        pool.apply(abs, (1,))  # the worker has forgotten the one before
        assert Thing.alive == 0
    finally:
        gc.enable()
    pool.kill()


# ---- threads and loops ----


def test_several_threads_share_a_pool(threads: None) -> None:
    pool = ThreadPool(2)
    running: list[int] = []
    most = []

    def call(number: int) -> int:
        running.append(number)
        most.append(len(running))
        running.remove(number)
        return number

    def thread(start: int) -> list[int]:
        tasks = [spawn(pool.apply, call, (number,)) for number in range(start, start + 30)]
        return [task.get() for task in tasks]

    results: list[Any] = [None] * 4

    def run(number: int) -> None:
        results[number] = thread(number * 100)

    helpers = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join(60)
    assert results == [list(range(n * 100, n * 100 + 30)) for n in range(4)]
    assert max(most) <= 2
    pool.join()
    assert (len(pool), pool.size) == (0, 2)
    pool.kill()


def test_a_result_for_another_thread_does_not_need_the_loop_that_asked(threads: None) -> None:
    pool = ThreadPool(1)
    gate = Gate()
    result = pool.spawn(gate.call, "value")
    got: list[Any] = []
    other = threading.Thread(target=lambda: got.append(result.get(timeout=60)))
    other.start()
    while not result.linkcount():
        sleep(0.001)
    gate.open()
    other.join(60)  # this blocks this thread's loop
    assert got == ["value"]
    pool.kill()


def test_a_loop_whose_calls_are_under_way_is_not_at_an_end(threads: None) -> None:
    pool = ThreadPool(1)
    gate = Gate()
    event = Event()
    pool.spawn(gate.call).rawlink(lambda result: event.set())
    gate.wait_for(1)
    spawn(gate.open)
    assert event.wait()
    with pytest.raises(LoopExit):
        Event().wait()  # the thread is idle
    pool.kill()
    with pytest.raises(LoopExit):
        Event().wait()


def test_nobody_asks_and_the_last_call_ends_while_the_loop_sleeps(threads: None) -> None:
    pool = ThreadPool(1)
    gate = Gate()
    pool.spawn(gate.call)
    gate.wait_for(1)
    spawn(gate.open)
    with pytest.raises(LoopExit):
        Event().wait()
    assert gate.passed == [None]
    pool.kill()


def test_a_thread_that_nobody_can_wake_any_more_notices_that(threads: None) -> None:
    """The call is another thread's: this one counts on the worker while that is busy."""
    pool = ThreadPool(1)
    gate = Gate()
    in_thread(lambda: pool.spawn(gate.call) and None)
    gate.wait_for(1)
    spawn(gate.open)
    with pytest.raises(LoopExit):
        Event().wait()
    pool.kill()


def test_join_of_the_hub_waits_for_calls(threads: None) -> None:
    pool = ThreadPool(1)
    gate = Gate()
    log = []
    spawn(lambda: log.append(pool.apply(gate.call, ("done",))))
    sleep(0)
    assert get_hub().join(timeout=0.001) is False
    gate.open()
    assert get_hub().join() is True
    assert log == ["done"]
    pool.kill()


def test_no_virtual_time_passes_while_a_call_is_under_way(threads: None) -> None:
    loop = get_loop()
    pool = ThreadPool(1)
    gate = Gate()
    now = 0.0
    log: list[Any] = []

    def jump(when: float) -> None:
        nonlocal now
        log.append(when)
        now = when

    former = loop.clock
    loop.clock, loop.jump = lambda: now, jump
    try:
        task = spawn(pool.apply, gate.call, ("done",))
        sleep(0)
        opener = loop.call_soon(gate.open)
        assert (task.get(), log) == ("done", [])
        sleep(5)
        assert log == [5.0]
        opener.cancel()
    finally:
        loop.clock, loop.jump = former, None
    pool.kill()


def test_the_loop_of_a_thread_that_ends_ends_its_pool(threads: None) -> None:
    def thread() -> tuple[int, int]:
        hub = get_hub()
        hub.threadpool_size = 3
        assert hub.threadpool is not main
        hub.threadpool.apply(abs, (-1,))
        return hub.threadpool.maxsize, hub.threadpool.size

    main = get_hub().threadpool
    assert in_thread(thread) == (3, 1)
    while _thread._count():
        sleep(0.001)


def test_a_pool_that_is_dropped_ends_its_threads(threads: None) -> None:
    gate = Gate()
    pool = ThreadPool(2)
    results = [pool.spawn(gate.call, number) for number in range(3)]
    gate.wait_for(2)
    del pool
    gate.open()
    assert [result.get() for result in results] == [0, 1, 2]
    while _thread._count():
        sleep(0.001)


def test_calls_of_a_worker_that_uses_a_loop_of_its_own(threads: None) -> None:
    pool = ThreadPool(1)

    def call() -> list[int]:
        tasks = [spawn(abs, -number) for number in range(3)]
        sleep(0.001)
        return [task.get() for task in tasks]

    assert [pool.apply(call) for _ in range(3)] == [[0, 1, 2]] * 3
    assert pool.apply(lambda: pool.spawn(abs, -5)).get() == 5
    pool.kill()


def test_many_kills_and_timeouts_lose_no_thread_and_no_place(threads: None) -> None:
    pool = ThreadPool(2)
    done = []

    def work(number: int) -> None:
        done.append(number)

    for turn in range(30):
        tasks = [spawn(pool.apply, work, (number,)) for number in range(6)]
        for _ in range(turn % 4):
            sleep(0)
        for task in tasks[turn % 3 :: 2]:
            task.kill(block=False)
        with Timeout(0.0001 * (turn % 5), False):
            pool.map(work, range(5))
        pycoro.joinall(tasks)
    pool.join()
    sleep(0)
    assert (len(pool), pool._places.counter, get_loop().foreign) == (0, 3, 0)
    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
    assert pool.size <= 2
    pool.kill()


def test_sizes_change_while_calls_come_and_go(threads: None) -> None:
    pool = ThreadPool(4)
    calls = spawn(lambda: [pool.apply(abs, (-number,)) for number in range(200)])
    maps = spawn(lambda: [pool.map(abs, range(-20, 0)) for _ in range(20)])
    for number in range(60):
        pool.maxsize = 1 + number % 4
        pool.size = number % (pool.maxsize + 1)
        sleep(0)
    pool.maxsize = 1
    assert calls.get() == list(range(200))
    assert maps.get() == [list(range(20, 0, -1))] * 20
    pool.join()
    assert (len(pool), pool._places.counter) == (0, 2)
    pool.kill()


# ---- call_soon_threadsafe ----


def test_callbacks_from_many_threads_all_arrive_in_each_ones_order(threads: None) -> None:
    loop = get_loop()
    arrived: list[tuple[int, int]] = []
    done = Event()

    def arrive(number: int, step: int) -> None:
        arrived.append((number, step))
        if len(arrived) == 8 * 2000:
            done.set()

    def send(number: int) -> None:
        for step in range(2000):
            loop.call_soon_threadsafe(arrive, number, step)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for sender in senders:
        sender.start()
    assert done.wait(60)
    for sender in senders:
        sender.join(60)
    for number in range(8):
        steps = [step for sender, step in arrived if sender == number]
        assert steps == list(range(2000))


def test_a_loop_that_sleeps_is_woken_each_time(threads: None) -> None:
    """One callback at a time, to a loop that has nothing else to do."""
    loop = get_loop()
    answers = AsyncResult()
    asked = threading.Semaphore(0)
    slots: list[AsyncResult] = [AsyncResult() for _ in range(500)]

    def thread() -> None:
        for slot in slots:
            asked.acquire()
            loop.call_soon_threadsafe(slot.set, 1)

    other = threading.Thread(target=thread)
    other.start()
    for slot in slots:
        asked.release()
        assert slot.get(timeout=60) == 1
    other.join(60)
    assert not answers.ready()


def test_loops_of_two_threads_play_ping_pong(threads: None) -> None:
    here, there = get_loop(), AsyncResult()
    count = 0
    done = Event()

    def ping() -> None:
        nonlocal count
        count += 1
        if count < 1000:
            there.get().call_soon_threadsafe(pong)
        else:
            done.set()

    def pong() -> None:
        here.call_soon_threadsafe(ping)

    stop = Event()

    def thread() -> None:
        there.set(get_loop())
        stop.wait(60)

    other = threading.Thread(target=thread)
    other.start()
    there.get().call_soon_threadsafe(pong)
    assert done.wait(60)
    stop.set()
    other.join(60)
    assert count == 1000


# ---- fork, exit ----


def test_a_forked_child_starts_its_own_threads() -> None:
    assert output_of(
        """
        import _thread, os, threading
        from pycoro import LoopExit, get_hub, get_loop
        from pycoro.event import Event
        from pycoro.jobs import ThreadPool

        gate = threading.Event()
        pool = ThreadPool(2)
        results = [pool.spawn(gate.wait, 60) for _ in range(3)]
        assert pool.size == 2
        get_hub().threadpool.apply(abs, (-1,))
        child = os.fork()
        if not child:
            before = _thread._count()  # CPython still counts the parent's
            print("child", len(pool), pool.size, get_loop().foreign, flush=True)
            print(pool.map(abs, range(-5, 0)), pool._places.counter, flush=True)
            print(get_hub().threadpool.apply(abs, (-7,)), flush=True)
            pool.join()
            pool.kill()
            print(_thread._count() - before, flush=True)
            try:
                Event().wait()
            except LoopExit:
                print("LoopExit", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        gate.set()
        print("parent", [result.get() for result in results], pool.size)
        """,
        "-Wignore",  # of forking with threads
    ) == [
        "child 0 0 0",
        "[5, 4, 3, 2, 1] 3",
        "7",
        "1",
        "LoopExit",
        "parent [True, True, True] 2",
    ]


def test_a_call_that_forks() -> None:
    assert output_of(
        """
        import os
        from pycoro.jobs import ThreadPool

        pool = ThreadPool(1)

        def fork():
            child = os.fork()
            if not child:
                print("child", pool.apply(abs, (-3,)), pool.size, flush=True)
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        print(pool.apply(fork), pool.apply(abs, (-4,)))
        """,
        "-Wignore",  # of forking with threads
    ) == ["child 3 1", "0 4"]


@pytest.mark.parametrize(
    "end", ["", "raise SystemExit(0)", "sys.exit()", "os.kill(os.getpid(), 2)"]
)
def test_calls_under_way_do_not_hold_up_the_exit(end: str) -> None:
    done = run_python(
        f"""
        import os, sys, threading, time
        from pycoro import get_hub, sleep, spawn
        from pycoro.jobs import ThreadPool

        gate = threading.Event()
        pool = ThreadPool(3)
        pool.apply(abs, (-1,))
        get_hub().threadpool.apply(abs, (-1,))
        pool.spawn(gate.wait)
        pool.spawn(time.sleep, 100)
        pool.spawn(sleep, 100)
        for _ in range(5):
            spawn(pool.apply, gate.wait)
        sleep(0.01)
        print("end", flush=True)
        {end}
        """,
        timeout=30,
    )
    assert done.stdout == "end\n"
    assert done.returncode in (0, -2, 130)
    assert "Fatal" not in done.stderr


def test_a_call_at_exit() -> None:
    assert output_of(
        """
        import atexit
        import pycoro.threadpool
        from pycoro import get_hub

        @atexit.register
        def at_exit():
            print(get_hub().threadpool.apply(abs, (-2,)))

        print(get_hub().threadpool.apply(abs, (-1,)))
        """
    ) == ["1", "2"]


def test_threads_stay_real_in_a_patched_process() -> None:
    assert output_of(
        """
        from pycoro import monkey
        monkey.patch_all()
        import threading, time
        from concurrent import futures
        from pycoro import sleep, spawn
        from pycoro.threadpool import ThreadPool, ThreadPoolExecutor

        ident = monkey.get_original("_thread", "get_ident")
        real_sleep = monkey.get_original("time", "sleep")
        main = ident()
        log = []

        def count():
            for number in range(3):
                sleep(0)
                log.append(number)

        def job():  # which uses what is patched
            event = threading.Event()
            helper = threading.Thread(target=event.set)
            helper.start()
            event.wait(60)
            helper.join()
            time.sleep(0.001)
            return event.is_set(), ident() != main

        gate = threading.Event()
        pool = ThreadPool(2)
        spawn(count).rawlink(lambda task: gate.set())
        print(pool.apply(gate.wait, (60,)), log, pool.apply(job))
        lock = threading.Lock()
        lock.acquire()
        result = pool.spawn(lock.acquire)
        spawn(lock.release)
        print(result.get())
        pool.kill()
        with ThreadPoolExecutor(2) as executor:
            calls = [executor.submit(job), executor.submit(real_sleep, 0.001)]
            print(len(list(futures.as_completed(calls, timeout=60))), calls[0].result())
            print(len(futures.wait(calls).done), list(executor.map(abs, [-1, -2])))
        """
    ) == ["True [0, 1, 2] (True, True)", "True", "2 (True, True)", "2 [1, 2]"]


def test_results_know_where_they_belong(threads: None) -> None:
    pool = ThreadPool(1)
    result = pool.spawn(abs, -1)
    assert isinstance(result, ThreadResult)
    assert "'abs'" in repr(result)
    assert result.get() == 1
    pool.kill()
    assert "value=1" in repr(result)
    assert "tasks=0 size=0 maxsize=1" in repr(pool)
    assert os.getpid()
