"""Timeouts around blocks of code, and whose they are."""

from __future__ import annotations

import pytest

from pycoro import Timeout, get_loop, sleep, socket, spawn, with_timeout
from pycoro.waiting import WaitQueue


def test_it_is_raised_in_the_wait_and_tells_whose_it_is() -> None:
    with pytest.raises(Timeout) as caught:
        with Timeout(10):
            with Timeout(0.001) as inner:
                WaitQueue().wait()
    assert caught.value is inner
    assert str(inner) == "0.001 seconds"
    assert not inner.pending


def test_the_outer_one_passes_the_inner_block() -> None:
    log: list[str] = []
    with Timeout(0.001, False):
        try:
            with Timeout(10, False):
                sleep(20)
            log.append("not here")
        finally:
            log.append("left")
    assert log == ["left"]


def test_silent_and_with_an_exception_of_ones_own() -> None:
    with Timeout(0.001, False) as timeout:
        sleep(10)
    assert not timeout.pending
    with pytest.raises(KeyError):
        with Timeout(0.001, KeyError):
            sleep(10)
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        with Timeout(0.001, error):
            sleep(10)
    assert caught.value is error


def test_a_block_that_is_quick_enough_hears_nothing() -> None:
    with Timeout(0.005):
        sleep(0)
    with Timeout(None):
        sleep(0.001)
    sleep(0.01)


def test_start_and_cancel() -> None:
    timeout = Timeout.start_new(0.001)
    assert timeout.pending
    with pytest.raises(RuntimeError, match="started already"):
        timeout.start()
    assert Timeout.start_new(timeout) is timeout
    timeout.cancel()
    timeout.close()
    sleep(0.005)
    timeout.start()
    with pytest.raises(Timeout):
        sleep(10)


def test_an_exception_handler_does_not_swallow_it() -> None:
    def swallows() -> str:
        try:
            sleep(10)
        except Exception:
            return "swallowed"
        return "slept"

    def run() -> str:
        with Timeout(0.001, False):
            return swallows()
        return "timed out"

    assert spawn(run).get() == "timed out"


def test_around_a_socket_which_stays_usable() -> None:
    one, other = socket.socketpair()
    with Timeout(0.001, False):
        one.recv(10)
    other.send(b"data")
    assert one.recv(10) == b"data"
    one.close()
    other.close()


def test_with_timeout() -> None:
    assert with_timeout(10, lambda value: value, "in time") == "in time"
    assert with_timeout(0.001, sleep, 10, timeout_value="late") == "late"
    with pytest.raises(Timeout):
        with_timeout(0.001, sleep, 10)


def test_one_that_outlives_its_task_harms_nobody() -> None:
    task = spawn(lambda: Timeout(0.001).start())
    task.join()
    sleep(0.005)
    assert get_loop().errors == {}


def test_what_can_be_raised_and_how_it_reads() -> None:
    with pytest.raises(TypeError, match="deriving from BaseException"):
        Timeout(1, 5)  # type: ignore[arg-type]
    assert [str(Timeout(seconds)) for seconds in (None, 1, 0.5)] == ["", "1 second", "0.5 seconds"]
