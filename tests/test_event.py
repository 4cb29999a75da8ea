"""Event and AsyncResult, as gevent has them; and between threads, which gevent's are not for."""

from __future__ import annotations

import sys
import threading
import traceback
import weakref
from typing import Any

import pytest
from helpers import in_thread
from peers import Api

import pycoro
from pycoro.event import AsyncResult, Event

# ---- Event ----


def test_set_wakes_all_in_their_order_and_later_ones_do_not_wait(api: Api) -> None:
    event = api.event.Event()
    log: list[Any] = []

    def waits(number: int) -> None:
        log.append((number, event.wait()))

    tasks = [api.spawn(waits, number) for number in range(5)]
    api.settle()
    assert (log, event.is_set(), event.isSet(), event.ready()) == ([], False, False, False)
    event.set()
    assert log == []
    api.joinall(tasks)
    assert log == [(number, True) for number in range(5)]
    assert (event.wait(), event.wait(timeout=0), event.is_set()) == (True, True, True)
    event.set()
    event.clear()
    assert (event.is_set(), event.ready(), event.wait(0)) == (False, False, False)


def test_who_was_woken_is_told_true_though_it_has_been_cleared(api: Api) -> None:
    event = api.event.Event()
    tasks = [api.spawn(event.wait) for _ in range(3)]
    limited = api.spawn(event.wait, 1000)
    api.settle()
    event.set()
    event.clear()
    api.joinall([*tasks, limited])
    assert [task.value for task in [*tasks, limited]] == [True] * 4
    assert event.wait(0) is False


def test_who_comes_after_clear_waits_for_the_next_set(api: Api) -> None:
    event = api.event.Event()
    log: list[str] = []

    def waits(name: str) -> None:
        event.wait()
        log.append(name)

    first = api.spawn(waits, "first")
    api.settle()
    event.set()
    event.clear()
    second = api.spawn(waits, "second")
    first.join()
    api.settle()
    assert (log, second.ready()) == (["first"], False)
    event.set()
    second.join()
    assert log == ["first", "second"]


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_the_time_is_over_first(api: Api, timeout: float) -> None:
    event = api.event.Event()
    assert event.wait(timeout) is False
    assert event.wait(timeout=timeout) is False
    task = api.spawn(event.wait)
    assert event.wait(timeout) is False
    event.set()
    assert task.get() is True


def test_others_run_while_one_waits_no_time(api: Api) -> None:
    event = api.event.Event()
    log: list[str] = []
    api.spawn(log.append, "other")
    event.wait(0)
    assert log == ["other"]


def test_set_comes_in_time_though_it_is_the_last_moment(api: Api) -> None:
    event = api.event.Event()
    api.spawn(event.set)
    assert event.wait(0.0001) is True


def test_bad_timeouts_are_refused_where_it_would_wait() -> None:
    event, result = Event(), AsyncResult()
    for wait in (event.wait, result.wait, lambda timeout: result.get(timeout=timeout)):
        with pytest.raises(TypeError, match="timeout must be a number of seconds, not str"):
            wait("soon")
        with pytest.raises(ValueError, match="not NaN"):
            wait(float("nan"))
    assert (event.linkcount(), result.linkcount()) == (0, 0)
    event.set()
    assert event.wait("soon") is True  # type: ignore[arg-type]  # as with gevent and threading


def test_killed_and_timed_out_waiters_leave_the_others_alone(api: Api) -> None:
    event = api.event.Event()
    log: list[str] = []

    def waits(name: str) -> None:
        try:
            event.wait()
            log.append(name)
        except api.GreenletExit:
            log.append(f"{name} killed")

    def is_limited() -> None:
        timeout = api.Timeout.start_new(0.001)
        try:
            event.wait()
        except api.Timeout as error:
            log.append(f"limited {error is timeout}")

    tasks = [api.spawn(waits, "a"), api.spawn(waits, "b"), api.spawn(is_limited)]
    api.settle()
    assert event.linkcount() == 3
    tasks[0].kill()
    tasks[2].join()
    assert (log, event.linkcount()) == (["a killed", "limited True"], 1)
    event.set()
    tasks[1].kill(block=False)  # woken already, and killed all the same
    api.joinall(tasks)
    assert log[2:] in (["b"], ["b killed"])
    assert event.linkcount() == 0


def test_links_are_called_once_each_also_where_it_is_set_already(api: Api) -> None:
    event = api.event.Event()
    log: list[Any] = []

    def link(source: Any) -> None:
        log.append(source is event)

    def never(source: Any) -> None:
        log.append("never")

    event.rawlink(link)
    event.rawlink(never)
    event.unlink(never)
    event.unlink(print)
    api.settle()
    assert log == []
    event.set()
    event.clear()
    api.settle()
    event.set()
    api.settle()
    assert log == [True]
    event.rawlink(link)
    api.settle()
    assert log == [True, True]
    with pytest.raises(TypeError, match="callable"):
        event.rawlink("nonsense")


def test_an_error_in_a_link_does_not_stop_the_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = api.event.Event()
    log: list[Any] = []

    def told(context: Any, kind: Any, value: Any, tb: Any) -> None:
        log.append(kind)

    monkeypatch.setattr(api.get_hub(), "handle_error", told)
    event.rawlink(lambda source: 1 / 0)
    event.rawlink(lambda source: log.append("second"))
    event.set()
    api.settle()
    assert log == [ZeroDivisionError, "second"]


@pytest.mark.parametrize("kind", ["Event", "AsyncResult"])
def test_a_link_may_unlink_those_of_the_same_occasion(api: Api, kind: str) -> None:
    log: list[str] = []
    source = getattr(api.event, kind)()

    def link(name: str, other: str) -> Any:
        def call(_source: object) -> None:
            log.append(name)
            source.unlink(links[other])

        return call

    links = {"first": link("first", "second"), "second": link("second", "first")}
    links["third"] = link("third", "third")
    for one in links.values():
        source.rawlink(one)
    source.set()
    assert log == []
    api.settle()
    assert log == ["first", "third"]


def test_a_link_may_link_and_unlink(api: Api) -> None:
    event = api.event.Event()
    log: list[str] = []

    def again(source: Any) -> None:
        log.append("again")
        if len(log) < 4:
            source.rawlink(again)

    event.rawlink(again)
    event.set()
    api.settle(10)
    assert log == ["again"] * 4


def test_two_events_play_ping_pong(api: Api) -> None:
    ping, pong = api.event.Event(), api.event.Event()
    log: list[str] = []

    def plays(name: str, mine: Any, other: Any) -> None:
        for _ in range(3):
            mine.wait()
            mine.clear()
            log.append(name)
            other.set()

    tasks = [api.spawn(plays, "ping", ping, pong), api.spawn(plays, "pong", pong, ping)]
    ping.set()
    api.joinall(tasks)
    assert log == ["ping", "pong"] * 3


def test_a_callback_of_the_loop_must_not_wait() -> None:
    event = Event()
    log: list[Any] = []

    def callback() -> None:
        try:
            event.wait()
        except RuntimeError as error:
            log.append(str(error))

    pycoro.get_loop().call_soon(callback)
    pycoro.sleep(0)
    assert "spawn a task" in log[0]
    assert event.linkcount() == 0


def test_an_event_has_weak_references_and_a_repr(api: Api) -> None:
    event = api.event.Event()
    reference = weakref.ref(event)
    assert "clear" in str(event)
    event.set()
    assert " set " in str(event)
    del event
    assert reference() is None


def test_a_subclass_may_have_its_own_state(api: Api) -> None:
    class Named(api.event.Event):  # type: ignore[misc, name-defined]
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    event = Named("n")
    task = api.spawn(event.wait)
    api.settle()
    event.set()
    assert (task.get(), event.name) == (True, "n")


# ---- AsyncResult ----


def test_a_value_for_all_who_wait_and_who_come_later(api: Api) -> None:
    result = api.event.AsyncResult()
    assert (bool(result.ready()), result.successful(), result.value) == (False, False, None)
    assert (result.exception, result.exc_info, bool(result.done())) == (None, (), False)
    tasks = [api.spawn(result.get) for _ in range(2)] + [api.spawn(result.wait)]
    api.settle()
    result.set("value")
    assert [task.get() for task in tasks] == ["value"] * 3
    assert (result.get(), result.wait(), result.get_nowait(), result.result()) == ("value",) * 4
    assert (bool(result.ready()), result.successful(), result.value) == (True, True, "value")
    assert (result.exception, result.exc_info, bool(result.done())) == (None, (), True)


def test_none_is_a_value(api: Api) -> None:
    result = api.event.AsyncResult()
    task = api.spawn(result.get)
    api.settle()
    result.set()
    assert (task.get(), result.get(), result.successful()) == (None, None, True)
    other = api.event.AsyncResult()
    other.set_result(3)
    assert other.get() == 3


def test_an_error_is_raised_in_all_who_get_it(api: Api) -> None:
    result = api.event.AsyncResult()
    error = ValueError("the error")
    log: list[Any] = []

    def gets() -> None:
        try:
            result.get()
        except ValueError as caught:
            log.append(caught is error)

    tasks = [api.spawn(gets) for _ in range(2)]
    waiter = api.spawn(result.wait)
    api.settle()
    result.set_exception(error)
    api.joinall([*tasks, waiter])
    assert (log, waiter.value) == ([True, True], None)
    assert (bool(result.ready()), result.successful(), result.exception) == (True, False, error)
    assert result.exc_info[:2] == (ValueError, error)
    assert result.wait() is None
    with pytest.raises(ValueError, match="the error"):
        result.get_nowait()


def test_the_traceback_leads_to_where_it_was_raised_however_often_it_is_got(api: Api) -> None:
    result = api.event.AsyncResult()

    def fails() -> None:
        raise ValueError("deep")

    try:
        fails()
    except ValueError as error:
        result.set_exception(error, sys.exc_info())
    lengths = []
    for _ in range(3):
        try:
            result.get()
        except ValueError as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            lengths.append(len(names))
            assert names[-1] == "fails"
            assert (
                names[0]
                == "test_the_traceback_leads_to_where_it_was_raised_however_often_it_is_got"
            )
    assert lengths[0] == lengths[1] == lengths[2]
    kind, error, tb = result.exc_info
    assert (kind, str(error), traceback.extract_tb(tb)[-1].name) == (ValueError, "deep", "fails")


def test_the_last_value_counts_before_the_last_error(api: Api) -> None:
    result = api.event.AsyncResult()
    result.set_exception(ValueError("first"))
    result.set(1)
    assert (result.get(), result.successful()) == (1, True)
    result.set_exception(KeyError("later"))
    result.set(2)
    assert (result.get(), result.successful()) == (2, True)
    assert isinstance(result.exception, KeyError)


def test_an_error_that_is_none_is_refused_and_nothing_changes() -> None:
    """gevent takes anything, and fails in get() or hangs."""
    result = AsyncResult()
    for nonsense in ("nonsense", None, 3, object):
        with pytest.raises(TypeError, match="exceptions must be"):
            result.set_exception(nonsense)  # type: ignore[arg-type]
    assert not result.ready()
    result.set_exception(KeyError)  # a class will do
    with pytest.raises(KeyError):
        result.get()


def test_get_is_a_timeout_where_the_time_is_over(api: Api) -> None:
    result = api.event.AsyncResult()
    with pytest.raises(api.Timeout, match=r"^0\.001 seconds$"):
        result.get(timeout=0.001)
    with pytest.raises(api.Timeout, match=r"^0 seconds$"):
        result.result(timeout=0)
    for at_once in (result.get_nowait, lambda: result.get(block=False), lambda: result.get(False)):
        with pytest.raises(api.Timeout):
            at_once()
    assert (result.wait(timeout=0), result.wait(timeout=0.001)) == (None, None)
    assert result.linkcount() == 0


def test_one_that_is_killed_does_not_get_it(api: Api) -> None:
    result = api.event.AsyncResult()
    killed, other = api.spawn(result.get), api.spawn(result.get)
    api.settle()
    killed.kill()
    assert result.linkcount() == 1
    result.set(1)
    assert other.get() == 1
    assert isinstance(killed.value, api.GreenletExit)


def test_it_takes_over_the_end_of_a_task(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.get_hub(), "handle_error", lambda *args: None)

    def fails() -> None:
        raise KeyError("failed")

    good, bad, copy = (api.event.AsyncResult() for _ in range(3))
    api.spawn(lambda: "value").link(good)
    api.spawn(fails).link(bad)
    good.rawlink(copy)
    assert (good.get(), copy.get()) == ("value", "value")
    with pytest.raises(KeyError, match="failed"):
        bad.get()
    assert bad.exc_info[0] is KeyError


def test_links_of_a_result(api: Api) -> None:
    result = api.event.AsyncResult()
    log: list[Any] = []
    result.rawlink(lambda source: log.append(source.value))
    result.rawlink(log.append)
    result.unlink(log.append)
    result.set(1)
    api.settle()
    result.rawlink(lambda source: log.append("late"))
    api.settle()
    assert log == [1, "late"]
    with pytest.raises(TypeError, match="callable"):
        result.rawlink(None)


def test_it_cannot_be_cancelled(api: Api) -> None:
    result = api.event.AsyncResult()
    assert (result.cancel(), result.cancelled()) == (False, False)
    result.set(1)
    assert (result.cancel(), result.cancelled(), result.get()) == (False, False, 1)


def test_reprs_of_a_result() -> None:
    result = AsyncResult()
    assert repr(result).startswith("<AsyncResult unset links[0] ")
    result.set_exception(ValueError("x"))
    assert "exception=ValueError('x')" in repr(result)
    result.set(3)
    assert "value=3" in repr(result)


# ---- threads ----


def test_a_thread_without_coroutines_sets_what_a_task_waits_for() -> None:
    event, result = Event(), AsyncResult()
    tasks = [pycoro.spawn(event.wait), pycoro.spawn(result.get)]
    pycoro.sleep(0)
    in_thread(event.set)
    in_thread(lambda: result.set("from afar"))
    pycoro.joinall(tasks)
    assert [task.value for task in tasks] == [True, "from afar"]


def test_a_thread_waits_for_what_a_task_sets() -> None:
    ready, event, result = threading.Event(), Event(), AsyncResult()
    log: list[Any] = []

    def waits() -> None:
        ready.set()
        log.append(event.wait())
        log.append(result.get())

    worker = threading.Thread(target=waits)
    worker.start()
    ready.wait()
    pycoro.spawn(event.set).join()
    pycoro.spawn(result.set, "value").join()
    worker.join()
    assert log == [True, "value"]


def test_loops_of_several_threads_pass_a_turn_around() -> None:
    threads, turns = 4, 50
    events = [Event() for _ in range(threads)]
    log: list[int] = []

    def plays(number: int) -> None:
        for _ in range(turns):
            events[number].wait()
            events[number].clear()
            log.append(number)
            events[(number + 1) % threads].set()

    def run(number: int) -> None:
        pycoro.joinall([pycoro.spawn(plays, number), pycoro.spawn(pycoro.sleep, 0)])

    workers = [threading.Thread(target=run, args=(number,)) for number in range(1, threads)]
    for worker in workers:
        worker.start()
    events[0].set()
    run(0)
    for worker in workers:
        worker.join()
    assert log == list(range(threads)) * turns


def test_a_link_is_called_in_the_loop_of_who_linked_it() -> None:
    event = Event()
    log: list[Any] = []
    here = threading.get_ident()
    called = Event()

    def link(source: Any) -> None:
        log.append(threading.get_ident() == here)
        called.set()

    event.rawlink(link)
    in_thread(event.set)
    called.wait()
    assert log == [True]
    event.clear()

    def other_links() -> None:
        mine = Event()
        event.rawlink(lambda source: (log.append(threading.get_ident() != here), mine.set()))
        linked.set()
        mine.wait()

    linked = threading.Event()
    worker = threading.Thread(target=other_links)
    worker.start()
    linked.wait()
    event.set()
    worker.join()
    assert log == [True, True]


def test_a_killed_waiter_of_another_loop_is_gone_when_it_is_set() -> None:
    event = Event()
    log: list[Any] = []

    def run() -> None:
        task = pycoro.spawn(event.wait)
        pycoro.sleep(0)
        task.kill()
        log.append(event.linkcount())

    in_thread(run)
    event.set()
    assert (log, event.linkcount()) == ([0], 0)


def test_a_thread_that_ends_while_its_tasks_wait_takes_them_along() -> None:
    event = Event()
    log: list[str] = []

    def waits() -> None:
        try:
            event.wait()
        finally:
            log.append("unwound")

    def run() -> None:
        tasks.append(pycoro.spawn(waits))
        pycoro.sleep(0)

    tasks: list[Any] = []
    in_thread(run)
    assert (log, event.linkcount()) == (["unwound"], 0)
    event.set()


def test_a_negative_time_limit_is_refused_by_whatever_waits() -> None:
    """gevent takes it as over; here it is a slip that is told."""
    task = pycoro.spawn(pycoro.sleep, 0)
    waits = [
        pycoro.event.Event().wait,
        pycoro.event.AsyncResult().get,
        pycoro.lock.Semaphore(0).acquire,
        pycoro.queue.Queue().get,
        task.join,
        lambda timeout: pycoro.joinall([task], timeout=timeout),
        lambda timeout: pycoro.Timeout(timeout).start(),
    ]
    for wait in waits:
        for timeout in (-1, -0.5):
            with pytest.raises(ValueError, match="must be a non-negative number of seconds"):
                wait(timeout=timeout)
    assert task.join()


def test_a_link_of_a_thread_that_has_ended_before_its_turn_is_forgotten() -> None:
    event = Event()

    def link() -> None:
        event.rawlink(print)
        event.set()

    in_thread(link)
    assert event._links is not None
    assert len(event._links._due) == 1
    event.set()
    assert event._links._due == []
