"""Groups and pools of tasks: the same tests on gevent, whose names and behaviour they have. What
only pycoro does is at the end."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Iterator
from queue import Full
from typing import Any

import pytest
from helpers import in_thread
from peers import Api

import pycoro
from pycoro import get_loop, sleep, spawn, spawn_raw
from pycoro.errors import InvalidThreadUseError
from pycoro.event import Event
from pycoro.pool import Group, Pool, PoolFull


def square(number: int) -> int:
    return number * number


class Steps:
    """Calls that go on one by one, in the order that a test wants."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.events: dict[Any, Any] = {}
        self.log: list[Any] = []

    def call(self, name: Any) -> Any:
        self.log.append(f"begin {name}")
        self.events[name] = self.api.event.Event()
        self.events[name].wait()
        self.log.append(f"end {name}")
        return name

    def go_on(self, *names: Any) -> None:
        for name in names:
            self.events[name].set()
        self.api.settle(10)


def in_threads(function: Any, count: int) -> list[Any]:
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        results[number] = function(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


# ---- Group ----


def test_a_group_knows_its_tasks_until_they_end(api: Api) -> None:
    group = api.pool.Group()
    steps = Steps(api)
    assert (len(group), bool(group), list(group)) == (0, False, [])
    first, second = group.spawn(steps.call, 1), group.spawn(steps.call, 2)
    assert (len(group), first in group, set(group)) == (2, True, {first, second})
    api.settle()
    steps.go_on(1)
    assert (len(group), first in group, second in group) == (1, False, True)
    steps.go_on(2)
    assert (len(group), bool(group)) == (0, False)
    assert (first.value, second.value) == (1, 2)


def test_a_group_made_of_tasks(api: Api) -> None:
    tasks = [api.Greenlet(square, number) for number in range(3)]
    group = api.pool.Group(tasks)
    assert len(group) == 3
    for task in tasks:
        task.start()
    if api.is_gevent:  # whose group takes itself to be empty then
        api.joinall(tasks)
    assert group.join() is True
    assert [task.value for task in tasks] == [0, 1, 4]


def test_adding_starting_and_discarding(api: Api) -> None:
    group = api.pool.Group()
    task = api.Greenlet(square, 3)
    group.add(task)
    group.add(task)
    assert (len(group), task.started) == (1, False)
    group.discard(task)
    group.discard(task)
    assert (len(group), task in group) == (0, False)
    group.start(task)
    assert task in group
    task.join()
    api.settle()
    assert (task.value, len(group)) == (9, 0)


def test_a_task_that_has_ended_leaves_soon(api: Api) -> None:
    group = api.pool.Group()
    task = api.spawn(square, 2)
    task.join()
    group.add(task)
    api.settle()
    assert len(group) == 0


def test_greenlet_class_is_what_spawn_makes(api: Api) -> None:
    class Mine(api.Greenlet):  # type: ignore[name-defined,misc]
        def _run(self) -> Any:
            return "mine"

    group = api.pool.Group()
    group.greenlet_class = Mine
    assert group.spawn().get() == "mine"
    pool = api.pool.Pool(2, greenlet_class=Mine)
    assert pool.spawn().get() == "mine"
    assert pool.apply(square, (2,)) == 4
    assert pool.greenlet_class is Mine
    assert api.pool.Pool.greenlet_class is api.Greenlet
    api.settle()


def test_join_waits_until_the_group_is_empty(api: Api) -> None:
    group = api.pool.Group()
    steps = Steps(api)
    assert group.join() is True
    group.spawn(steps.call, 1)
    joiner = api.spawn(group.join)
    api.settle()
    group.spawn(steps.call, 2)
    api.settle()
    assert not joiner.ready()
    assert not group.join(timeout=0.001)
    steps.go_on(1)
    assert not joiner.ready()
    steps.go_on(2)
    assert joiner.get() is True


def test_join_raises_the_error_of_a_member(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    group = api.pool.Group()
    group.spawn(square, 2)
    group.spawn(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        group.join(raise_error=True)
    group.spawn(lambda: 1 // 0)
    assert group.join() is True
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_join_wants_a_time_also_where_nobody_is_a_member() -> None:
    for group in (Group(), Pool(1)):
        with pytest.raises(ValueError, match="non-negative"):
            group.join(timeout=-1)


def test_kill_ends_all_members(api: Api) -> None:
    group = api.pool.Group()
    steps = Steps(api)
    tasks = [group.spawn(steps.call, number) for number in range(3)]
    api.settle()
    tasks.append(group.spawn(steps.call, "not started"))
    group.kill()
    assert steps.log == ["begin 0", "begin 1", "begin 2"]
    assert len(group) == 0
    assert all(type(task.value) is api.GreenletExit for task in tasks)
    group.kill()


def test_kill_with_an_exception_and_without_waiting(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    class Mine(Exception):
        pass

    group = api.pool.Group()
    steps = Steps(api)
    task = group.spawn(steps.call, 1)
    api.settle()
    group.kill(Mine, block=False)
    assert not task.ready()
    assert (task in group, task in group.dying) == (True, True)
    api.settle()
    assert (type(task.exception), len(group), len(group.dying)) == (Mine, 0, 0)
    assert "Mine" in capsys.readouterr().err


def test_members_are_killed_in_the_order_of_their_coming() -> None:
    group = Group()
    log: list[int] = []

    def member(number: int) -> None:
        try:
            sleep(1000)
        finally:
            log.append(number)

    tasks = [group.spawn(member, number) for number in range(100)]
    pycoro.sleep(0)
    tasks[50].kill()
    assert list(group) == tasks[:50] + tasks[51:]
    group.kill()
    assert log == [50, *range(50), *range(51, 100)]


def test_kill_ends_those_that_come_meanwhile(api: Api) -> None:
    group = api.pool.Group()
    log = []

    def stubborn() -> None:
        try:
            api.sleep(100)
        finally:
            log.append("first")
            group.spawn(heir)

    def heir() -> None:
        try:
            log.append("second")
            api.sleep(100)
        finally:
            log.append("killed")

    group.spawn(stubborn)
    api.settle()
    group.kill()
    assert (log, len(group)) == (["first", "second", "killed"], 0)


def test_a_member_is_killed_once(api: Api) -> None:
    group = api.pool.Group()
    log = []

    def swallow() -> None:
        for _ in range(3):
            try:
                api.sleep(0.01)
            except api.GreenletExit:
                log.append("killed")

    task = group.spawn(swallow)
    api.settle()
    group.kill(block=False)
    api.settle()
    group.killone(task)
    group.kill(timeout=0.001)
    assert task in group
    group.kill()
    assert (log, task.ready(), len(group)) == (["killed"], True, 0)


def test_killone_ends_a_member_and_nobody_else(api: Api) -> None:
    group = api.pool.Group()
    steps = Steps(api)
    first, second = group.spawn(steps.call, 1), group.spawn(steps.call, 2)
    stranger = api.spawn(steps.call, 3)
    api.settle()
    group.killone(first)
    group.killone(stranger)
    api.settle()
    assert (first.ready(), second.ready(), stranger.ready()) == (True, False, False)
    group.killone(second, block=False)
    assert not second.ready()
    steps.go_on(3)
    assert second.ready()


def test_a_member_that_kills_the_group_ends_too(api: Api) -> None:
    group = api.pool.Group()
    steps = Steps(api)
    log = []

    def killer() -> None:
        try:
            group.kill()
            api.sleep(0)
        finally:
            log.append("killer")

    other = group.spawn(steps.call, 1)
    api.settle()
    task = group.spawn(killer)
    group.join()
    api.settle()
    assert (log, other.ready(), task.ready(), len(group)) == (["killer"], True, True, 0)


def test_a_group_has_room_always(api: Api) -> None:
    group = api.pool.Group()
    group.spawn(square, 1)
    assert group.full() is False
    assert group.wait_available(timeout=1) is None
    group.join()


# ---- calls ----


@pytest.fixture(params=["Group()", "Pool(1)", "Pool(3)", "Pool()"])
def pool(request: pytest.FixtureRequest, api: Api) -> Any:
    return eval(request.param, {"Group": api.pool.Group, "Pool": api.pool.Pool})


def test_apply(api: Api, pool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert pool.apply(divmod, (7, 2)) == (3, 1)
    assert pool.apply(dict, kwds={"a": 1}) == {"a": 1}
    assert pool.apply(dict) == {}
    with pytest.raises(ZeroDivisionError):
        pool.apply(lambda: 1 // 0)
    capsys.readouterr()


def test_apply_out_of_a_member_of_a_full_pool(api: Api, pool: Any) -> None:
    here = []

    def inner() -> str:
        here.append(api.getcurrent())
        return "inner"

    def outer() -> str:
        here.append(api.getcurrent())
        return str(pool.apply(inner))

    assert pool.apply(outer) == "inner"
    assert here[0] is here[1]


def test_apply_cb_and_apply_async(api: Api, pool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    log: list[Any] = []
    assert pool.apply_cb(square, (3,), callback=log.append) == 9
    api.settle()
    task = pool.apply_async(square, (4,), callback=log.append)
    assert isinstance(task, api.Greenlet)
    assert task.get() == 16
    failing = pool.apply_async(lambda: 1 // 0, callback=log.append)
    with pytest.raises(ZeroDivisionError):
        failing.get()
    assert pool.apply_async(dict, None, {"b": 2}).get() == {"b": 2}
    api.settle()
    assert log == [9, 16]
    capsys.readouterr()


def test_apply_async_does_not_wait_for_room(api: Api) -> None:
    pool = api.pool.Pool(1)
    steps = Steps(api)
    tasks = [pool.apply_async(steps.call, (number,)) for number in range(3)]
    assert len(pool) == 1
    api.settle()
    assert steps.log == ["begin 0"]
    steps.go_on(0)
    steps.go_on(1)
    steps.go_on(2)
    assert [task.get() for task in tasks] == [0, 1, 2]


def test_map(api: Api, pool: Any) -> None:
    assert pool.map(square, range(10)) == [square(number) for number in range(10)]
    assert pool.map(square, iter([])) == []
    log: list[Any] = []
    assert pool.map_cb(square, [1, 2], log.append) == [1, 4]
    task = pool.map_async(square, [3, 4], log.append)
    assert task.get() == [9, 16]
    assert log == [[1, 4], [9, 16]]


def test_map_raises_the_first_error_in_the_order_of_items(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = api.pool.Pool(4)
    steps = Steps(api)

    def call(name: str) -> None:
        raise LookupError(steps.call(name))

    def mapped() -> str:
        with pytest.raises(LookupError) as caught:
            pool.map(call, "abc")
        return str(caught.value)

    mapping = api.spawn(mapped)
    api.settle()
    steps.go_on("b")
    assert not mapping.ready()
    steps.go_on("a")
    assert mapping.get() == "a"
    steps.go_on("c")
    assert len(pool) == 0
    capsys.readouterr()


def test_an_error_of_the_items_is_raised_by_map(api: Api, pool: Any) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("items")

    with pytest.raises(KeyError, match="items"):
        pool.map(square, items())
    pool.join()


def test_imap_gives_results_in_order(api: Api, pool: Any) -> None:
    assert list(pool.imap(square, range(10))) == [square(number) for number in range(10)]
    assert list(pool.imap(pow, [2, 3], [5, 2, 1])) == [32, 9]
    assert list(pool.imap(square, [])) == []
    assert list(pool.imap(square, range(5), maxsize=1)) == [0, 1, 4, 9, 16]


def test_imap_unordered_gives_all_results(api: Api, pool: Any) -> None:
    assert sorted(pool.imap_unordered(square, range(10))) == [square(n) for n in range(10)]
    assert sorted(pool.imap_unordered(pow, [2, 3], [5, 2, 1])) == [9, 32]
    assert list(pool.imap_unordered(square, [])) == []
    assert sorted(pool.imap_unordered(square, range(5), maxsize=2)) == [0, 1, 4, 9, 16]


def test_order_of_imap_and_of_imap_unordered(api: Api) -> None:
    for ordered, expected in ((True, [0, 1, 2]), (False, [2, 0, 1])):
        pool = api.pool.Pool(3)
        steps = Steps(api)
        results = (pool.imap if ordered else pool.imap_unordered)(steps.call, range(3))
        taken: list[int] = []
        consumer = api.spawn(taken.extend, results)
        api.settle()
        steps.go_on(2)
        steps.go_on(0)
        steps.go_on(1)
        consumer.join()
        assert taken == expected
    taken.clear()


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_error_is_raised_where_the_iteration_meets_it(
    api: Api, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = api.pool.Pool(1)  # so that they end in order

    def call(number: int) -> float:
        return 1 / number

    results = getattr(pool, name)(call, [1, 0, 2])
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results) == 0.5
    with pytest.raises(StopIteration):
        next(results)
    capsys.readouterr()


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_error_of_the_items_comes_after_the_results(
    api: Api, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = api.pool.Pool(1)

    def items() -> Iterator[int]:
        yield 1
        yield 2
        api.sleep(0.001)  # gevent's does not wait for the results
        raise KeyError("items")

    results = getattr(pool, name)(square, items())
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(KeyError, match="items"):
        next(results)
    capsys.readouterr()


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_maxsize_holds_back_the_calls(api: Api, name: str) -> None:
    pool = api.pool.Pool(10)
    called: list[int] = []

    def call(number: int) -> int:
        called.append(number)
        return number

    results = getattr(pool, name)(call, range(10), maxsize=2)
    api.settle(10)
    assert called == [0, 1]
    assert next(results) == 0
    api.settle(10)
    assert called == [0, 1, 2]
    assert next(results) == 1
    api.settle(10)
    assert called == [0, 1, 2, 3]
    assert list(results) == list(range(2, 10))


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_calls_that_are_killed_are_results(api: Api, name: str) -> None:
    pool = api.pool.Pool(5)
    results = getattr(pool, name)(api.sleep, [100, 100, 100])
    api.settle()
    started = len(pool)
    pool.kill()
    values = list(results)
    assert (started, len(values)) == (3, 3)
    assert all(type(value) is api.GreenletExit for value in values)


def test_bad_arguments_of_imap(api: Api) -> None:
    pool = api.pool.Pool(2)
    with pytest.raises(TypeError):
        pool.imap(square, 5)
    with pytest.raises(TypeError):
        pool.imap(square, [1], nonsense=1)


# ---- Pool ----


def test_a_pool_has_room_for_so_many(api: Api) -> None:
    pool = api.pool.Pool(2)
    steps = Steps(api)
    assert (pool.size, pool.full(), pool.free_count(), pool.wait_available()) == (2, False, 2, 2)
    pool.spawn(steps.call, 0)
    assert (pool.full(), pool.free_count(), pool.wait_available()) == (False, 1, 1)
    pool.spawn(steps.call, 1)
    assert (pool.full(), pool.free_count(), len(pool)) == (True, 0, 2)
    assert pool.wait_available(timeout=0.001) == 0
    third = api.spawn(pool.spawn, steps.call, 2)
    api.settle()
    assert (third.ready(), steps.log) == (False, ["begin 0", "begin 1"])
    steps.go_on(0)
    assert third.ready()
    assert steps.log == ["begin 0", "begin 1", "end 0", "begin 2"]
    steps.go_on(1, 2)
    assert (pool.full(), pool.free_count(), len(pool)) == (False, 2, 0)


def test_wait_available_waits_for_room(api: Api) -> None:
    pool = api.pool.Pool(1)
    steps = Steps(api)
    pool.spawn(steps.call, 0)
    waiter = api.spawn(pool.wait_available)
    api.settle()
    assert not waiter.ready()
    steps.go_on(0)
    assert waiter.get() == 1


def test_adding_to_a_full_pool(api: Api) -> None:
    pool = api.pool.Pool(1)
    steps = Steps(api)
    pool.spawn(steps.call, 0)
    api.settle()
    task = api.Greenlet(square, 5)
    full = api.pool.PoolFull
    assert issubclass(full, Full)
    for keywords in ({"blocking": False}, {"timeout": 0.001}, {"blocking": True, "timeout": 0.001}):
        with pytest.raises(full):
            pool.add(task, **keywords)
        with pytest.raises(full):
            pool.start(task, **keywords)
    assert (task.started, len(pool)) == (False, 1)
    steps.go_on(0)
    pool.start(task, blocking=False)
    assert task.get() == 25
    api.settle()
    assert pool.free_count() == 1


def test_a_pool_without_limit_and_one_without_room(api: Api) -> None:
    pool = api.pool.Pool()
    steps = Steps(api)
    for number in range(20):
        pool.spawn(steps.call, number)
    assert (pool.full(), pool.free_count(), pool.wait_available()) == (False, 1, 1)
    pool.kill()
    nothing = api.pool.Pool(0)
    assert (nothing.full(), nothing.wait_available(timeout=0.001)) == (True, 0)
    with pytest.raises(api.pool.PoolFull):
        nothing.add(api.Greenlet(square), blocking=False)


def test_sizes_that_are_none(api: Api) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        api.pool.Pool(-1)
    with pytest.raises(TypeError):
        api.pool.Pool("2")


def test_who_is_killed_while_waiting_for_room_takes_none(api: Api) -> None:
    pool = api.pool.Pool(1)
    steps = Steps(api)
    pool.spawn(steps.call, 0)
    waiting = [api.spawn(pool.spawn, steps.call, number) for number in (1, 2)]
    api.settle()
    waiting[0].kill()
    with pytest.raises(api.Timeout), api.Timeout(0.001):
        pool.spawn(steps.call, 3)
    steps.go_on(0)
    assert steps.log == ["begin 0", "end 0", "begin 2"]
    steps.go_on(2)
    assert (pool.free_count(), len(pool)) == (1, 0)


def test_who_is_killed_when_room_was_there_passes_it_on(api: Api) -> None:
    pool = api.pool.Pool(1)
    steps = Steps(api)
    first = pool.spawn(steps.call, 0)
    waiting = [api.spawn(pool.spawn, steps.call, number) for number in (1, 2)]
    api.settle()
    first.rawlink(lambda _: waiting[0].kill(block=False))
    steps.go_on(0)
    api.settle()
    assert "begin 1" not in steps.log or "begin 2" not in steps.log
    for number in (1, 2):
        if number in steps.events:
            steps.go_on(number)
    api.settle()
    if 2 in steps.events:
        steps.go_on(2)
    assert "end 2" in steps.log
    assert pool.free_count() == 1


def test_never_more_than_its_size(api: Api) -> None:
    pool = api.pool.Pool(3)
    running = most = 0

    def call(turns: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(turns):
            api.sleep(0)
        running -= 1
        return turns

    turns = [number % 4 for number in range(40)]
    assert pool.map(call, turns) == turns
    assert list(pool.imap(call, turns)) == turns
    assert sorted(pool.imap_unordered(call, turns)) == sorted(turns)
    assert (most, running) == (3, 0)


# ---- what is pycoro's own ----


def test_discarding_what_is_no_member_makes_no_room(clean_loop: None) -> None:
    pool = Pool(1)
    task = pool.spawn(sleep, 0)
    pool.discard(spawn(square, 1))
    assert pool.wait_available(timeout=0) == 0
    pool.discard(task)
    pool.discard(task)
    assert pool.wait_available(timeout=0) == 1
    task.join()
    assert pool.wait_available(timeout=0) == 1


def test_adding_a_member_again_takes_no_room(clean_loop: None) -> None:
    pool = Pool(2)
    task = pycoro.Greenlet(square, 2)
    pool.add(task)
    pool.start(task)
    assert (pool.free_count(), pool.wait_available(timeout=0)) == (1, 1)
    task.join()
    assert pool.wait_available(timeout=0) == 2


def test_what_is_no_task_is_refused(clean_loop: None) -> None:
    pool = Pool(1)
    for thing in ("task", None, square):
        with pytest.raises(TypeError, match="a task was expected"):
            pool.add(thing)
        with pytest.raises(TypeError, match="a task was expected"):
            Group([thing])
    assert (len(pool), pool.wait_available(timeout=0)) == (0, 1)
    with pytest.raises(TypeError, match="size must be an int"):
        Pool(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pool.spawn(5)
    assert pool.wait_available(timeout=0) == 1
    for method in (pool.imap, pool.imap_unordered):
        with pytest.raises(TypeError, match="must be callable"):
            method(5, [])
        with pytest.raises(TypeError, match="maxsize must be an int"):
            method(square, [], maxsize="1")
        with pytest.raises(ValueError, match="maxsize must not be negative"):
            method(square, [], maxsize=-1)
    for seconds in ("1", float("nan")):
        with pytest.raises((TypeError, ValueError), match="seconds"):
            pool.kill(timeout=seconds)
        pool.spawn(sleep)
        with pytest.raises((TypeError, ValueError), match="seconds"):
            pool.join(timeout=seconds)
        pool.join()


def test_a_coroutine_that_is_no_task_as_a_member(clean_loop: None) -> None:
    group = Group()
    coroutine = spawn_raw(Event().wait)
    sleep(0)
    group.add(coroutine)
    group.kill()
    sleep(0)
    assert (coroutine.dead, coroutine in group) == (True, True)
    group.discard(coroutine)
    assert len(group) == 0


def test_errors_of_map_and_imap_are_not_reported(
    clean_loop: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(number: int) -> float:
        return 1 / number

    pool = Pool(2)
    for function in (pool.map, pool.imap, pool.imap_unordered):
        with pytest.raises(ZeroDivisionError) as caught:
            list(function(call, [0, 0, 0]))
        assert caught.traceback[-1].name == "call"
    pool.join()
    gc.collect()
    assert capsys.readouterr() == ("", "")


def test_an_error_of_map_leaves_no_cycle(clean_loop: None) -> None:
    class Mine(Exception):
        alive = 0

        def __init__(self) -> None:
            Mine.alive += 1

        def __del__(self) -> None:
            Mine.alive -= 1

    def call(number: int) -> None:
        raise Mine

    def fail(function: Any) -> bool:
        try:
            list(function(call, [1]))
        except Mine:
            return True
        return False

    gc.collect()
    gc.disable()
    try:
        pool = Pool(2)
        for function in (pool.map, pool.imap, pool.imap_unordered):
            assert fail(function)
            sleep(0)
            assert (function.__name__, Mine.alive) == (function.__name__, 0)
    finally:
        gc.enable()


def test_stop_iteration_of_the_function_is_no_end(clean_loop: None) -> None:
    def call(number: int) -> int:
        if number == 1:
            raise StopIteration
        return number

    pool = Pool(1)
    for results in (pool.imap(call, range(3)), pool.imap_unordered(call, range(3))):
        assert next(results) == 0
        with pytest.raises(RuntimeError, match="StopIteration"):
            next(results)
        assert list(results) == [2]


@pytest.mark.parametrize("make", [Group, lambda: Pool(3)], ids=["Group", "Pool"])
@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
@pytest.mark.parametrize("maxsize", [None, 4])
def test_items_without_end(clean_loop: None, make: Any, name: str, maxsize: int | None) -> None:
    pool = make()
    results = getattr(pool, name)(square, itertools.count(), maxsize=maxsize)
    assert [next(results) for _ in range(200)] == [square(number) for number in range(200)]
    del results  # its feeder goes with it: clean_loop looks
    sleep(0)
    pool.join()


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_the_feeder_ends_with_its_consumer(clean_loop: None, name: str) -> None:
    pool = Pool(2)
    never = Event()
    log = []

    def items() -> Iterator[int]:
        try:
            yield from range(4)
            never.wait()
        finally:
            log.append("items closed")

    def consume() -> None:
        for number in getattr(pool, name)(square, items(), maxsize=2):
            log.append(number)

    consumer = spawn(consume)
    for _ in range(20):
        sleep(0)
    assert log == [0, 1, 4, 9]
    consumer.kill()
    sleep(0)
    assert log == [0, 1, 4, 9, "items closed"]
    assert pool.free_count() == 2


def test_results_that_nobody_takes_hold_up_no_call(clean_loop: None) -> None:
    pool = Pool(2)
    results = pool.imap_unordered(square, range(100), maxsize=2)
    for _ in range(10):
        sleep(0)
    assert pool.free_count() == 2  # while two results wait
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    assert sum(results) == sum(map(square, range(100)))


def test_a_consumer_that_gives_up_leaves_its_result_to_others(clean_loop: None) -> None:
    for name in ("imap", "imap_unordered"):
        pool = Pool(2)
        event = Event()

        def call(number: int, event: Event = event) -> int:
            event.wait()
            return number

        results = getattr(pool, name)(call, [1, 2], maxsize=1)
        first = spawn(next, results)
        sleep(0)
        with pytest.raises(pycoro.Timeout), pycoro.Timeout(0.001):
            next(results)
        first.kill()
        event.set()
        assert list(results) == [1, 2]


def test_several_consumers_get_each_result_once(clean_loop: None) -> None:
    for name in ("imap", "imap_unordered"):
        pool = Pool(3)

        def call(number: int) -> int:
            sleep(0)
            return number

        results = getattr(pool, name)(call, range(50), maxsize=4)
        consumers = [spawn(list, results) for _ in range(4)]
        taken = [consumer.get() for consumer in consumers]
        assert sorted(itertools.chain(*taken)) == list(range(50))


def test_closing_the_results(clean_loop: None) -> None:
    for name in ("imap", "imap_unordered"):
        pool = Pool(2)
        results = getattr(pool, name)(square, itertools.count(), maxsize=3)
        assert next(results) == 0
        waiting = spawn(list, getattr(pool, name)(Event().wait, [1]))
        results.close()
        results.close()
        assert list(results) == []
        assert "0 to be taken" in repr(results)
        waiting.kill()
        pool.kill()


def test_a_consumer_that_waits_goes_on_when_the_results_are_closed(clean_loop: None) -> None:
    for name in ("imap", "imap_unordered"):
        pool = Pool(2)
        results = getattr(pool, name)(lambda number: sleep(0.01), [1])
        consumer = spawn(list, results)
        sleep(0)
        sleep(0)
        results.close()
        assert consumer.get() == []
        pool.join()


def test_after_the_end_there_is_nothing_more(clean_loop: None) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError

    for name in ("imap", "imap_unordered"):
        results = getattr(Pool(2), name)(square, items())
        assert next(results) == 1
        with pytest.raises(KeyError):
            next(results)
        assert list(results) == []


def test_a_pool_shared_by_the_loops_of_several_threads() -> None:
    pool = Pool(3)
    running: list[int] = []
    most = []

    def call(number: int) -> int:
        running.append(number)
        most.append(len(running))
        sleep(0.0005)
        running.remove(number)
        return number

    def thread(number: int) -> list[int]:
        return list(pool.imap(call, range(number * 100, number * 100 + 20)))

    results = in_threads(thread, 4)
    assert results == [list(range(n * 100, n * 100 + 20)) for n in range(4)]
    assert max(most) <= 3
    assert (len(pool), pool.free_count()) == (0, 3)


def test_tasks_of_another_thread_are_not_killed_from_here() -> None:
    group = Group()
    task = pycoro.Greenlet(square, 2)
    group.add(task)
    with pytest.raises(InvalidThreadUseError):
        in_thread(group.kill)
    group.discard(task)
    assert (len(group), get_loop().ready.count(task)) == (0, 0)


def test_pool_full_says_why() -> None:
    with pytest.raises(PoolFull, match="all 0 places"):
        Pool(0).start(pycoro.Greenlet(square, 1), blocking=False)


def test_a_group_with_another_thread_s_task_kills_none() -> None:
    group = Group()
    foreign = in_thread(lambda: group.spawn(int))
    mine = [group.spawn(sleep, 1000) for _ in range(3)]
    pycoro.sleep(0)
    with pytest.raises(InvalidThreadUseError):
        group.kill()
    assert not group.dying
    group.discard(foreign)
    group.kill(timeout=10)
    assert all(task.ready() for task in mine)
