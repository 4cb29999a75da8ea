"""When nothing can run any more: LoopExit, when it comes, when it must not, and what it says."""

from __future__ import annotations

import _thread
import contextlib
import gc
import queue
import re
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import in_thread, output_of

import pycoro
from pycoro import LoopExit, _native, deadlock
from pycoro.event import AsyncResult, Event
from pycoro.holding import Sources
from pycoro.lock import Barrier, BoundedSemaphore, Condition, RLock, Semaphore

pytestmark = pytest.mark.usefixtures("quick_collections", "clean_loop")

SENTENCE = (
    "this would wait forever: no task can run, no timer is set and no descriptor is waited for, so "
    "nothing can ever wake the main program"
)


def plain(text: str) -> list[str]:
    """Without what differs from run to run: addresses, lines, and where a function is defined."""
    text = re.sub(r" ?0x[0-9a-f]+", "", text.replace(__file__, "here"))
    text = re.sub(r"(\S*[/\\])?(\w+)(\.py)?:\d+", r"\2", text)
    return re.sub(r"\w+\.<locals>\.", "", text).splitlines()


def loop_exit(wait: Callable[[], Any], *tasks: Any) -> list[str]:
    """What LoopExit says, and that is the first line."""
    with pytest.raises(LoopExit) as caught:
        wait()
    pycoro.killall(tasks)
    assert all(task.ready() for task in tasks)
    lines = plain(str(caught.value))
    assert lines[0] == SENTENCE
    return lines[1:]


@pytest.fixture(autouse=True)
def _none_of_others() -> None:
    """Coroutines that other tests have left suspended would be told of as well."""
    gc.collect()
    for one in _native.thread_suspended():
        if one is not pycoro.get_loop():
            with contextlib.suppress(BaseException):
                one.throw()


# ---- rings ----


@pytest.mark.parametrize(
    ("make", "state"),
    [
        (RLock, "RLock.acquire() of <RLock owner='{other}' count=1>"),
        (Semaphore, "Semaphore.acquire() of <Semaphore counter=0 links[1]>"),
        (BoundedSemaphore, "Semaphore.acquire() of <BoundedSemaphore counter=0 links[1]>"),
    ],
)
def test_a_ring_comes_first_with_who_holds_what_and_where(make: Any, state: str) -> None:
    accounts = [make(), make()]

    def deposit(first: int, second: int) -> None:
        with accounts[first]:
            pycoro.sleep(0)
            with accounts[second]:
                pass

    def withdraw(first: int, second: int) -> None:
        accounts[first].acquire()
        try:
            pycoro.sleep(0)
            accounts[second].acquire()
        finally:
            accounts[first].release()

    deposit_, withdraw_ = pycoro.spawn(deposit, 0, 1), pycoro.spawn(withdraw, 1, 0)
    assert loop_exit(lambda: pycoro.joinall([deposit_, withdraw_]), deposit_, withdraw_) == [
        "These 2 wait for each other:",
        f"    Task 'deposit' waits in {state.format(other='withdraw')}",
        "        at here in deposit",
        "        held by Task 'withdraw'",
        f"    Task 'withdraw' waits in {state.format(other='deposit')}",
        "        at here in withdraw",
        "        held by Task 'deposit'",
        "1 also waits:",
        "    the main program waits in joinall() of <2 of 2: Task 'deposit', Task 'withdraw'>",
        "        at here in <lambda>",
    ]


def test_the_place_is_the_file_and_the_line() -> None:
    event = Event()

    def waits() -> None:
        event.wait()

    with pytest.raises(LoopExit) as caught:
        waits()
    line = waits.__code__.co_firstlineno + 1
    assert f"\n        at {__file__}:{line} in {waits.__qualname__}\n" in str(caught.value) + "\n"


def test_one_that_waits_for_what_it_has_itself() -> None:
    lock = Semaphore()

    def twice() -> None:
        with lock, lock:
            pass

    task = pycoro.spawn(twice)
    assert loop_exit(task.join, task)[:4] == [
        "This one waits for itself:",
        "    Task 'twice' waits in Semaphore.acquire() of <Semaphore counter=0 links[1]>",
        "        at here in twice",
        "        held by Task 'twice'",
    ]


def test_tasks_that_join_each_other() -> None:
    tasks: list[Any] = []

    def joins(number: int) -> None:
        tasks[(number + 1) % 3].join()

    tasks += [pycoro.spawn(joins, number) for number in range(3)]
    lines = loop_exit(tasks[0].join, *tasks)
    assert lines[0] == "These 3 wait for each other:"
    assert (
        lines[1:7]
        == [
            "    Task 'joins' waits in Task.join() of Task 'joins'",
            "        at here in joins",
        ]
        * 3
    )


def test_rings_are_told_apart_by_address_where_names_are_equal() -> None:
    lock = RLock()

    def same_name() -> None:
        with lock:
            Event().wait()

    tasks = [pycoro.spawn(same_name) for _ in range(2)]
    with pytest.raises(LoopExit) as caught:
        pycoro.joinall(tasks)
    assert f"held by Task {tasks[0].name!r} {id(tasks[0]):#x}" in str(caught.value)
    pycoro.killall(tasks)


def test_a_condition_that_is_waited_for_is_not_held(tmp_path: Path) -> None:
    """Neither ours, nor the standard library's, which waits for a lock that it has acquired."""
    program = tmp_path / "program.py"  # what is held is found in a source
    source = """
        from pycoro import monkey
        monkey.patch_all()
        import queue, re, threading
        import pycoro
        from pycoro.lock import Condition, Semaphore

        ours, theirs = Condition(Semaphore()), threading.Condition(threading.Lock())
        items = queue.Queue()
        def waits_for_ours():
            with ours:
                ours.wait()
        def waits_for_theirs():
            with theirs:
                theirs.wait()
        def takes():
            items.get()
        def wants(lock):
            with lock:
                pass
        def holds():
            with ours, theirs, items.mutex:
                threading.Event().wait()
        tasks = [pycoro.spawn(f) for f in (waits_for_ours, waits_for_theirs, takes, holds)]
        tasks += [pycoro.spawn(wants, lock) for lock in (ours._lock, theirs._lock, items.mutex)]
        try:
            pycoro.joinall(tasks)
        except pycoro.LoopExit as error:
            for line in str(error).splitlines():
                if "each other" in line or "itself" in line or "held by" in line:
                    print(line.strip())
        pycoro.killall(tasks)
    """
    program.write_text(textwrap.dedent(source))
    lines = output_of(f"import runpy; runpy.run_path({str(program)!r})")
    assert lines == ["held by Task 'holds'"] * 3


def test_a_chain_is_no_ring() -> None:
    lock = RLock()
    event = Event()

    def has_it() -> None:
        with lock:
            event.wait()

    def wants_it() -> None:
        with lock:
            pass

    tasks = [pycoro.spawn(has_it), pycoro.spawn(wants_it)]
    assert loop_exit(lambda: pycoro.joinall(tasks), *tasks) == [
        "3 wait:",
        "    the main program waits in joinall() of <2 of 2: Task 'has_it', Task 'wants_it'>",
        "        at here in <lambda>",
        "    Task 'has_it' waits in Event.wait() of <Event clear links[1]>",
        "        at here in has_it",
        "    Task 'wants_it' waits in RLock.acquire() of <RLock owner='has_it' count=1>",
        "        at here in wants_it",
        "        held by Task 'has_it'",
    ]


def test_who_wants_the_lock_of_a_condition_back() -> None:
    condition = Condition()

    def waits() -> None:
        with condition:
            condition.wait()

    def notifies() -> None:
        with condition:
            condition.notify()
            task.join()

    task, other = pycoro.spawn(waits), pycoro.spawn(notifies)
    assert loop_exit(other.join, task, other)[:6] == [
        "These 2 wait for each other:",
        "    Task 'notifies' waits in Task.join() of Task 'waits'",
        "        at here in notifies",
        "    Task 'waits' waits in Condition.wait() of "
        "<Condition of <RLock owner='notifies' count=1> waiting[0]>",
        "        at here in waits",
        "        held by Task 'notifies'",
    ]


# ---- lists ----


def test_those_that_do_the_same_are_one_line() -> None:
    jobs, other = Event(), AsyncResult()

    def worker() -> None:
        jobs.wait()

    tasks = [pycoro.spawn(worker) for _ in range(500)] + [pycoro.spawn(other.get)]
    assert loop_exit(lambda: pycoro.joinall(tasks), *tasks) == [
        "502 wait:",
        "    the main program waits in joinall() of "
        "<501 of 501: Task 'worker', Task 'worker', Task 'worker', and 498 more>",
        "        at here in <lambda>",
        "    Task 'worker' and 499 more wait in Event.wait() of <Event clear links[500]>",
        "        at here in worker",
        "    Task 'AsyncResult.get' waits in AsyncResult.get() of <AsyncResult unset links[1]>",
    ]


def test_it_stays_short() -> None:
    def waits_for_its_own() -> None:
        Event().wait()

    tasks = [pycoro.spawn(waits_for_its_own) for _ in range(2500)]
    lines = loop_exit(lambda: pycoro.joinall(tasks), *tasks)
    assert lines[0] == "2,501 wait:"
    assert lines[-2:] == [
        "    and 1,988 more at 1,988 other places",
        "    and 501 more, not looked at",
    ]
    assert len(lines) < 40


def test_the_standard_library_is_not_all_there_is_to_say() -> None:
    numbers: queue.Queue[int] = queue.Queue()
    numbers.not_empty = Condition(RLock())  # type: ignore[assignment]

    def takes() -> None:
        numbers.get()

    task = pycoro.spawn(takes)
    lines = loop_exit(task.join, task)
    assert lines[3:] == [
        "    Task 'takes' waits in Condition.wait() of <Condition of <RLock unlocked> waiting[1]>",
        "        at queue in Queue.get, called from here in takes",
    ]


def test_a_plain_coroutine_waits_for_a_switch() -> None:
    coroutine = pycoro.Coroutine(lambda: pycoro.current().parent.switch())
    coroutine.switch()
    assert loop_exit(Event().wait)[3:] == [
        "    Coroutine '<lambda>' waits for a switch()",
        "        at here in <lambda>",
    ]
    coroutine.switch()


def test_a_repr_that_fails_does_no_harm() -> None:
    class Broken(Event):
        def __repr__(self) -> str:
            raise KeyError

    class Long(Event):
        def __repr__(self) -> str:
            return "long " * 1000

    tasks = [pycoro.spawn(Broken().wait), pycoro.spawn(Long().wait)]
    lines = loop_exit(lambda: pycoro.joinall(tasks), *tasks)
    assert lines[3] == (
        "    Task 'Event.wait' waits in Event.wait() of <Broken whose repr raises KeyError>"
    )
    assert lines[4].endswith(" long long...") or lines[4].endswith("lo...")
    assert len(lines[4]) < 300


def test_a_report_that_fails_is_no_reason_not_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(deadlock, "look", fails)
    with pytest.raises(LoopExit, match=r"could not be found out: ValueError\('broken'\)"):
        Event().wait()


def test_each_kind_says_what_it_is() -> None:
    def acquire_again() -> None:
        semaphore.wait()

    semaphore, barrier, condition = Semaphore(0), Barrier(2), Condition()
    condition.acquire()
    calls = [
        semaphore.acquire,
        acquire_again,
        barrier.wait,
        condition.wait,
        AsyncResult().wait,
    ]
    tasks = [pycoro.spawn(call) for call in calls[:3]]
    log = loop_exit(condition.wait, *tasks)
    assert [line.split(" waits in ")[1] for line in log if " waits in " in line] == [
        "Condition.wait() of <Condition of <RLock unlocked> waiting[1]>",
        "Semaphore.acquire() of <Semaphore counter=0 links[2]>",
        "Semaphore.wait() of <Semaphore counter=0 links[2]>",
        "Barrier.wait() of <Barrier 1 of 2>",
    ]
    condition.release()


# ---- at any time ----


def test_a_report_of_those_that_wait_for_time_or_are_about_to_go_on() -> None:
    event, gone = Event(), Event()

    def sleeps() -> None:
        pycoro.sleep(1000)

    tasks = [pycoro.spawn(sleeps), pycoro.spawn(event.wait), pycoro.spawn(gone.wait)]
    pycoro.sleep(0)
    gone.set()  # it has its turn, and does not wait any more
    assert plain(deadlock.report()) == [
        "2 wait:",
        "    Task 'sleeps' waits in sleep()",
        "        at here in sleeps",
        "    Task 'Event.wait' waits in Event.wait() of <Event clear links[1]>",
    ]
    pycoro.killall(tasks)
    assert deadlock.report() == "0 wait"


def test_a_report_from_within_a_task_shows_the_main_program() -> None:
    assert plain(pycoro.spawn(deadlock.report).get()) == [
        "1 waits:",
        "    the main program waits in Task.get() of Task 'report'",
        "        at here in test_a_report_from_within_a_task_shows_the_main_program",
    ]


def test_a_report_in_a_thread_that_knows_no_coroutines() -> None:
    assert in_thread(deadlock.report) == "0 wait"


# ---- when it comes ----


def test_a_ring_over_two_threads_names_both() -> None:
    locks = [RLock(), RLock()]
    both = threading.Barrier(2)
    said: list[list[str]] = []

    def takes_both(mine: int) -> None:
        with locks[mine]:
            both.wait()
            with locks[1 - mine]:
                pass

    def run(mine: int) -> None:
        task = pycoro.spawn(takes_both, mine)
        try:
            task.join()
        except LoopExit as error:
            said.append(plain(str(error)))
            task.kill()

    worker = threading.Thread(target=run, args=(1,), name="worker")
    worker.start()
    run(0)
    worker.join()
    first = said[0]
    assert first[1] == "These 2 wait for each other:"
    # Whose loop is the last to fall asleep is the one that says so.
    foreign = " of thread 'worker'"
    lines = [line for line in first if " waits in RLock" in line]
    assert sorted(foreign in line or " of thread 'MainThread'" in line for line in lines) == [
        False,
        True,
    ]
    assert len(said) == 1  # the kill has released a lock, and the other one went on


def test_it_comes_when_the_last_other_thread_ends() -> None:
    event = Event()

    def run() -> None:
        pycoro.sleep(0.005)

    worker = threading.Thread(target=run)
    worker.start()
    with pytest.raises(LoopExit):
        event.wait()
    worker.join()


def test_it_comes_when_the_last_thread_without_a_loop_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which tells nobody, so it is looked for."""
    monkeypatch.setattr(deadlock, "LOOK_AGAIN", 0.001)
    go = threading.Event()
    worker = threading.Thread(target=go.wait)
    worker.start()
    pycoro.get_loop().call_soon(go.set)
    with pytest.raises(LoopExit):
        Event().wait()
    worker.join()


def test_it_does_not_come_while_a_thread_without_a_loop_may_set_it() -> None:
    event = Event()
    go = threading.Event()

    def sets() -> None:
        go.wait()
        event.set()

    worker = threading.Thread(target=sets)
    worker.start()
    pycoro.get_loop().call_soon(go.set)
    assert event.wait()
    worker.join()


def test_a_thread_that_has_just_been_made_counts() -> None:
    """Before it has run at all, the interpreter does not count it."""
    for _ in range(50):
        event = Event()
        _thread.start_new_thread(event.set, ())
        assert event.wait()


def test_a_handler_of_a_signal_counts_also_for_those_whom_the_main_thread_may_wake() -> None:
    lines = output_of("""
        import signal, threading
        import pycoro
        from pycoro.event import Event

        asked, answered = Event(), Event()
        signal.signal(signal.SIGALRM, lambda number, frame: asked.set())

        def answers():
            asked.wait()
            answered.set()

        worker = threading.Thread(target=answers)
        worker.start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        print(answered.wait())
        worker.join()
    """)
    assert lines == ["True"]


def test_loop_exit_leaves_tasks_as_they_are() -> None:
    event = Event()
    task = pycoro.spawn(event.wait)
    for _ in range(2):
        with pytest.raises(LoopExit):
            task.join()
    event.set()
    assert task.get() is True


# ---- guessing what a frame holds ----


class Holder:
    __slots__ = ("items", "lock", "named")

    def __init__(self) -> None:
        self.lock, self.items, self.named = Semaphore(), [Semaphore()], {"a": Semaphore()}

    @property
    def computed(self) -> Any:
        raise AssertionError("a report runs no code")


def held_by(function: Callable[..., Any], *args: Any) -> list[Any]:
    """What is found in the function's frame, at the place where it calls `stop`."""
    sources = Sources()
    found: list[Any] = []

    def stop(entering: Any = None) -> None:
        found.append(sources.held(sys._getframe(1), entering))

    function(stop, *args)
    assert len(found) == 1
    return found[0]  # type: ignore[no-any-return]


def test_what_a_with_statement_holds() -> None:
    a, b, holder = Semaphore(), Semaphore(), Holder()

    def inside(stop: Any) -> None:
        with a, holder.lock:
            with holder.items[0] as _, holder.named["a"]:
                stop()

    def after(stop: Any) -> None:
        with a:
            pass
        with b:
            stop()
        with holder.lock:
            pass

    def within_a_call(stop: Any) -> None:
        with a:
            sorted([1], key=lambda _: 1 if a.locked() else 0)
            max(1, len([stop()]))

    def in_another_function(stop: Any) -> None:
        def never() -> None:
            with b:
                pass

        with a:
            stop()

    def hidden(stop: Any) -> None:
        with holder.lock:
            with a if a else b:
                stop()

    assert held_by(inside) == [a, holder.lock, holder.items[0], holder.named["a"]]
    assert held_by(after) == [b]
    assert held_by(within_a_call) == [a]
    assert held_by(in_another_function) == [a]
    assert held_by(hidden) == [holder.lock]


def test_what_was_acquired_last_is_held() -> None:
    a, b = Semaphore(), Semaphore(5)

    def tries(stop: Any) -> None:
        a.acquire()
        try:
            b.acquire()
            b.release()
            stop()
        finally:
            a.release()

    def again(stop: Any) -> None:
        a.acquire()
        a.release()
        b.acquire(timeout=1)
        stop()
        b.release()

    assert held_by(tries) == [a]
    assert held_by(again) == [b]


class Entering:
    """Looks at the frame that enters it."""

    def __init__(self, found: list[Any]) -> None:
        self.found = found

    def __enter__(self) -> None:
        self.found.append(Sources().held(sys._getframe(1), self))

    def __exit__(self, *args: object) -> None:
        pass


def test_what_is_being_entered_is_not_held_yet() -> None:
    found: list[Any] = []
    a, last, entering = Semaphore(), Semaphore(), Entering(found)

    def in_one() -> None:
        with a, entering, last:
            pass

    def in_two() -> None:
        with a:
            with entering:
                pass

    in_one()
    in_two()
    assert found == [[a], [a]]


def test_no_source_no_guess() -> None:
    found: list[Any] = []
    names = {"a": Semaphore(), "entering": Entering(found)}
    exec("with a, entering: pass", names)
    exec(compile("with a, entering: pass", __file__, "exec"), names)  # and the wrong source
    assert found == [[], []]


def test_signals_that_only_python_itself_handles_do_not_count() -> None:
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_DFL
    with pytest.raises(LoopExit):
        Event().wait()


def test_a_ring_through_joinall() -> None:
    lock = RLock()

    def holds() -> None:
        with lock:
            pycoro.joinall([pycoro.spawn(wants)])

    def wants() -> None:
        lock.acquire()

    task = pycoro.spawn(holds)
    lines = loop_exit(task.join, task)
    pycoro.wait(timeout=1)
    assert lines[:6] == [
        "These 2 wait for each other:",
        "    Task 'holds' waits in joinall() of <1 of 1: Task 'wants'>",
        "        at here in holds",
        "    Task 'wants' waits in RLock.acquire() of <RLock owner='holds' count=1>",
        "        at here in wants",
        "        held by Task 'holds'",
    ]
