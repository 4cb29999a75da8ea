"""Timeouts around blocks of code, and whose they are."""

from __future__ import annotations

import gc
import threading
import traceback
from typing import Any

import pytest
from helpers import in_thread
from peers import Api

import pycoro
from pycoro import Timeout, get_loop, sleep, socket, spawn
from pycoro.waiting import WaitQueue


class Custom(Exception):
    pass


# ---- on both ----


def test_it_is_raised_in_the_wait_and_tells_whose_it_is(api: Api) -> None:
    with pytest.raises(api.Timeout) as caught:
        with api.Timeout(10):
            with api.Timeout(0.001) as inner:
                api.event.Event().wait()
    assert caught.value is inner
    assert str(inner) == "0.001 seconds"
    assert not inner.pending


def test_the_outer_one_passes_the_inner_block(api: Api) -> None:
    log: list[str] = []
    with api.Timeout(0.001, False):
        try:
            with api.Timeout(10, False):
                api.sleep(20)
            log.append("not here")
        finally:
            log.append("left")
    assert log == ["left"]


def test_two_that_expire_at_once(api: Api) -> None:
    log: list[Any] = []
    with api.Timeout(0.001) as outer:
        try:
            with api.Timeout(0.001, Custom):
                busy(0.01)
                api.sleep(10)
        except (api.Timeout, Custom) as error:
            log.append(error is outer)
    api.sleep(0.005)  # the other one is not raised any more
    assert log == [True]


def busy(seconds: float) -> None:
    """Keeps the loop from looking at its timers."""
    threading.Event().wait(seconds)


@pytest.mark.parametrize("exception", [Custom, Custom("mine"), KeyboardInterrupt])
def test_an_exception_of_ones_own(api: Api, exception: Any) -> None:
    kind = exception if isinstance(exception, type) else type(exception)
    with pytest.raises(kind) as caught:
        with api.Timeout(0.001, exception):
            api.sleep(10)
    assert caught.value is exception or isinstance(exception, type)
    timeout = api.Timeout.start_new(0.001, exception)
    with pytest.raises(kind):
        api.sleep(10)
    timeout.close()


def test_silent(api: Api) -> None:
    with api.Timeout(0.001, False) as timeout:
        api.sleep(10)
    assert not timeout.pending
    silent = api.Timeout.start_new(0.001, False)
    with pytest.raises(api.Timeout) as caught:
        api.sleep(10)
    assert caught.value is silent
    silent.close()


def test_silent_for_itself_alone(api: Api) -> None:
    with pytest.raises(api.Timeout) as caught:
        with api.Timeout(10, False):
            with api.Timeout(0.001) as inner:
                api.sleep(10)
    assert caught.value is inner
    with pytest.raises(Custom):
        with api.Timeout(10, False):
            raise Custom


def test_a_remark(api: Api) -> None:
    with pytest.raises(api.Timeout) as caught:
        with api.Timeout(0.001, "while it slept"):
            api.sleep(10)
    assert str(caught.value) == "0.001 seconds: while it slept"


def test_no_time_at_all(api: Api) -> None:
    log: list[str] = []
    with api.Timeout(0, False):
        log.append("not before it waits")
        api.sleep(10)
        log.append("not here")
    assert log == ["not before it waits"]


def test_without_end(api: Api) -> None:
    with api.Timeout(None) as timeout:
        assert not timeout.pending
        api.sleep(0.001)
    with api.Timeout() as timeout:
        api.sleep(0)
    timeout.start()
    assert not timeout.pending


def test_a_block_that_is_quick_enough_hears_nothing(api: Api) -> None:
    with api.Timeout(0.005):
        api.sleep(0)
    api.sleep(0.01)


def test_start_and_cancel(api: Api) -> None:
    timeout = api.Timeout.start_new(0.001)
    assert timeout.pending
    with pytest.raises((RuntimeError, AssertionError), match="started"):
        timeout.start()
    assert api.Timeout.start_new(timeout) is timeout
    timeout.cancel()
    timeout.cancel()
    assert not timeout.pending
    api.sleep(0.005)
    assert api.Timeout.start_new(timeout) is timeout
    with pytest.raises(api.Timeout):
        api.sleep(10)
    assert not timeout.pending
    with timeout:
        assert timeout.pending
    timeout.close()


def test_it_is_raised_in_who_started_it(api: Api) -> None:
    log: list[Any] = []

    def work(seconds: float) -> None:
        timeout = api.Timeout.start_new(seconds)
        try:
            api.sleep(10)
        except api.Timeout as error:
            log.append((seconds, error is timeout))

    api.joinall([api.spawn(work, seconds) for seconds in (0.003, 0.001, 0.002)])
    assert log == [(0.001, True), (0.002, True), (0.003, True)]


def test_an_exception_handler_does_not_swallow_it(api: Api) -> None:
    def swallows() -> str:
        try:
            api.sleep(10)
        except Exception:
            return "swallowed"
        return "slept"

    def run() -> str:
        with api.Timeout(0.001, False):
            return swallows()
        return "timed out"

    assert api.spawn(run).get() == "timed out"
    assert not issubclass(api.Timeout, Exception)


def test_one_that_outlives_its_task_harms_nobody(api: Api) -> None:
    task = api.spawn(lambda: api.Timeout(0.001).start())
    task.join()
    api.sleep(0.005)


def test_one_in_a_loop_of_others(api: Api) -> None:
    with api.Timeout(0.002, False) as timeout:
        while True:  # or for ever
            api.sleep(0)
    assert not timeout.pending


def test_with_timeout(api: Api) -> None:
    def work(value: str, end: str = "") -> str:
        return value + end

    assert api.with_timeout(10, work, "in time", end="!") == "in time!"
    assert api.with_timeout(None, work, "in time") == "in time"
    assert api.with_timeout(0.001, api.sleep, 10, timeout_value="late") == "late"
    assert api.with_timeout(0.001, api.sleep, 10, timeout_value=None) is None
    with pytest.raises(api.Timeout, match=r"0\.001 seconds"):
        api.with_timeout(0.001, api.sleep, 10)
    with pytest.raises(api.Timeout, match=r"0\.001 seconds"):  # not its own
        api.with_timeout(0.001, lambda: api.with_timeout(10, api.sleep, 20, timeout_value="inner"))


def test_how_it_reads(api: Api) -> None:
    texts = [str(api.Timeout(seconds)) for seconds in (None, 1, 0.5)]
    assert texts == ["", "1 second", "0.5 seconds"]
    assert str(api.Timeout(2, False)) == "2 seconds (silent)"
    assert str(api.Timeout(1, Custom("x"))) == "1 second: x"
    assert "seconds=5" in repr(api.Timeout(5))
    assert "exception=False" in repr(api.Timeout(5, False))
    with api.Timeout(5) as timeout:
        assert "pending" in repr(timeout)
    assert "pending" not in repr(timeout)


def test_shorter_ones_are_less(api: Api) -> None:
    assert api.Timeout(0) < 1
    assert api.Timeout(1) < api.Timeout(2)
    assert not api.Timeout(3) < api.Timeout(2)


def test_a_subclass(api: Api) -> None:
    class Mine(api.Timeout):  # type: ignore[name-defined, misc]
        pass

    with pytest.raises(Mine):
        with Mine(0.001):
            api.sleep(10)
    assert type(Mine.start_new(None)) is Mine


# ---- what ours has besides ----


def test_it_says_who_started_it_and_where() -> None:
    def work() -> None:
        with Timeout(0.001) as timeout:
            timeouts.append(timeout)
            sleep(10)

    timeouts: list[Timeout] = []
    task = spawn(work)
    with pytest.raises(Timeout) as caught:
        task.get()
    error = caught.value
    line = f"{__file__}:{work.__code__.co_firstlineno + 1}"
    assert (error.owner, error.place) == (task, line)
    assert repr(error).endswith(f"started by {task.name!r} at {line}>")
    text = "".join(traceback.format_exception(error))
    assert f"of 0.001 seconds that {task.name!r} started at {line}" in text
    del task, caught
    error.with_traceback(None)
    gc.collect()
    assert error.owner is None
    assert "started by 'one that is gone'" in repr(error)


@pytest.mark.parametrize(
    "start",
    [
        lambda: Timeout(10).__enter__(),
        lambda: Timeout.start_new(10),
        lambda: (timeout := Timeout(10), timeout.start())[0],
    ],
)
def test_the_place_is_that_of_the_user(start: Any) -> None:
    timeout = start()
    timeout.cancel()
    assert timeout.place == f"{__file__}:{start.__code__.co_firstlineno}"
    assert Timeout(5).place is Timeout(5).owner is None


def test_an_exception_that_is_raised_again_and_again_has_one_note() -> None:
    error = Custom("mine")
    for _ in range(3):
        with pytest.raises(Custom):
            with Timeout(0.001, error):
                sleep(10)
    assert len(error.__notes__) == 1


def test_an_exception_that_cannot_be_made_is_raised_instead() -> None:
    class Needs(Exception):
        def __init__(self, argument: str) -> None:
            pass

    with pytest.raises(TypeError, match="argument"):
        with Timeout(0.001, Needs):
            sleep(10)


def test_around_a_socket_which_stays_usable() -> None:
    one, other = socket.socketpair()
    with Timeout(0.001, False):
        one.recv(10)
    other.send(b"data")
    assert one.recv(10) == b"data"
    one.close()
    other.close()


def test_a_swallowed_one_does_not_hide_the_next() -> None:
    log: list[str] = []
    with Timeout(0.001, False):
        with Timeout(0.001, Custom):
            busy(0.01)  # both have expired then
            for _ in range(3):
                try:
                    sleep(10)
                except (Timeout, Custom) as error:
                    log.append(type(error).__name__)
                    if len(log) == 2:
                        break
    assert log == ["Timeout", "Custom"]


def test_nothing_is_left_of_those_that_are_over() -> None:
    for _ in range(200):
        with Timeout(1000):
            pass
    assert get_loop().errors == {}
    assert len(get_loop()._timers) == 0
    queue = WaitQueue()
    with Timeout(0.001, False):
        queue.wait()
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("soon",), TypeError),
        ((float("nan"),), ValueError),
        ((-1,), ValueError),
        ((1, 5), TypeError),
        ((1, 0), TypeError),
        ((1, int), TypeError),
        ((1, True), TypeError),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Timeout(*arguments)
    with pytest.raises(error):
        Timeout.start_new(*arguments)
    assert len(get_loop()._timers) == 0


def test_where_it_can_be_used() -> None:
    timeout = Timeout.start_new(1000)
    with pytest.raises(pycoro.InvalidThreadUseError, match="started in another thread"):
        in_thread(timeout.cancel)
    assert timeout.pending
    timeout.cancel()
    errors: list[BaseException] = []

    def callback() -> None:
        try:
            Timeout(1).start()
        except pycoro.BlockingSwitchOutError as error:
            errors.append(error)

    get_loop().call_soon(callback)
    sleep(0)
    assert "a callback of the loop must not wait" in str(errors[0])
