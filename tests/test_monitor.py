"""The monitor of blocked loops. A coroutine that is to be told of blocks in a real wait until it
has been; what the monitor concludes, from what it sees when, is tested with times of our own."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of, run_python

import pycoro
from pycoro import _native, deadlock, events, monitor
from pycoro.blocking import is_asleep
from pycoro.settings import config
from pycoro.turns import TurnClock

LIMIT = 30  # seconds: of what waits for the monitor


class Told:
    """What a monitor has told, and real waits for it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._more = threading.Condition()

    def __call__(self, event: Any) -> None:
        with self._more:
            self.events.append(event)
            self._more.notify_all()

    def block_until(self, count: int) -> None:
        """Blocks the thread until so many have been told."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.events) >= count, LIMIT)

    def wait_until(self, count: int) -> None:
        """The same by waiting in the loop."""
        with pycoro.Timeout(LIMIT):
            while len(self.events) < count:
                pycoro.sleep(0.001)


class Still(monitor.Monitor):
    """One without a thread: a test looks for it."""

    def _begin(self) -> None:
        self.monitor_thread_ident = 0

    def _end(self) -> None:
        self.monitor_thread_ident = None

    def look(self, now: float, due: float | None = None) -> None:
        self._due = now if due is None else due
        self._work(now)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    threads = deadlock._count_threads()
    yield
    assert monitor._monitors == set()
    assert not any(isinstance(one, monitor.Monitor) for one in deadlock._idle)
    while deadlock._count_threads() > threads:
        time.sleep(0.001)
    assert events.subscribers == []
    assert getattr(pycoro.get_loop()._turn.callback, "__self__", None) is pycoro.get_loop()


# ---- telling ----


def test_one_that_blocks_is_told_of_once_and_when_it_lets_go(told: Told) -> None:
    def blocker() -> None:
        told.block_until(1)

    with monitor.start(0.01, told):
        task = pycoro.spawn(blocker)
        task.join()
        told.wait_until(2)
    first, second = told.events
    assert (first.greenlet, first.hub, first.over) == (task, pycoro.get_loop(), False)
    assert (second.greenlet, second.hub, second.over) == (task, pycoro.get_loop(), True)
    assert 0.01 <= first.blocking_time <= second.blocking_time
    # On a busy machine the monitor may be late itself, and says so.
    lines = [line for line in first.info if not line.startswith("  the monitor itself")]
    assert re.fullmatch(
        r"pycoro: Task '.*blocker' has blocked its loop for \d+\.\d\d\d s \(allowed: 0\.01 s\)",
        lines[0],
    )
    if first.busy is not None:  # the system tells
        assert re.match(r"  it (computes|waits in a call that blocks) ", lines.pop(1))
        assert 0 <= first.busy <= 1
    assert lines[1] == "  its stack, most recent call last:"
    place = first.stack[0]
    assert (place.filename, place.name) == (__file__, "blocker")
    assert place.lineno == blocker.__code__.co_firstlineno + 1
    assert f'  File "{__file__}", line {place.lineno}, in blocker' in lines[2]
    assert lines[3] == "    told.block_until(1)"
    assert str(first) == "\n".join(first.info)
    assert "over" in repr(second) and "blocker" in repr(second)
    assert re.fullmatch(
        r"pycoro: Task '.*blocker' has let go of its loop, after about \d+\.\d\d\d s", str(second)
    )


def test_it_is_told_again_while_it_goes_on(told: Told) -> None:
    with monitor.start(0.01, told, repeat=0):
        pycoro.spawn(told.block_until, 4).join()
        told.wait_until(5)
    assert {event.over for event in told.events[:4]} == {False}
    times = [event.blocking_time for event in told.events[:4]]
    assert times == sorted(times)


def test_each_time_anew(told: Told) -> None:
    def blocker() -> None:
        told.block_until(1)
        told.wait_until(2)
        told.block_until(3)

    with monitor.start(0.01, told):
        pycoro.spawn(blocker).join()
        told.wait_until(4)
    assert [event.over for event in told.events] == [False, True, False, True]


def test_a_callback_of_the_loop_blocks_it_too(told: Told) -> None:
    with monitor.start(0.01, told):
        pycoro.get_loop().call_soon(told.block_until, 1)
        told.wait_until(2)
        pycoro.get_loop().call_later(0, told.block_until, 3)
        told.wait_until(4)
    assert [event.greenlet for event in told.events] == [pycoro.get_loop()] * 4
    assert [event.info[0].split(" has ")[0] for event in told.events] == [
        "pycoro: a callback of the loop"
    ] * 4


def test_on_stderr_unless_told_otherwise(capfd: pytest.CaptureFixture[str], told: Told) -> None:
    events.subscribers.append(told)
    with monitor.start(0.01):
        pycoro.spawn(told.block_until, 1).join()
        told.wait_until(2)
    shown = capfd.readouterr().err
    assert shown == "".join(f"{event}\n" for event in told.events)
    config.print_blocking_reports = False
    try:
        with monitor.start(0.01):
            pycoro.spawn(told.block_until, 3).join()
            told.wait_until(4)
    finally:
        config.print_blocking_reports = True
        events.subscribers.remove(told)
    assert capfd.readouterr().err == ""


def test_to_a_logger(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    events.subscribers.append(told)
    try:
        with monitor.start(0.01, logging.getLogger("blocked").warning):
            pycoro.spawn(told.block_until, 1).join()
            told.wait_until(2)
    finally:
        events.subscribers.remove(told)
    assert [record.getMessage() for record in caplog.records] == [str(one) for one in told.events]


def test_a_subscriber_may_add_to_the_report(told: Told) -> None:
    def add(event: Any) -> None:
        event.info.append("request 17")

    events.subscribers.append(add)
    try:
        with monitor.start(0.01, told):
            pycoro.spawn(told.block_until, 1).join()
    finally:
        events.subscribers.remove(add)
    assert str(told.events[0]).endswith("\nrequest 17")


def test_an_error_in_telling_is_told_itself(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: errors.append(what.exc_value))

    def report(event: Any) -> None:
        told(event)
        raise ZeroDivisionError(len(told.events))

    with monitor.start(0.01, report):
        pycoro.spawn(told.block_until, 1).join()
        told.wait_until(2)
    assert [repr(error) for error in errors] == ["ZeroDivisionError(1)", "ZeroDivisionError(2)"]


def test_c_code_that_keeps_the_gil_is_found_where_it_was_called(told: Told) -> None:
    def hog() -> None:
        deadline = time.perf_counter() + LIMIT
        while not told.events and time.perf_counter() < deadline:
            sum(range(3_000_000))  # in one piece

    with monitor.start(0.01, told):
        pycoro.spawn(hog).join()
    assert told.events[0].info[-1].strip().startswith(("sum(", "while "))
    assert any("a call kept the GIL" in line for line in told.events[0].info)


# ---- judging: with a clock of our own ----


@pytest.fixture
def still(told: Told) -> Iterator[Still]:
    with Still(pycoro.current()._thread, 1.0, told) as one:
        clock = TurnClock.of(pycoro.get_loop(), "test")
        pycoro.sleep(0)
        clock.remove("test")
        yield one


def in_task(*calls: Callable[[], object]) -> None:
    pycoro.spawn(lambda: [call() for call in calls]).join()


NOW = 1e9  # later than any turn of the loop


def test_the_same_one_in_the_same_turn_for_long_enough(still: Still, told: Told) -> None:
    in_task(lambda: still.look(NOW), lambda: still.look(NOW + 0.99))
    assert told.events == []
    in_task(lambda: still.look(NOW), lambda: still.look(NOW + 0.6), lambda: still.look(NOW + 1.0))
    assert [event.over for event in told.events] == [False]


def test_it_has_been_in_the_loop_in_between(still: Still, told: Told) -> None:
    in_task(
        lambda: still.look(NOW),
        lambda: pycoro.sleep(0),
        lambda: still.look(NOW + 5),
        lambda: pycoro.sleep(0.001),
        lambda: still.look(NOW + 10),
    )
    assert told.events == []


def test_many_that_take_long_together_are_not_one_that_blocks(still: Still, told: Told) -> None:
    turns: list[int] = []

    def short(now: float) -> None:
        still.look(now)
        assert still._clock is not None
        turns.append(still._clock.count)

    pycoro.joinall([pycoro.spawn(short, NOW + number) for number in range(5)])
    assert len(set(turns)) == 1
    assert told.events == []


def test_how_long_it_can_have_been_at_most(still: Still, told: Told) -> None:
    still.look(NOW)
    in_task(lambda: still.look(NOW + 0.5), lambda: still.look(NOW + 1.75))
    assert [event.blocking_time for event in told.events] == [1.75]


def test_a_look_that_comes_late_counts_from_when_it_was_due(still: Still, told: Told) -> None:
    still.look(NOW)
    in_task(lambda: still.look(NOW + 9, due=NOW + 0.5))
    assert [event.blocking_time for event in told.events] == [9]
    assert "  the monitor itself could not look for 8.500 s" in told.events[0].info[1]


def test_a_late_look_does_not_blame_who_has_just_begun(still: Still, told: Told) -> None:
    assert still._clock is not None
    in_task(lambda: still.look(still._clock.ended + 0.5, due=still._clock.ended - 9))
    assert told.events == []


def test_the_main_program_blocks_nobody_where_there_is_nothing_to_do(
    still: Still, told: Told
) -> None:
    still.look(NOW)
    still.look(NOW + 5)
    assert told.events == []
    task = pycoro.spawn(int)
    still.look(NOW + 6)
    assert [event.greenlet for event in told.events] == [pycoro.current()]
    assert told.events[0].info[0].startswith("pycoro: the main program has blocked its loop")
    assert told.events[0].info[1] == "  1 ready to run waits for it"
    task.join()


def test_a_timer_or_a_reader_is_something_to_do(still: Still, told: Told) -> None:
    timer = pycoro.get_loop().call_later(1000, int)
    still.look(NOW)
    still.look(NOW + 5)
    assert len(told.events) == 1
    timer.cancel()
    pycoro.sleep(0)
    reader, writer = os.pipe()
    pycoro.get_loop().add_reader(reader, int)
    still.look(NOW + 10)
    still.look(NOW + 15)
    assert [event.over for event in told.events] == [False, True, False]
    pycoro.get_loop().remove_reader(reader)
    pycoro.get_loop().unwatch(reader)
    os.close(reader)
    os.close(writer)


def test_a_loop_that_sleeps_is_not_blocked(still: Still, told: Told) -> None:
    loop = pycoro.get_loop()
    main = pycoro.current()

    def look() -> None:
        while not is_asleep(loop, main._thread.ident):
            time.sleep(0.001)
        still.look(NOW)
        still.look(NOW + 5)
        loop.call_soon_threadsafe(loop.wake, main)

    loop.foreign += 1
    thread = threading.Thread(target=look)
    thread.start()
    loop.enlist(None)
    loop.pass_on()
    loop.foreign -= 1
    thread.join()
    assert told.events == []


def test_what_is_excused_may_block_until_it_waits(still: Still, told: Told) -> None:
    in_task(
        still.ignore_current_greenlet_blocking,
        lambda: still.look(NOW),
        lambda: still.look(NOW + 5),
        lambda: told.events.append("waits"),
        lambda: pycoro.sleep(0),
        lambda: still.look(NOW + 10),
        lambda: still.look(NOW + 15),
    )
    assert [getattr(event, "over", event) for event in told.events] == ["waits", False]
    in_task(
        still.ignore_current_greenlet_blocking,
        still.monitor_current_greenlet_blocking,
        lambda: still.look(NOW + 20),
        lambda: still.look(NOW + 25),
    )
    assert len(told.events) == 4


def test_config_counts_where_no_threshold_was_given(told: Told) -> None:
    with Still(pycoro.current()._thread, None, told) as one:
        assert one.threshold == config.max_blocking_time == 0.1
        try:
            config.max_blocking_time = 0
            in_task(lambda: one.look(NOW), lambda: one.look(NOW + 5))
            assert told.events == []
            config.max_blocking_time = 5
            in_task(lambda: one.look(NOW), lambda: one.look(NOW + 4))
            assert told.events == []
            in_task(lambda: one.look(NOW), lambda: one.look(NOW + 5))
            assert len(told.events) == 1
        finally:
            config.max_blocking_time = 0.1


def test_bad_values(told: Told) -> None:
    for bad, kind, text in [
        (
            {"threshold": -1},
            ValueError,
            "threshold must be a non-negative number",
        ),
        (
            {"threshold": float("nan")},
            ValueError,
            "threshold must be .*(nan|NaN)",
        ),
        ({"threshold": "1"}, TypeError, "threshold must be .*number of seconds, not str"),
        ({"repeat": -1}, ValueError, "repeat must be a non-negative number"),
        ({"report": 3}, TypeError, "report must be callable, not int"),
    ]:
        with pytest.raises(kind, match=text):
            monitor.start(**bad)  # type: ignore[arg-type]
    for value, kind in [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)]:
        with pytest.raises(kind, match="max_blocking_time must be"):
            config.max_blocking_time = value  # type: ignore[assignment]
    assert config.max_blocking_time == 0.1


# ---- its thread ----


def test_two_monitors_of_one_loop(told: Told) -> None:
    other = Told()
    loop = pycoro.get_loop()
    with monitor.start(0.01, told):
        with monitor.start(0.01, other):
            task = pycoro.spawn(lambda: (told.block_until(1), other.block_until(1)))
            task.join()
        assert isinstance(getattr(loop._turn.callback, "__self__", None), TurnClock)
        pycoro.spawn(told.block_until, 3).join()
    assert len(other.events) in (1, 2)


def test_a_loop_that_is_yet_to_come_is_watched(told: Told) -> None:
    def run() -> None:
        assert pycoro.current()._thread.loop is None
        with monitor.start(0.01, told) as one:
            assert one.hub is None
            pycoro.spawn(told.block_until, 1).join()
            assert one.hub is pycoro.get_loop()

    in_thread(run)
    assert len(told.events) >= 1


def test_it_ends_with_its_thread_and_with_its_loop(told: Told) -> None:
    found: list[monitor.Monitor] = []
    in_thread(lambda: (pycoro.get_loop(), found.append(monitor.start(0.01, told))))

    def destroy() -> None:
        loop = pycoro.get_loop()
        found.append(monitor.start(0.01, told))
        loop.destroy()

    in_thread(destroy)
    for one in found:
        while one.running:
            time.sleep(0.001)
        assert repr(one).endswith("stopped>")
        one.stop()
        one.stop()


def test_what_it_calls_every_now_and_then(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: errors.append(what.exc_value))

    def fail(hub: Any) -> None:
        raise ZeroDivisionError

    with monitor.start(0.01, lambda event: None) as one:
        one.add_monitoring_function(told, 0.001)
        one.add_monitoring_function(fail, 0.001)
        told.block_until(3)
        one.add_monitoring_function(told, None)
        one.add_monitoring_function(told, None)
        with pytest.raises(TypeError, match="function must be callable, not int"):
            one.add_monitoring_function(3, 1)  # type: ignore[arg-type]
        for bad in (0, -1):
            with pytest.raises(ValueError, match="period must be"):
                one.add_monitoring_function(told, bad)
    assert set(told.events) == {pycoro.get_loop()}
    assert {type(error) for error in errors} == {ZeroDivisionError}


def test_a_report_may_stop_it(told: Told) -> None:
    def report(event: Any) -> None:
        one.stop()
        told(event)

    one = monitor.start(0.01, report)
    pycoro.spawn(told.block_until, 1).join()
    while one.running:
        time.sleep(0.001)
    assert len(told.events) == 1


def test_a_loop_with_nothing_to_do_is_still_told_so() -> None:
    with monitor.start(0.01), pytest.raises(pycoro.LoopExit):
        pycoro.get_loop().enlist(None)
        pycoro.get_loop().pass_on()


def test_the_hubs_own(told: Told) -> None:
    started: list[Any] = []
    events.subscribers.append(started.append)
    loop = pycoro.get_loop()
    assert loop.periodic_monitoring_thread is None
    one = loop.start_periodic_monitoring_thread()
    assert loop.start_periodic_monitoring_thread() is one is loop.periodic_monitoring_thread
    events.subscribers.clear()
    assert [event.monitor for event in started] == [one]
    assert "Monitor of thread" in repr(started[0])
    assert one.hub is loop
    one.kill()
    assert not one.running
    with pytest.raises(pycoro.errors.InvalidThreadUseError, match="only the loop's own thread"):
        in_thread(loop.start_periodic_monitoring_thread)
    loop.periodic_monitoring_thread = None


@pytest.mark.filterwarnings("ignore:Unable to monitor memory usage")  # gevent without psutil
def test_gevent_tells_of_the_same(api: Any) -> None:
    told, hub = Told(), api.get_hub()

    def blocker() -> None:
        if api.is_gevent:  # whose thread would do it, but sometimes ends before, without a word
            one.monitor_blocking(hub)
            one.monitor_blocking(hub)
        else:
            told.block_until(2)

    silent = api.config.print_blocking_reports
    api.config.print_blocking_reports = False
    api.config.max_blocking_time = 0.02
    api.config.monitor_thread = True  # else gevent's start is none
    api.events.subscribers.append(told)
    one = hub.start_periodic_monitoring_thread()
    try:
        task = api.spawn(blocker)
        task.join()
    finally:
        api.events.subscribers.remove(told)
        one.kill()
        hub.periodic_monitoring_thread = None
        api.config.max_blocking_time = 0.1
        api.config.monitor_thread = False
        api.config.print_blocking_reports = silent
    kinds = [type(event) for event in told.events]
    assert kinds[:2] == [
        api.events.PeriodicMonitorThreadStartedEvent,
        api.events.EventLoopBlocked,
    ]
    assert told.events[1].greenlet is task
    assert told.events[1].hub is hub
    assert told.events[1].blocking_time >= 0.02 and told.events[1].hub is hub
    assert "blocker" in "\n".join(told.events[1].info)


# ---- processes ----

BLOCK = """
import threading, pycoro
from pycoro import monitor
told = threading.Event()
def report(event):
    print(event.info[0].split(" for ")[0], flush=True)
    told.set()
def blocker():
    told.clear()
    assert told.wait(30)
"""


def test_a_forked_child_has_its_monitor_and_the_parent_too() -> None:
    code = (
        BLOCK
        + """
import os
monitor.start(0.01, report)
pycoro.spawn(blocker).join()
pid = os.fork()
print("child" if pid == 0 else "parent", flush=True)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
pycoro.spawn(blocker).join()
if pid == 0:
    os._exit(0)
"""
    )
    told = "pycoro: Task 'blocker' has blocked its loop"
    # Nor does Python warn, from 3.12 on, that there are threads; but 3.13.0 looks too late.
    options = ("-W", "ignore::DeprecationWarning") if sys.version_info[:2] == (3, 13) else ()
    lines = [line for line in output_of(code, *options) if "let go" not in line]
    assert sorted(lines) == ["child", "parent", told, told, told]


def test_in_a_forked_child_other_threads_have_none() -> None:
    code = (
        BLOCK
        + """
import os
begun, stay = threading.Event(), threading.Event()
def run():
    monitor.start(60)
    begun.set()
    stay.wait()
mine = monitor.start(60)
other = threading.Thread(target=run)
other.start()
begun.wait()
pid = os.fork()
if pid == 0:
    os._exit(0 if monitor._monitors == {mine} and mine.running else 1)
print(os.waitpid(pid, 0)[1], len(monitor._monitors), mine.running)
stay.set()
other.join()
"""
    )
    assert output_of(code, "-W", "ignore::DeprecationWarning") == ["0 2 True"]


def test_the_environment_turns_it_on() -> None:
    code = """
    import time, pycoro
    from pycoro.settings import config
    print(config.monitor_thread, config.max_blocking_time)
    def blocker():
        while not loop.periodic_monitoring_thread._suspect or \\
                not loop.periodic_monitoring_thread._suspect.told:
            time.sleep(0.001)
    loop = pycoro.get_loop()
    if config.monitor_thread:
        pycoro.spawn(blocker).join()
    """
    done = run_python(code, PYCORO_MONITOR="20")
    assert (done.stdout, done.returncode) == ("True 0.02\n", 0)
    assert done.stderr.startswith("pycoro: Task 'blocker' has blocked its loop for ")
    assert output_of(code, PYCORO_MONITOR="0") == ["False 0.1"]
    assert output_of(code) == ["False 0.1"]
    assert output_of(code, PYCORO_MAX_BLOCKING_TIME="0.5") == ["False 0.5"]
    for bad in ("ms", "-1", "nan"):
        done = run_python(code, PYCORO_MONITOR=bad)
        assert f"PYCORO_MONITOR must be a number from 0 on, not '{bad}'" in done.stderr


def test_the_process_ends_with_a_monitor_on() -> None:
    code = BLOCK + "monitor.start(0.01, report); pycoro.sleep(0); print('end')"
    assert output_of(code) == ["end"]
    # Also with a report that never ends, after the second that it is given.
    code = (
        BLOCK
        + """
import time
def report(event):
    told.set()
    time.sleep(3600)
monitor.start(0.01, report)
pycoro.spawn(blocker).join()
print("end")
"""
    )
    assert output_of(code) == ["end"]


def test_clocks_are_there_only_while_they_are_wanted() -> None:
    loop = pycoro.get_loop()
    own = loop._turn.callback
    one = TurnClock.of(loop, "a")
    assert TurnClock.of(loop, "b") is one
    before = one.count
    pycoro.sleep(0)
    assert one.count == before + 1
    one.remove("a")
    assert loop._turn.callback == one.turn
    one.remove("b")
    assert loop._turn.callback == own
    pycoro.sleep(0)
    assert one.count == before + 1
    assert _native.thread_running(pycoro.current()._thread.main) is pycoro.current()
