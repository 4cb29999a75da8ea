"""Waiting for several: joinall(), wait(), iwait(), over tasks and whatever else can be linked; and
idle(), sleep()."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from peers import Api

import pycoro
from pycoro import ConcurrentObjectUseError


def fails(error: BaseException) -> None:
    raise error


def ends_after(api: Api, *turns: int) -> list[Any]:
    """Tasks that end after that many turns, whose value is their place."""

    def work(place: int, turns: int) -> int:
        for _ in range(turns):
            api.sleep(0)
        return place

    return [api.spawn(work, place, count) for place, count in enumerate(turns)]


def places(tasks: list[Any]) -> list[int]:
    return [task.value for task in tasks]


# ---- joinall and wait ----


@pytest.mark.parametrize("function", ["joinall", "wait"])
def test_in_the_order_of_their_ends(api: Api, function: str) -> None:
    wait = getattr(api, function)
    tasks = ends_after(api, 9, 3, 6)
    assert places(wait(tasks)) == [1, 2, 0]
    assert places(wait(tasks)) == [0, 1, 2]  # which have ended before
    assert wait([]) == []


@pytest.mark.parametrize("function", ["joinall", "wait"])
def test_a_count(api: Api, function: str) -> None:
    wait = getattr(api, function)
    tasks = ends_after(api, 9, 3, 6)
    assert wait(tasks, count=0) == []
    assert places(wait(tasks, count=1)) == [1]
    assert places(wait(tasks, count=2)) == [1, 2]
    assert sorted(places(wait(tasks, count=9))) == [0, 1, 2]
    if not api.is_gevent:  # whose order is any, of those that have ended before
        assert places(wait(tasks, count=2)) == [0, 1]


@pytest.mark.parametrize("function", ["joinall", "wait"])
def test_a_timeout(api: Api, function: str) -> None:
    wait = getattr(api, function)
    task, endless = *ends_after(api, 3), api.spawn(api.sleep, 1000)
    assert wait([endless, task], timeout=0.01) == [task]
    assert wait([endless], timeout=0) == []
    assert wait([endless, task], timeout=0.001) == [task]
    endless.kill()
    assert wait([endless, task], timeout=1) == [endless, task]


def test_ready_ones_count_without_any_time(api: Api) -> None:
    event = api.event.Event()
    event.set()
    lock = api.lock.Semaphore(1)
    result = api.event.AsyncResult()
    result.set(5)
    assert sorted(map(id, api.wait([event, lock, result]))) == sorted(
        map(id, [event, lock, result])
    )
    assert lock.locked() is False
    if not api.is_gevent:  # which is not sure to look at them before the time is over
        assert api.wait([event, lock, result], timeout=0) == [event, lock, result]


def test_what_else_can_be_waited_for(api: Api) -> None:
    event, result = api.event.Event(), api.event.AsyncResult()
    lock = api.lock.Semaphore(0)
    task = api.spawn(int)

    def work() -> None:
        for call in (lock.release, lambda: result.set("x"), event.set):
            call()
            api.sleep(0.001)

    worker = api.spawn(work)
    assert api.wait([event, result, task, lock]) == [task, lock, result, event]
    worker.join()


def test_something_of_ones_own(api: Api) -> None:
    class Thing:
        links: list[Callable[[Any], None]]

        def rawlink(self, callback: Callable[[Any], None]) -> None:
            self.links = [callback]

        def unlink(self, callback: Callable[[Any], None]) -> None:
            self.links.remove(callback)

    one, other = Thing(), Thing()
    hub = api.get_hub()
    call_soon = hub.loop.run_callback if api.is_gevent else hub.call_soon
    waiter = api.spawn(api.wait, [one, other], count=1)
    api.sleep(0)
    call_soon(one.links[0], one)
    assert waiter.get() == [one]
    assert other.links == []


def test_one_that_is_given_twice(api: Api) -> None:
    tasks = ends_after(api, 6, 3)
    assert places(api.joinall([tasks[0], tasks[1], tasks[0]])) == [1, 0, 0]
    assert sorted(places(api.joinall([tasks[0], tasks[1], tasks[0]]))) == [0, 0, 1]


def test_the_first_error_is_raised(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    good, endless = *ends_after(api, 1), api.spawn(api.sleep, 1000)
    early, late = (
        api.spawn(fails, KeyError("early")),
        api.spawn_later(0.001, fails, OSError("late")),
    )
    with pytest.raises(KeyError, match="early"):
        api.joinall([late, endless, good, early], raise_error=True)
    with pytest.raises(KeyError, match="early"):
        api.joinall([early], raise_error=True)
    with pytest.raises(OSError, match="late"):
        api.joinall([late, endless, good], raise_error=True)
    assert api.joinall([endless, good], raise_error=True, timeout=0.001) == [good]
    assert api.joinall([early, late]) == [early, late]
    endless.kill()
    assert set(api.joinall([good, endless], raise_error=True)) == {good, endless}
    assert capsys.readouterr().err.count("KeyError: 'early'") == 1


def test_an_error_beyond_the_count_is_not_raised(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = *ends_after(api, 0), api.spawn_later(0.001, fails, KeyError("bad"))
    assert api.joinall([good, bad], raise_error=True, count=1) == [good]
    bad.join()
    capsys.readouterr()


def test_the_error_of_a_result_is_raised(api: Api) -> None:
    result = api.event.AsyncResult()
    result.set_exception(KeyError("of the result"))
    with pytest.raises(KeyError, match="of the result"):
        api.joinall([result], raise_error=True)


def test_one_that_is_killed_while_it_waits_leaves_no_links(api: Api) -> None:
    tasks = ends_after(api, 9, 9)
    event = api.event.Event()
    waiter = api.spawn(api.wait, [*tasks, event])
    api.sleep(0)
    assert tasks[0].has_links() and event.linkcount() == 1
    waiter.kill()
    assert not tasks[0].has_links() and event.linkcount() == 0
    api.joinall(tasks)


def test_bad_arguments() -> None:
    task = pycoro.spawn(int)
    event = pycoro.get_loop()
    for bad, error in (
        (lambda: pycoro.wait([task, 5]), TypeError),
        (lambda: pycoro.joinall([task, event]), TypeError),
        (lambda: pycoro.wait(5), TypeError),
        (lambda: pycoro.wait([task], timeout="1"), TypeError),
        (lambda: pycoro.wait([task], timeout=float("nan")), ValueError),
        (lambda: pycoro.wait([task], timeout=-1), ValueError),
        (lambda: pycoro.wait(None, timeout="1"), TypeError),
        (lambda: pycoro.wait(None, timeout=-1), ValueError),
        (lambda: pycoro.iwait(None, timeout=-1), ValueError),
        (lambda: pycoro.iwait([task], timeout="1"), TypeError),
        (lambda: pycoro.wait([task], count=-1), ValueError),
        (lambda: pycoro.iwait([task], count=1.5), TypeError),
        (lambda: list(pycoro.iwait([task, "x"])), TypeError),
        (lambda: pycoro.killall([task, "x"]), TypeError),
        (lambda: pycoro.killall([task], timeout="x"), TypeError),
        (lambda: pycoro.kill(5), TypeError),
        (lambda: pycoro.kill(task, 5), TypeError),
        (lambda: pycoro.idle("x"), TypeError),
        (lambda: task.join(timeout="x"), TypeError),
        (lambda: task.join(timeout=-1), ValueError),
        (lambda: task.get(timeout=float("nan")), ValueError),
        (lambda: task.get(timeout=-1), ValueError),
        (lambda: task.result(timeout=-1), ValueError),
        (lambda: task.kill(timeout=-1), ValueError),
        (lambda: pycoro.killall([task], timeout=-1), ValueError),
        (lambda: pycoro.spawn_later(-1, int), ValueError),
        (lambda: task.kill(timeout="x"), TypeError),
        (lambda: task.start_later(None), TypeError),
        (lambda: pycoro.spawn_later("x", int), TypeError),
        (lambda: pycoro.sleep("x"), TypeError),
        (lambda: pycoro.sleep(-1), ValueError),
        (lambda: pycoro.sleep(float("nan")), ValueError),
    ):
        with pytest.raises(error):
            bad()
    assert not task.has_links()
    assert pycoro.wait([task]) == [task]


# ---- iwait ----


def test_iwait_gives_them_one_after_another(api: Api) -> None:
    tasks = ends_after(api, 9, 3, 6)
    log: list[Any] = []
    for task in api.iwait(tasks):
        log.append((task.value, [bool(other.ready()) for other in tasks]))
    assert log == [
        (1, [False, True, False]),
        (2, [False, True, True]),
        (0, [True, True, True]),
    ]
    assert places(list(api.iwait(tasks, count=2))) == [0, 1]
    assert list(api.iwait([])) == []


def test_iwait_with_a_timeout_for_all(api: Api) -> None:
    quick, endless = *ends_after(api, 0), api.spawn(api.sleep, 1000)
    log: list[Any] = []
    for task in api.iwait([endless, quick], timeout=0.01):
        log.append(task)
        api.sleep(0.02)
    assert log == [quick]
    endless.kill()


def test_iwait_left_early(api: Api) -> None:
    tasks = ends_after(api, 9, 0, 9)
    with api.iwait(tasks) as waits:
        for task in waits:
            assert task is tasks[1]
            break
        assert tasks[0].has_links()
    assert not tasks[0].has_links()
    api.joinall(tasks)
    if not api.is_gevent:  # where it waits for ever
        assert list(waits) == []


def test_iwait_that_is_dropped_leaves_no_links() -> None:
    event = pycoro.event.Event()
    waits = pycoro.iwait([event, pycoro.spawn(int)])
    assert next(waits).value == 0
    assert event.linkcount() == 1
    del waits
    gc.collect()
    assert event.linkcount() == 0


def test_iwait_does_nothing_before_it_is_asked(api: Api) -> None:
    task = api.spawn(int)
    waits = api.iwait([task])
    assert not task.has_links()
    assert next(iter(waits)) is task


def test_iwait_by_two_at_once_is_refused() -> None:
    event = pycoro.event.Event()
    waits = pycoro.iwait([event])
    waiter = pycoro.spawn(next, waits)
    pycoro.sleep(0)
    with pytest.raises(ConcurrentObjectUseError, match="waits for these objects already"):
        next(waits)
    event.set()
    assert waiter.get() is event


def test_objects_of_other_threads() -> None:
    event, result = pycoro.event.Event(), pycoro.event.AsyncResult()

    def work() -> None:
        event.set()
        result.set("from a thread")

    waiter = pycoro.spawn(pycoro.wait, [result, event])
    pycoro.sleep(0)
    thread = threading.Thread(target=work)
    thread.start()
    assert waiter.get(timeout=10) == [event, result]
    thread.join()


# ---- all there is to do ----


def test_wait_for_all_there_is_to_do(api: Api) -> None:
    log: list[Any] = []
    tasks = ends_after(api, 3)
    tasks.append(api.spawn_later(0.005, log.append, "later"))
    assert api.wait(timeout=0.001) is False
    assert log == []
    assert api.wait() is True
    assert (log, [bool(task.ready()) for task in tasks]) == (["later"], [True, True])
    assert api.iwait(None) == [True]


def test_a_sleep_that_nobody_waits_for(api: Api) -> None:
    sleeper = api.spawn(api.sleep, 1000, ref=False)
    timeout = api.spawn(lambda: api.Timeout(1000, ref=False).start())
    assert api.wait() is True
    assert not sleeper.ready() and timeout.ready()
    sleeper.kill()
    if not api.is_gevent:  # where it is a deadlock
        api.sleep(0.001, ref=False)
        for timer in pycoro.get_loop()._timers:
            timer.cancel()


# ---- idle ----


def test_idle_goes_on_when_all_others_wait(api: Api) -> None:
    log: list[str] = []

    def busy() -> None:
        for _ in range(5):
            api.sleep(0)
            log.append("busy")

    def waits() -> None:
        api.idle()
        log.append("idle")

    tasks = [api.spawn(waits), api.spawn(busy), api.spawn(api.sleep, 0.02)]
    api.joinall(tasks)
    assert log == ["busy"] * 5 + ["idle"]


def test_idle_by_priority() -> None:
    log: list[int] = []

    def waits(priority: int) -> None:
        pycoro.idle(priority)
        log.append(priority)
        pycoro.sleep(0)

    pycoro.joinall([pycoro.spawn(waits, priority) for priority in (0, 2, 1, 2)])
    assert log == [2, 2, 1, 0]


def test_idle_lets_due_timers_and_descriptors_go_first() -> None:
    log: list[str] = []
    one, other = pycoro.socket.socketpair()
    reader = pycoro.spawn(lambda: log.append(one.recv(1).decode()))
    late = pycoro.spawn_later(0, log.append, "due")
    idler = pycoro.spawn(lambda: (pycoro.idle(), log.append("idle")))
    other.send(b"x")
    pycoro.joinall([reader, late, idler])
    assert log[-1] == "idle"
    assert sorted(log) == ["due", "idle", "x"]
    one.close()
    other.close()


def test_idle_that_is_killed(api: Api) -> None:
    idler = api.spawn(api.idle)
    api.sleep(0)
    idler.kill()
    assert idler.successful()
    api.idle()


@pytest.mark.parametrize("seconds", [None, "", [], "1", object()])
def test_a_sleep_takes_a_number(api: Api, seconds: Any) -> None:
    with pytest.raises(TypeError):
        api.sleep(seconds)
