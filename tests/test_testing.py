"""Virtual time and the other helps for tests of programs with coroutines."""

from __future__ import annotations

import socket as real_socket
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from helpers import in_thread

from pycoro import LoopExit, Timeout, get_loop, joinall, sleep, socket, spawn, spawn_later
from pycoro.event import AsyncResult, Event
from pycoro.runner import run
from pycoro.testing import (
    Sequencer,
    VirtualClock,
    no_tasks_left,
    virtual_time,
    wait_all_tasks_blocked,
)
from pycoro.waiting import WaitQueue

pytestmark = pytest.mark.usefixtures("clean_loop")


# ---- virtual time ----


def test_time_jumps_to_the_next_timer_when_all_wait() -> None:
    log: list[Any] = []

    def sleeper(seconds: float) -> None:
        sleep(seconds)
        log.append((seconds, clock.now))

    with virtual_time() as clock:
        assert clock.now == get_loop().clock() == 0.0
        tasks = [spawn(sleeper, seconds) for seconds in (3000, 1, 20000)]
        for task in tasks:
            task.join()
    assert log == [(1, 1.0), (3000, 3000.0), (20000, 20000.0)]


def test_time_does_not_pass_while_anybody_can_run(clock: VirtualClock) -> None:
    for _ in range(100):
        sleep(0)
    assert clock.now == 0.0


def test_timeouts_and_events_are_in_virtual_time(clock: VirtualClock) -> None:
    event = Event()
    assert not event.wait(timeout=100)
    assert clock.now == 100.0
    with Timeout(50, False):
        event.wait()
    assert clock.now == 150.0
    spawn_later(7, event.set)
    assert event.wait(timeout=8)
    assert clock.now == 157.0


def test_former_timers_keep_the_time_that_is_left_to_them() -> None:
    log: list[Any] = []
    loop = get_loop()
    outer = loop.call_later(1000, log.append, "outer")
    with virtual_time(start=5.0) as clock:
        assert clock.now == 5.0
        assert 1004 < outer.when <= 1005
        inner = loop.call_later(5000, log.append, "inner")
        sleep(990)
        assert log == []
        sleep(20)
        assert log == ["outer"]
    assert 3985 < inner.when - loop.clock() < 3995
    inner.cancel()
    assert loop.clock is time.monotonic
    assert loop.jump is None


def test_the_order_of_timers_survives_a_shift() -> None:
    log: list[Any] = []
    loop = get_loop()
    with virtual_time() as clock:
        for number in range(20):  # all due at once; a heap of them is no sorted list
            loop.add_timer(loop.call_later(1e-13 * (20 - number), log.append, number))
        loop._timers.shift(1e6)
        sleep(2e6)
        assert log == sorted(log)
        clock.advance(0)


def test_clocks_nest_and_each_is_put_back() -> None:
    with virtual_time() as outer:
        sleep(10)
        with virtual_time(start=100) as inner:
            sleep(5)
            assert (outer.now, inner.now) == (10.0, 105.0)
        sleep(1)
        assert outer.now == 11.0


def test_clocks_that_are_left_out_of_order_are_refused() -> None:
    outer, inner = virtual_time(), virtual_time()
    with pytest.raises(RuntimeError, match="not the clock"):
        outer.__exit__(None, None, None)
    with outer:
        with pytest.raises(RuntimeError, match="in use already"):
            outer.__enter__()
        with inner:
            with pytest.raises(RuntimeError, match="reverse order"):
                outer.__exit__(None, None, None)
            with pytest.raises(RuntimeError, match="not the clock"):
                outer.advance(1)
            sleep(1)
    assert get_loop().clock is time.monotonic


def test_advance_goes_from_timer_to_timer() -> None:
    log: list[Any] = []

    def tick() -> None:
        while True:
            sleep(10)
            log.append(clock.now)

    with virtual_time(autojump=False) as clock:
        task = spawn(tick)
        clock.advance(35)
        assert (log, clock.now) == ([10.0, 20.0, 30.0], 35.0)
        clock.advance(0)
        clock.advance(5)
        assert (log, clock.now) == ([10.0, 20.0, 30.0, 40.0], 40.0)
        task.kill()


@pytest.mark.parametrize(
    ("bad", "kind"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)]
)
def test_bad_numbers(bad: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="rate"):
        virtual_time(rate=bad)
    with pytest.raises(kind, match="threshold"):
        virtual_time(threshold=bad)
    with virtual_time() as clock, pytest.raises(kind, match="seconds"):
        clock.advance(bad)
    if bad != -1:
        with pytest.raises(kind, match="start"):
            virtual_time(bad)


def test_without_autojump_and_rate_a_wait_for_time_alone_is_a_dead_end() -> None:
    with virtual_time(autojump=False), pytest.raises(LoopExit, match="stands still"):
        sleep(1)


def test_without_autojump_a_descriptor_may_still_wake_somebody() -> None:
    ours, theirs = real_socket.socketpair()
    with virtual_time(autojump=False) as clock:
        with ours, theirs, socket.socket(fileno=ours.detach()) as waiting:
            waiting.settimeout(5)
            threading.Timer(0.01, theirs.send, [b"x"]).start()
            assert waiting.recv(1) == b"x"
        assert clock.now == 0.0


def test_a_rate_makes_virtual_time_pass_with_real_time() -> None:
    with virtual_time(rate=100_000, autojump=False) as clock:
        sleep(500)
        assert clock.now >= 500
        clock.rate = 0
        stopped = clock.now
        assert clock.now == stopped


def test_sockets_come_before_time() -> None:
    with virtual_time() as clock:
        ours, theirs = socket.socketpair()
        with ours, theirs:

            def echo() -> None:
                for _ in range(50):
                    theirs.sendall(theirs.recv(10))

            task = spawn(echo)
            for _ in range(50):
                with Timeout(0.001):
                    ours.sendall(b"x")
                    assert ours.recv(10) == b"x"
            task.join()
        assert clock.now == 0.0


def test_a_threshold_waits_for_what_comes_from_outside() -> None:
    result: AsyncResult = AsyncResult()
    with virtual_time(threshold=30) as clock:
        timer = threading.Timer(0.01, result.set, ["in time"])
        timer.start()
        assert result.get(timeout=1) == "in time"
        timer.join()
        assert clock.now == 0.0
    with virtual_time(threshold=0.001) as clock:
        sleep(1)
        assert clock.now == 1.0


def test_time_stands_still_while_a_thread_of_the_loop_works(clock: VirtualClock) -> None:
    loop = get_loop()
    event = Event()

    def done() -> None:
        loop.foreign -= 1
        event.set()

    loop.foreign += 1
    threading.Timer(0.01, loop.call_soon_threadsafe, [done]).start()
    assert event.wait(timeout=1)
    assert clock.now == 0.0


def test_another_threads_loop_has_another_clock(clock: VirtualClock) -> None:
    clocks = []
    thread = threading.Thread(target=lambda: clocks.append(get_loop().clock))
    thread.start()
    thread.join()
    assert clocks == [time.monotonic]


def test_a_whole_program_in_virtual_time() -> None:
    def main() -> float:
        spawn(sleep, 1e6)
        sleep(1000)
        return get_loop().clock()

    def thread() -> None:  # for run() ends the thread's loop
        with virtual_time() as clock:
            assert run(main) == 1000.0
        assert clock.now == 1000.0
        assert get_loop().clock is time.monotonic

    in_thread(thread)


# ---- waiting until all are blocked ----


def test_it_waits_until_all_others_wait(clock: VirtualClock) -> None:
    log: list[Any] = []
    event = Event()

    def busy(turns: int) -> None:
        for _ in range(turns):
            sleep(0)
        log.append(turns)
        event.wait()
        log.append("woken")

    tasks = [spawn(busy, 3), spawn(busy, 50)]
    get_loop().call_soon(log.append, "called")
    wait_all_tasks_blocked()
    assert log == ["called", 3, 50]
    event.set()
    wait_all_tasks_blocked()
    assert log == ["called", 3, 50, "woken", "woken"]
    assert all(task.ready() for task in tasks)


def test_several_may_wait_so(clock: VirtualClock) -> None:
    log: list[Any] = []

    def observer(name: str) -> None:
        wait_all_tasks_blocked()
        log.append((name, clock.now))

    spawn_later(1, log.append, "timer")
    tasks = [spawn(observer, "a"), spawn(observer, "b")]
    wait_all_tasks_blocked()
    for task in tasks:
        task.join()
    assert log == [("a", 0.0), ("b", 0.0)]
    sleep(1)


# ---- sequences ----


def test_a_sequence_orders_blocks_of_several_tasks(clock: VirtualClock) -> None:
    log: list[Any] = []
    sequencer = Sequencer()

    def worker(name: str, *positions: int) -> None:
        for position in positions:
            with sequencer(position):
                log.append((name, position))

    tasks = [spawn(worker, "a", 0, 3, 4), spawn(worker, "b", 1, 5), spawn(worker, "c", 2)]
    for task in reversed(tasks):
        task.get()
    assert log == [("a", 0), ("b", 1), ("c", 2), ("a", 3), ("a", 4), ("b", 5)]


def test_a_broken_sequence_says_so_to_all(clock: VirtualClock) -> None:
    sequencer = Sequencer()

    def worker(position: int) -> None:
        with sequencer(position):
            pass

    tasks = [spawn(worker, 1), spawn(worker, 3), spawn(worker, 2)]
    sleep(0)
    tasks[0].kill()
    for task in tasks[1:]:
        with pytest.raises(RuntimeError, match="position 1 has given up"):
            task.get()
    with pytest.raises(RuntimeError, match="position 1 has given up"):
        with sequencer(0):
            pass


def test_positions_are_for_one_block_each() -> None:
    sequencer = Sequencer()
    with sequencer(0):
        pass
    with pytest.raises(RuntimeError, match="position 0 has been used twice"):
        with sequencer(0):
            pass
    with pytest.raises(ValueError, match="from 0"):
        with Sequencer()(-1):
            pass
    with pytest.raises(TypeError):
        with Sequencer()("first"):  # type: ignore[arg-type]
            pass


# ---- nothing left behind ----


def test_who_is_left_behind_is_told_and_killed(clock: VirtualClock) -> None:
    event, log = Event(), []

    def stays() -> None:
        try:
            event.wait()
        finally:
            log.append("killed")

    with pytest.raises(AssertionError, match=r"stays.*test_testing\.py") as caught:
        with no_tasks_left():
            spawn(stays)
    assert "waits for" in str(caught.value)
    assert log == ["killed"]


def test_what_was_there_before_and_what_ends_is_not_left_behind(clock: VirtualClock) -> None:
    event = Event()
    former = spawn(event.wait)
    sleep(0)
    with no_tasks_left():
        spawn(sleep, 0)
        spawn(sleep, 1).kill(block=False)
    event.set()
    former.join()


def test_a_timer_that_is_left_is_told() -> None:
    with pytest.raises(AssertionError, match="Timer"):
        with no_tasks_left():
            timer = get_loop().call_later(1000, print)
    timer.cancel()


def test_the_error_of_the_block_is_not_hidden(clock: VirtualClock) -> None:
    task: Any = None
    with pytest.raises(KeyError):
        with no_tasks_left():
            task = spawn(sleep, 1)
            raise KeyError
    task.kill()


def test_the_order_does_not_depend_on_the_real_time() -> None:
    """Where tasks only wake each other, the loop looks at timers as often as in any other turn."""

    def plays(mine: WaitQueue, other: WaitQueue) -> None:
        for _ in range(100):
            log.append("turn")
            other.wake_one()
            mine.wait(1)

    def ticks() -> None:
        for _ in range(10):
            log.append("tick")
            Event().wait(0)

    log: list[str] = []
    with virtual_time():
        one, other = WaitQueue(), WaitQueue()
        joinall([spawn(plays, one, other), spawn(plays, other, one), spawn(ticks)])
    at = [place for place, word in enumerate(log) if word == "tick"]
    assert max(after - before for before, after in pairwise(at)) < 6
