"""What comes where it is not expected: a plain switch() into one that waits, an exception thrown
into the loop, a callback for a loop that has ended; and what must not outlast a task.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest
from helpers import output_of
from peers import Api

import pycoro
from pycoro import Coroutine, InvalidSwitchError, Loop, Timeout, get_loop, sleep, spawn
from pycoro.event import AsyncResult, Event
from pycoro.greenlet import getcurrent, greenlet
from pycoro.lock import DummySemaphore, RLock, Semaphore
from pycoro.queue import Queue

# ---- a plain switch() ----


@pytest.mark.parametrize("values", [(), ("value",), ("several", "values")])
def test_a_switch_into_a_wait_is_an_error_there(api: Api, values: tuple[str, ...]) -> None:
    lock = api.lock.Semaphore(0)
    log: list[Any] = []

    def wait() -> None:
        try:
            log.append(lock.acquire())
        except api.InvalidSwitchError:
            log.append("invalid")
        log.append(lock.acquire())

    task = api.spawn(wait)
    api.sleep(0)
    api.get_hub().loop.run_callback(task.switch, *values)
    api.settle()
    lock.release()
    task.join()
    assert log == ["invalid", True]
    assert lock.counter == 0


WAITS = {
    "Semaphore": lambda: Semaphore(0).acquire(),
    "RLock": lambda: taken(RLock()).acquire(),
    "Event": lambda: Event().wait(),
    "AsyncResult": lambda: AsyncResult().get(),
    "Queue": lambda: Queue().get(),
    "sleep": lambda: sleep(60),
    "join": lambda: pycoro.wait([Event()], timeout=60),
}


def taken(lock: Any) -> Any:
    Coroutine(lock.acquire).switch()
    return lock


@pytest.mark.parametrize("what", WAITS)
def test_nothing_that_is_waited_for_takes_a_switch_for_its_end(clean_loop: None, what: str) -> None:
    task = spawn(WAITS[what])
    sleep(0)
    get_loop().call_soon(task.switch)
    with pytest.raises(InvalidSwitchError, match="a plain switch"):
        task.get()


def test_a_child_that_ends_does_not_end_its_parents_wait(clean_loop: None) -> None:
    inside: list[Coroutine] = []

    def parent() -> None:
        child = Coroutine(lambda: inside[0].switch() or "the child's result")
        inside.extend([pycoro.current(), child])
        child.switch()
        sleep(60)

    task = spawn(parent)
    sleep(0)
    get_loop().call_soon(inside[1].switch)
    with pytest.raises(InvalidSwitchError, match="the child's result"):
        task.get()


def ending_into_a_wait(values: tuple[Any, ...], make: Any, running: Any) -> tuple[Any, Semaphore]:
    """A task whose child, made by `make`, is called to end into its wait for a semaphore."""
    lock = Semaphore(0)
    inside: list[Any] = []

    def parent() -> bool:
        me = running()
        child = make(lambda: (me.switch(), values)[1])
        inside.append(child)
        child.switch()
        return lock.acquire()

    task = spawn(parent)
    sleep(0)
    get_loop().call_soon(inside.pop().switch)
    return task, lock


@pytest.mark.parametrize(("make", "running"), [(Coroutine, pycoro.current), (greenlet, getcurrent)])
def test_an_empty_tuple_as_a_childs_result_is_no_wake_up(
    clean_loop: None, make: Any, running: Any
) -> None:
    task, lock = ending_into_a_wait((), make, running)
    with pytest.raises(InvalidSwitchError):
        task.get()
    lock.release()
    assert lock.counter == 1


@pytest.mark.parametrize(("make", "running"), [(Coroutine, pycoro.current), (greenlet, getcurrent)])
def test_nor_is_a_switch_to_an_ended_child(clean_loop: None, make: Any, running: Any) -> None:
    def parent() -> bool:
        child = make(lambda: None)
        child.switch()
        get_loop().call_soon(child.switch)
        return Semaphore(0).acquire()

    with pytest.raises(InvalidSwitchError):
        spawn(parent).get()


def test_a_turn_that_is_left_over_ends_no_later_wait(clean_loop: None) -> None:
    """One that is ready is switched to, ahead of its turn, which comes all the same."""
    log: list[str] = []

    def body() -> None:
        sleep(0)
        log.append("went on")
        Semaphore(0).acquire()
        log.append("acquired")

    task = spawn(body)
    get_loop().call_soon(task.switch)
    with pytest.raises(InvalidSwitchError):
        task.get()
    assert log == ["went on"]


def test_who_has_switched_does_not_keep_the_error(clean_loop: None) -> None:
    errors: list[weakref.ref[BaseException]] = []

    def wait() -> None:
        try:
            sleep(60)
        except InvalidSwitchError as error:
            errors.append(weakref.ref(error))

    task = spawn(wait)
    sleep(0)
    other = spawn(task.switch)  # suspended in there for good
    task.join()
    gc.collect()
    assert errors[0]() is None
    assert not other.ready()
    other.kill()


def test_one_whose_wait_is_over_can_be_switched_to(clean_loop: None) -> None:
    log: list[Any] = []

    def body() -> None:
        log.append(Event().wait(timeout=0))
        log.append(pycoro.get_hub().switch())

    task = spawn(body)
    while log == []:
        sleep(0)
    get_loop().call_soon(task.switch, "value")
    task.join()
    assert log == [False, "value"]


@pytest.mark.parametrize("values", [(), ("value",), ("several", "values")])
def test_the_same_of_greenlets(clean_loop: None, values: tuple[str, ...]) -> None:
    log: list[str] = []
    lock = Semaphore(0)
    main = getcurrent()

    def wait() -> None:
        main.switch()
        try:
            lock.acquire()
        except InvalidSwitchError:
            log.append("invalid")

    one = greenlet(wait)
    one.switch()
    spawn(one.switch)  # is left behind in there
    sleep(0)

    def stray() -> None:
        one.parent = getcurrent()
        one.switch(*values)
        log.append("over")

    spawn(stray).join()
    assert log == ["invalid", "over"]


# ---- the loop ----


def test_what_is_thrown_into_the_loop_is_the_main_programs(clean_loop: None) -> None:
    loop = get_loop()
    with pytest.raises(ValueError, match="in main"):
        loop.throw(ValueError("in main"))
    task = spawn(loop.throw, ValueError("in a task"))
    with pytest.raises(ValueError, match="in a task"):
        sleep(60)
    task.join()
    loop.call_soon(loop.throw, ValueError, "in a callback")
    with pytest.raises(ValueError, match="in a callback"):
        sleep(60)
    assert spawn(lambda: sleep(0) or "the loop goes on").get() == "the loop goes on"
    with pytest.raises(TypeError, match="exceptions must be"):
        loop.throw("nonsense")
    assert get_loop() is loop


def ended_loops() -> list[Loop]:
    loops: list[Loop] = []

    def in_thread() -> None:
        loops.append(get_loop())
        sleep(0)

    def in_another() -> None:
        loops.append(get_loop())
        get_loop().destroy()

    for function in (in_thread, in_another):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    return loops


@pytest.mark.parametrize("how", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_a_loop_that_has_ended_refuses_callbacks(how: str) -> None:
    for loop in ended_loops():
        arguments = (0, print) if how == "call_later" else (print,)
        with pytest.raises(RuntimeError, match="the loop is closed"):
            getattr(loop, how)(*arguments)


def test_clean_up_code_after_the_loops_end_may_start_what_never_runs() -> None:
    log: list[Any] = []

    def work() -> None:
        try:
            sleep(60)
        finally:
            tasks = [spawn(log.append, "now"), pycoro.spawn_later(0, log.append, "later")]
            for lock in (Semaphore(), DummySemaphore()):
                lock.rawlink(log.append)
            log.append([bool(task) for task in tasks])
            tasks[1].kill(block=False)
            log.append(tasks[1].ready())

    def in_thread() -> None:
        spawn(work)
        sleep(0)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert log == [[True, True], True]


def test_a_signal_after_the_loops_end_is_no_error() -> None:
    out = output_of(
        """
        import atexit, os, signal
        def late():  # after our own, which is registered later
            os.kill(os.getpid(), signal.SIGUSR1)
            print("went on")
        atexit.register(late)
        import pycoro
        pycoro.signal_handler(signal.SIGUSR1, print)
        pycoro.sleep(0)
        """
    )
    assert out == ["went on"]


def test_what_has_links_in_a_loop_that_has_ended_can_still_be_set() -> None:
    event = Event()

    def link() -> None:
        event.rawlink(print)
        sleep(0)

    thread = threading.Thread(target=link)
    thread.start()
    thread.join()
    event.set()
    assert event.is_set()


def test_a_callback_that_does_not_come_back_is_over_with_the_process() -> None:
    """The loop is unwound in there, and does not go on."""
    out = output_of(
        """
        import pycoro
        child = pycoro.Coroutine(print, None)
        pycoro.get_loop().call_soon(child.switch, "child")  # which ends into its parent, us
        try:
            pycoro.sleep(60)
        except pycoro.InvalidSwitchError:
            print("main")
        """
    )
    assert out == ["child", "main"]


# ---- times, and what outlasts a task ----


def test_a_sleep_that_no_float_can_tell_is_refused(clean_loop: None) -> None:
    with pytest.raises(OverflowError):
        time.sleep(10**400)
    with pytest.raises(OverflowError, match="too large a number of seconds"):
        sleep(10**400)
    with pytest.raises(OverflowError, match="too large a number of seconds"):
        Event().wait(timeout=10**400)
    with pytest.raises(OverflowError, match="too large a number of seconds"):
        Timeout(10**400)


def test_a_timeout_that_is_not_cancelled_does_not_keep_its_task(clean_loop: None) -> None:
    started: list[Timeout] = []
    task = spawn(lambda: started.append(Timeout.start_new(60)))
    task.join()
    weak = weakref.ref(task)
    del task
    gc.collect()
    assert weak() is None
    started[0].cancel()


def test_coroutines_that_start_each_other_without_end_are_a_recursion_error() -> None:
    """In a process of its own: without a limit, it is the memory's."""
    out = output_of(
        """
        import pycoro
        caught = []
        def start(depth):
            try:
                pycoro.Coroutine(lambda: start(depth + 1)).switch()
            except RecursionError as error:  # it comes back to each of them
                caught.append(depth)
                if depth == 999:
                    print(error)
                raise
        for _ in range(2):
            caught.clear()
            try:
                start(0)
            except RecursionError:
                print(caught == list(range(1001))[::-1])
        """
    )
    why = (
        "1,000 coroutines have started each other, one the next by switch(): "
        "sys.setrecursionlimit() allows more; tasks, by spawn(), do not count"
    )
    assert out == [why, "True", why, "True"]


def test_the_same_where_each_second_one_is_a_greenlet() -> None:
    out = output_of(
        """
        import pycoro
        from pycoro.greenlet import greenlet
        def start():
            greenlet(lambda: pycoro.Coroutine(start).switch()).switch()
        try:
            start()
        except RecursionError:
            print("RecursionError")
        """
    )
    assert out == ["RecursionError"]


def test_those_that_take_each_others_place_may_be_many(clean_loop: None) -> None:
    """One that ends starts its parent: of these only one lives at a time."""
    ended: list[int] = []
    last: Coroutine | None = None
    for number in range(3000):
        last = Coroutine(lambda *_, number=number: ended.append(number), last)
    assert last is not None
    last.switch()
    assert len(ended) == 3000


def test_whom_callbacks_start_counts_from_the_loop_whoever_first_switched_there() -> None:
    """That is the last of 200, which would leave room for 99."""
    out = output_of(
        """
        import sys, pycoro
        sys.setrecursionlimit(300)
        def chain(length, then):
            if length:
                pycoro.Coroutine(lambda: chain(length - 1, then)).switch()
            else:
                then()
        def attempt(length):
            try:
                chain(length, lambda: print(length))
            except RecursionError:
                print("RecursionError")
        def switch_to_the_loop():
            loop.call_soon(attempt, 300)
            loop.call_soon(attempt, 301)
            loop.call_soon(pycoro.current().switch)
            loop.switch()
        loop = pycoro.get_loop()
        chain(200, switch_to_the_loop)
        """
    )
    assert out == ["300", "RecursionError"]


def test_a_task_begins_at_no_depth_whoever_waits_when_it_does(clean_loop: None) -> None:
    def deep(n: int) -> int:
        return deep(n - 1) if n else 0

    def wait_deep(n: int) -> None:
        if n:
            wait_deep(n - 1)
        else:
            sleep(0)

    def body() -> int:
        return deep(700)

    task = spawn(body)
    wait_deep(600)
    assert task.get() == 0
