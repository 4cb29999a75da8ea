"""Killing: before the start, twice, oneself, one that swallows it, with other exceptions, many."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from peers import Api

import pycoro
from pycoro import Coroutine, _native


def fails(error: BaseException) -> None:
    raise error


class Custom(Exception):
    pass


# ---- one ----


def test_kill_before_the_start(api: Api) -> None:
    log: list[Any] = []
    tasks = [
        api.spawn(log.append, "ran"),
        api.spawn_later(0.001, log.append, "ran"),
        api.Greenlet(log.append, "ran"),
    ]
    for task in tasks:
        task.rawlink(log.append)
        task.kill()
        task.kill(block=False)
        task.kill(KeyError("too late"))
        assert bool(task.ready()) and bool(task.dead) and bool(task.successful())
        assert isinstance(task.get(), api.GreenletExit)
        task.start()
        task.start_later(0)
    api.sleep(0.005)
    assert log == tasks


def test_kill_with_an_exception_before_the_start(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [api.spawn(int), api.spawn(int), api.spawn(int)]
    tasks[0].kill(Custom)
    tasks[1].kill(Custom("why"))
    tasks[2].kill((Custom, Custom("three"), None))
    assert [str(task.exception) for task in tasks] == ["", "why", "three"]
    assert not any(task.successful() for task in tasks)
    for task in tasks:
        with pytest.raises(Custom):
            task.get()
    assert capsys.readouterr().err.count("Custom") >= 3


def test_kill_waits_for_the_end(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.sleep(1000)
        finally:
            api.sleep(0.001)
            log.append("cleaned up")

    task = api.spawn(work)
    api.sleep(0)
    task.kill(timeout=0)
    assert (log, bool(task.ready())) == ([], False)
    task.join()
    assert (log, bool(task.ready())) == (["cleaned up"], True)

    task = api.spawn(work)
    api.sleep(0)
    assert task.kill() is None
    assert (log, bool(task.ready())) == (["cleaned up"] * 2, True)


def test_kill_twice(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        for number in range(3):
            try:
                api.sleep(1000)
            except api.GreenletExit:
                log.append(f"kill {number}")

    task = api.spawn(work)
    api.sleep(0)
    for _ in range(3):
        task.kill(block=False)
        api.settle()
    assert log == ["kill 0", "kill 1", "kill 2"]
    assert task.value is None and task.successful()


def test_a_kill_that_is_swallowed(api: Api) -> None:
    def work() -> str:
        try:
            api.sleep(1000)
        except api.GreenletExit:
            return "survived"
        return "not killed"

    task = api.spawn(work)
    api.sleep(0)
    task.kill()
    assert task.get() == "survived"


def test_kill_of_oneself(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.getcurrent().kill()
        finally:
            log.append("finally")

    task = api.spawn(work)
    task.join()
    assert log == ["finally"]
    assert isinstance(task.value, api.GreenletExit)


@pytest.mark.parametrize("how", ["method", "function"])
def test_kill_of_oneself_takes_effect_at_the_next_wait(api: Api, how: str) -> None:
    log: list[str] = []

    def work() -> None:
        here = api.getcurrent()
        here.kill(block=False) if how == "method" else api.kill(here)
        log.append("goes on")
        api.sleep(1000)
        log.append("slept")

    task = api.spawn(work)
    task.join()
    assert log == ["goes on"]
    assert isinstance(task.value, api.GreenletExit)


def test_kill_with_any_exception(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [api.spawn(api.sleep, 1000) for _ in range(4)]
    api.sleep(0)
    error = Custom("instance")
    for task, exception in zip(
        tasks, (Custom, error, (Custom, error, None), api.Timeout(5)), strict=True
    ):
        task.kill(exception)
    assert [type(task.exception).__name__ for task in tasks] == ["Custom"] * 3 + ["Timeout"]
    assert tasks[1].exception is tasks[2].exception is error
    assert capsys.readouterr().err.count("Traceback") == 4


def test_kill_of_one_that_ends_meanwhile(api: Api) -> None:
    task = api.spawn(api.sleep, 0)
    api.sleep(0)
    task.kill(block=False)
    task.join()
    task.kill()
    assert task.ready()


def test_kill_while_it_waits_for_another(api: Api) -> None:
    log: list[str] = []
    inner = api.spawn(api.sleep, 1000)

    def waits() -> None:
        try:
            inner.join()
        except api.GreenletExit:
            log.append("killed in join")
        try:
            inner.get()
        except api.GreenletExit:
            log.append("killed in get")

    task = api.spawn(waits)
    for _ in range(2):
        api.settle()
        task.kill(block=False)
    task.join()
    assert log == ["killed in join", "killed in get"]
    assert not inner.has_links() and not inner.ready()
    inner.kill()


def test_kill_of_one_in_a_plain_switch(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.get_hub().switch()
        finally:
            log.append("finally")

    task = api.spawn(work)
    api.sleep(0)
    task.kill()
    assert log == ["finally"]
    assert isinstance(task.value, api.GreenletExit)


def test_kill_that_races_with_a_wake_up(api: Api) -> None:
    log: list[str] = []
    event = api.event.Event()

    def work() -> None:
        event.wait()
        log.append("woken")
        api.sleep(0)
        log.append("not here")

    task = api.spawn(work)
    api.sleep(0)
    event.set()
    task.kill()
    assert log in ([], ["woken"])  # gevent lets it go on first
    assert task.ready()


def test_a_cleaning_task_that_is_killed_again(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.sleep(1000)
        finally:
            try:
                api.sleep(1000)
            finally:
                log.append("inner finally")

    task = api.spawn(work)
    api.sleep(0)
    task.kill(block=False)
    api.settle()
    assert not task.ready()
    task.kill()
    assert log == ["inner finally"]


def test_the_killer_is_killed(api: Api) -> None:
    def stubborn() -> None:
        try:
            api.sleep(1000)
        except api.GreenletExit:
            api.sleep(1000)

    victim = api.spawn(stubborn)
    api.sleep(0)
    killer = api.spawn(victim.kill)
    api.settle()
    killer.kill()
    assert killer.ready() and not victim.ready()
    victim.kill()


def test_kill_function_on_any_coroutine(api: Api) -> None:
    log: list[Any] = []

    def work(name: str) -> None:
        log.append(name)
        try:
            api.sleep(1000)
        finally:
            log.append(f"{name} ends")

    started = api.spawn_raw(work, "started")
    api.sleep(0)
    unstarted = api.spawn_raw(work, "unstarted")
    task = api.spawn(work, "task")
    for one in (started, unstarted, task, started):
        api.kill(one)
    api.settle()
    if not api.is_gevent:  # which starts a raw one, to kill it then
        assert log == ["started", "started ends"]
    assert started.dead and unstarted.dead and task.dead
    api.kill(started)


def test_kill_function_on_the_main_program(api: Api) -> None:
    main = api.getcurrent()
    api.spawn(api.kill, main, Custom("for main"))
    with pytest.raises(Custom, match="for main"):
        api.sleep(1000)


def test_the_loop_cannot_be_killed() -> None:
    with pytest.raises(RuntimeError, match="the loop cannot be killed"):
        pycoro.kill(pycoro.get_loop())
    never = Coroutine(print)
    pycoro.kill(never)
    assert never.dead


# ---- many ----


def test_killall_on_mixed_states(api: Api) -> None:
    log: list[str] = []

    def work(name: str) -> None:
        try:
            api.sleep(1000)
        finally:
            log.append(name)

    ended = api.spawn(int)
    waiting = [api.spawn(work, "waits 1"), api.spawn(work, "waits 2")]
    api.sleep(0)
    others = [
        api.spawn(work, "starting"),
        api.spawn_later(1000, work, "later"),
        api.Greenlet(work, "unstarted"),
    ]
    everything = [ended, waiting[1], *others, waiting[0]]
    assert api.killall(everything) is None
    assert all(task.ready() for task in everything)
    assert log == ["waits 2", "waits 1"]
    api.killall(everything)
    api.killall([])
    api.killall(iter(everything))
    api.killall(set(everything), block=False)


def test_killall_without_waiting(api: Api) -> None:
    tasks = [api.spawn(api.sleep, 1000) for _ in range(3)]
    api.sleep(0)
    api.killall(tasks, block=False)
    assert not any(task.ready() for task in tasks)
    api.joinall(tasks)
    assert all(isinstance(task.value, api.GreenletExit) for task in tasks)


def test_killall_with_an_exception(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [api.spawn(api.sleep, 1000), api.spawn(api.sleep, 1000)]
    api.sleep(0)
    tasks.append(api.spawn(api.sleep, 1000))
    api.killall(tasks, Custom)
    assert [type(task.exception) for task in tasks] == [Custom] * 3
    capsys.readouterr()


def test_killall_that_takes_too_long(api: Api) -> None:
    def stubborn() -> None:
        try:
            api.sleep(1000)
        except api.GreenletExit:
            api.sleep(1000)

    tasks = [api.spawn(stubborn), api.spawn(api.sleep, 1000)]
    api.sleep(0)
    with pytest.raises(api.Timeout):
        api.killall(tasks, timeout=0.01)
    assert [bool(task.ready()) for task in tasks] == [False, True]
    api.killall(tasks)


def test_killall_of_raw_ones(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.sleep(1000)
        finally:
            log.append("ends")

    raws = [api.spawn_raw(work)]
    api.sleep(0)
    raws.append(api.spawn_raw(work))
    task = api.spawn(work)
    api.killall([*raws, task])
    assert log == (["ends", "ends"] if api.is_gevent else ["ends"])  # there both have started
    assert all(one.dead for one in [*raws, task])


def test_killall_with_oneself_among_them(api: Api) -> None:
    log: list[str] = []

    def work() -> None:
        try:
            api.sleep(1000)
        finally:
            log.append("other ends")

    def killer() -> None:
        try:
            api.killall([other, api.getcurrent()])
        finally:
            log.append("killer ends")

    other = api.spawn(work)
    api.sleep(0)
    task = api.spawn(killer)
    api.joinall([other, task])
    assert sorted(log) == ["killer ends", "other ends"]
    assert isinstance(task.value, api.GreenletExit)


def test_killall_of_oneself_without_waiting(api: Api) -> None:
    log: list[str] = []

    def killer() -> None:
        api.killall([api.getcurrent()], block=False)
        log.append("goes on")
        api.sleep(1000)

    task = api.spawn(killer)
    task.join()
    assert log == ["goes on"]
    assert isinstance(task.value, api.GreenletExit)


def test_a_killed_crowd_leaves_nothing_behind() -> None:
    gc.collect()
    before = _native.count_in_use()
    tasks = [pycoro.spawn(pycoro.sleep, 1000) for _ in range(500)]
    pycoro.sleep(0)
    tasks += [pycoro.spawn(pycoro.sleep, 1000) for _ in range(500)]
    tasks += [pycoro.spawn_later(1000, pycoro.sleep) for _ in range(500)]
    pycoro.killall(tasks)
    assert all(task.ready() for task in tasks)
    assert len(list(pycoro.get_loop()._timers)) == 0
    pycoro.sleep(0)
    assert _native.count_in_use() == before
