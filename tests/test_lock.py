"""Semaphores and RLock as gevent has them, Condition and Barrier as threading has them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from helpers import in_thread, output_of
from peers import Api

import pycoro
from pycoro import lock as locks
from pycoro.event import Event
from pycoro.lock import (
    Barrier,
    BoundedSemaphore,
    BrokenBarrierError,
    Condition,
    DummySemaphore,
    RLock,
    Semaphore,
)
from pycoro.scope import CancelScope
from pycoro.turns import TurnClock

SEMAPHORES = ["Semaphore", "BoundedSemaphore"]
LOCKS = [*SEMAPHORES, "RLock"]


@pytest.fixture(params=LOCKS)
def lock(api: Api, request: pytest.FixtureRequest) -> Any:
    return getattr(api.lock, request.param)()


# ---- any lock ----


def test_one_has_it_and_the_others_get_it_in_their_order(api: Api, lock: Any) -> None:
    log: list[Any] = []

    def run(name: str) -> None:
        with lock:
            log.append(f"{name} in")
            api.sleep(0)
            log.append(f"{name} out")

    names = "abcd"
    api.joinall([api.spawn(run, name) for name in names])
    assert log == [f"{name} {what}" for name in names for what in ("in", "out")]
    assert not lock.locked()


def test_who_releases_and_takes_it_again_stands_behind_those_who_wait(api: Api, lock: Any) -> None:
    log: list[str] = []

    def run(name: str) -> None:
        for _ in range(3):
            lock.acquire()
            log.append(name)
            api.sleep(0)
            lock.release()
            if api.is_gevent:  # there, the waiter gets it in its turn only, and others before
                api.sleep(0)

    api.joinall([api.spawn(run, name) for name in "abc"])
    assert log == ["a", "b", "c"] * 3


def test_blocking_and_timeouts(api: Api, lock: Any) -> None:
    assert lock.acquire(blocking=False)
    log: list[Any] = []

    def tries() -> None:
        log.append(lock.acquire(False))
        log.append(lock.acquire(blocking=False, timeout=1000))
        log.append(lock.acquire(timeout=0.001))
        log.append(lock.acquire(True, 0))

    api.spawn(tries).join()
    assert [bool(one) for one in log] == [False] * 4
    assert lock.locked()
    lock.release()
    assert api.spawn(lock.acquire, timeout=0).get()


def test_a_timeout_and_a_kill_leave_the_queue_in_order(api: Api, lock: Any) -> None:
    log: list[Any] = []

    def run(name: str, timeout: float | None = None) -> None:
        if lock.acquire(timeout=timeout):
            log.append(name)
            api.sleep(0)
            lock.release()
        else:
            log.append(f"{name} gave up")

    lock.acquire()
    tasks = [api.spawn(run, "a"), api.spawn(run, "b", 0.001), api.spawn(run, "c")]
    last = api.spawn(run, "d")
    api.settle()
    tasks[1].join()
    tasks[0].kill()
    lock.release()
    api.joinall([*tasks, last])
    assert log == ["b gave up", "c", "d"]
    assert lock.acquire(blocking=False)
    lock.release()


def test_a_kill_of_who_has_just_got_it_passes_it_on(api: Api, lock: Any) -> None:
    log: list[str] = []

    def run(name: str) -> None:
        with lock:
            log.append(name)

    lock.acquire()
    killed, other = api.spawn(run, "killed"), api.spawn(run, "other")
    api.settle()
    lock.release()
    killed.kill(block=False)
    api.joinall([killed, other])
    assert log[-1] == "other"
    assert not lock.locked()


def test_a_timeout_object_goes_off_in_who_waits(api: Api, lock: Any) -> None:
    log: list[Any] = []

    def run() -> None:
        with api.Timeout(0.001) as outer:
            try:
                lock.acquire()
            except api.Timeout as error:
                log.append(error is outer)

    lock.acquire()
    api.spawn(run).join()
    assert log == [True]
    lock.release()
    assert not lock.locked()


def test_an_exception_in_the_block_releases_it(api: Api, lock: Any) -> None:
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert not lock.locked()


def test_it_has_weak_references_and_no_cycle(api: Api, lock: Any) -> None:
    with lock:
        pass
    reference = weakref.ref(lock)
    assert type(lock).__name__ in repr(lock)
    kind = type(lock)
    del lock
    one = kind()
    api.spawn(one.acquire).join()
    reference = weakref.ref(one)
    del one
    assert reference() is None


@pytest.mark.parametrize("kind", LOCKS)
def test_bad_timeouts_are_refused_where_it_would_wait(kind: str) -> None:
    lock = getattr(locks, kind)()
    pycoro.spawn(lock.acquire).join()
    with pytest.raises(TypeError, match="timeout must be a number of seconds, not str"):
        lock.acquire(timeout="soon")
    with pytest.raises(ValueError, match="not NaN"):
        lock.acquire(timeout=float("nan"))
    assert lock.acquire(timeout=0.0001) is False


@pytest.mark.parametrize("kind", LOCKS)
def test_a_callback_of_the_loop_takes_what_is_free_and_must_not_wait(kind: str) -> None:
    lock = getattr(locks, kind)()
    log: list[Any] = []

    def takes() -> None:
        log.append(lock.acquire())

    def waits() -> None:
        try:
            with lock:
                log.append("got it")
        except RuntimeError as error:
            log.append(str(error))

    pycoro.get_loop().call_soon(takes)
    pycoro.sleep(0)
    if kind == "RLock":  # the loop's own; a task's is another
        return
    pycoro.get_loop().call_soon(waits)
    pycoro.sleep(0)
    assert log[0] is True
    assert "spawn a task" in log[1]
    assert lock.linkcount() == 0
    lock.release()
    assert not lock.locked()


# ---- semaphores ----


@pytest.fixture(params=SEMAPHORES)
def kind(api: Api, request: pytest.FixtureRequest) -> Any:
    return getattr(api.lock, request.param)


def test_as_many_as_its_value(api: Api, kind: Any) -> None:
    semaphore = kind(3)
    inside: list[int] = []
    most: list[int] = []

    def run(number: int) -> None:
        with semaphore:
            inside.append(number)
            most.append(len(inside))
            api.sleep(0)
            inside.remove(number)

    assert (semaphore.counter, semaphore.locked(), semaphore.ready()) == (3, False, True)
    api.joinall([api.spawn(run, number) for number in range(10)])
    assert (max(most), semaphore.counter) == (3, 3)
    for _ in range(3):
        assert semaphore.acquire()
    assert (semaphore.counter, semaphore.locked(), semaphore.ready()) == (0, True, False)


def test_values(api: Api, kind: Any) -> None:
    assert kind().counter == 1
    assert kind(0).locked()
    assert kind(value=True).counter == 1
    with pytest.raises(ValueError, match="semaphore initial value must be >= 0"):
        kind(-1)
    for nonsense in ("1", None):
        with pytest.raises(TypeError, match="int"):
            kind(nonsense)


def test_one_that_begins_at_zero_counts_what_is_released(api: Api) -> None:
    semaphore = api.lock.Semaphore(0)
    tasks = [api.spawn(semaphore.acquire) for _ in range(2)]
    api.settle()
    for _ in range(3):
        semaphore.release()
    api.joinall(tasks)
    assert [task.value for task in tasks] == [True, True]
    assert semaphore.counter == 1


def test_a_bounded_one_is_not_released_too_often(api: Api) -> None:
    semaphore = api.lock.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="Semaphore released too many times"):
        semaphore.release()
    assert semaphore.counter == 2
    with semaphore:
        semaphore.release()
        with pytest.raises(ValueError, match="Semaphore released too many times"):
            semaphore.__exit__(None, None, None)
        semaphore.acquire()
    assert semaphore.counter == 2


def test_anybody_may_release_it(api: Api, kind: Any) -> None:
    semaphore = kind()
    semaphore.acquire()
    api.spawn(semaphore.release).join()
    assert semaphore.counter == 1


def test_wait_takes_nothing(api: Api, kind: Any) -> None:
    semaphore = kind(1)
    assert (semaphore.wait(), semaphore.counter) == (1, 1)
    semaphore.acquire()
    assert semaphore.wait(timeout=0.001) == 0
    assert semaphore.wait(timeout=0) == 0
    log: list[Any] = []

    def waits(name: str) -> None:
        log.append((name, semaphore.wait()))

    def takes() -> None:
        semaphore.acquire()
        log.append("takes")

    tasks = [api.spawn(waits, "first"), api.spawn(waits, "second"), api.spawn(takes)]
    api.settle()
    semaphore.release()
    api.joinall(tasks)
    # Ours hands it over at once: those before see that it is free, and then that it has gone.
    free = 1 if api.is_gevent else 0
    assert log == [("first", free), ("second", free), "takes"]


def test_one_who_only_waits_can_be_killed(api: Api, kind: Any) -> None:
    semaphore = kind(1)
    semaphore.acquire()
    waiter, taker = api.spawn(semaphore.wait), api.spawn(semaphore.acquire)
    api.settle()
    waiter.kill()
    semaphore.release()
    assert taker.get() is True
    assert semaphore.counter == 0


def test_links_are_called_when_it_is_free(api: Api, kind: Any) -> None:
    semaphore = kind(1)
    log: list[Any] = []

    def link(source: Any) -> None:
        log.append(source is semaphore)

    def never(source: Any) -> None:
        log.append("never")

    semaphore.rawlink(link)
    api.settle()
    assert log == [True]
    semaphore.acquire()
    semaphore.rawlink(never)
    semaphore.rawlink(link)
    semaphore.unlink(never)
    semaphore.unlink(print)
    assert semaphore.linkcount() == 1
    api.settle()
    semaphore.release()
    api.settle()
    assert (log, semaphore.linkcount(), semaphore.counter) == ([True, True], 0, 1)
    with pytest.raises(TypeError, match="callable"):
        semaphore.rawlink(3)


def test_the_hub_that_gevent_takes_does_no_harm(api: Api, kind: Any) -> None:
    assert kind(2, api.get_hub()).counter == 2
    assert kind(value=2, hub=None).counter == 2


def test_dummies(api: Api) -> None:
    dummy = api.lock.DummySemaphore()
    assert (dummy.acquire(), dummy.acquire(False, 3), dummy.wait(), dummy.wait(1)) == (1, 1, 1, 1)
    assert (dummy.locked(), dummy.ready(), dummy.release()) == (False, True, None)
    with dummy, dummy:
        pass
    api.lock.DummySemaphore(5)
    dummy.unlink(print)


def test_a_dummy_tells_its_links() -> None:
    """gevent's does not: whoever waits for one would wait forever."""
    log: list[Any] = []
    dummy = DummySemaphore()
    dummy.rawlink(log.append)
    pycoro.sleep(0)
    assert log == [dummy]
    with pytest.raises(TypeError, match="callable"):
        dummy.rawlink(3)


# ---- RLock ----


def test_its_owner_takes_it_again(api: Api) -> None:
    lock = api.lock.RLock()
    log: list[Any] = []

    def other() -> None:
        log.append(bool(lock.acquire(False)))
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock.release()
        with lock:
            log.append("other")

    assert lock.acquire()
    with lock:
        assert lock.acquire(blocking=False)
        lock.release()
    task = api.spawn(other)
    api.settle()
    assert (log, lock.locked()) == ([False], True)
    lock.release()
    task.join()
    assert (log, lock.locked()) == ([False, "other"], False)


def test_release_of_an_rlock_that_nobody_has(api: Api) -> None:
    lock = api.lock.RLock()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        lock.release()
    with lock:
        pass
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        lock.__exit__(None, None, None)
    assert not lock.locked()


def test_threading_s_condition_works_with_it(api: Api) -> None:
    """For what they ask of a lock: _release_save, _acquire_restore, _is_owned."""
    lock = api.lock.RLock()
    lock.acquire()
    lock.acquire()
    assert lock._is_owned()
    saved = lock._release_save()
    assert (lock.locked(), lock._is_owned()) == (False, False)
    lock._acquire_restore(saved)
    lock.release()
    assert lock.locked()
    lock.release()
    assert not lock.locked()


def test_an_rlock_of_several_threads() -> None:
    lock = RLock()
    log: list[Any] = []

    def other() -> None:
        log.append(lock.acquire(False))
        try:
            lock.release()
        except RuntimeError as error:
            log.append(str(error)[:30])

    with lock:
        in_thread(other)
    assert log == [False, "cannot release un-acquired loc"]
    in_thread(lambda: (lock.acquire(), lock.acquire(), lock.release(), lock.release()))
    assert not lock.locked()


# ---- Condition ----


@pytest.fixture(params=["pycoro", "threading"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ours, and threading's: with tasks there, with threads here."""

    class Module:
        name = request.param
        source: ModuleType = locks if request.param == "pycoro" else threading
        Condition = source.Condition  # type: ignore[attr-defined]
        Barrier = source.Barrier  # type: ignore[attr-defined]

        @staticmethod
        def start(function: Any, *args: Any) -> Any:
            if request.param == "pycoro":
                return pycoro.spawn(function, *args)
            thread = threading.Thread(target=function, args=args)
            thread.start()
            return thread

        @staticmethod
        def settle(is_so: Any) -> None:
            """Lets the others run until that is true."""
            while not is_so():
                pycoro.sleep(0.0001)

    return Module()


def test_a_condition_is_a_buffer_s(module: Any) -> None:
    condition = module.Condition()
    buffer: list[int] = []
    log: list[int] = []

    def consumes() -> None:
        for _ in range(5):
            with condition:
                while not buffer:
                    condition.wait()
                log.append(buffer.pop(0))
                condition.notify()

    def produces() -> None:
        for number in range(5):
            with condition:
                condition.wait_for(lambda: not buffer)
                buffer.append(number)
                condition.notify()

    started = [module.start(consumes), module.start(produces)]
    for one in started:
        one.join()
    assert log == list(range(5))


def test_notify_wakes_as_many_as_asked_in_their_order(module: Any) -> None:
    condition = module.Condition()
    waiting: list[int] = []
    log: list[int] = []

    def waits(number: int) -> None:
        with condition:
            waiting.append(number)
            condition.wait()
            log.append(number)

    started = []
    for number in range(5):
        started.append(module.start(waits, number))
        module.settle(lambda: len(waiting) > number)  # noqa: B023
    with condition:
        condition.notify()
        condition.notify(2)
        assert log == []
    module.settle(lambda: len(log) == 3)
    assert sorted(log) == [0, 1, 2]
    with condition:
        condition.notify_all()
        condition.notify(5)
    for one in started:
        one.join()
    assert sorted(log) == [0, 1, 2, 3, 4]
    if module.name == "pycoro":
        assert log == [0, 1, 2, 3, 4]


def test_time_limits_of_a_condition(module: Any) -> None:
    condition = module.Condition()
    with condition:
        assert condition.wait(0.001) is False
        assert condition.wait(0) is False
        assert condition.wait_for(lambda: 0, timeout=0.001) == 0
        assert condition.wait_for(lambda: "so", timeout=0.001) == "so"
        assert condition.wait_for(lambda: False, timeout=0) is False
    assert condition.acquire(False)
    condition.release()


def test_a_condition_asks_for_its_lock(module: Any) -> None:
    condition = module.Condition()
    for call in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError, match="un-acquired lock"):
            call()
    with pytest.raises(RuntimeError, match="un-acquired lock"):
        condition.wait_for(lambda: False)


def test_an_rlock_is_released_as_often_as_it_was_taken(module: Any) -> None:
    condition = module.Condition()
    log: list[Any] = []

    def notifies() -> None:
        with condition:
            log.append("notifies")
            condition.notify()

    with condition, condition:
        other = module.start(notifies)
        condition.wait()
        log.append("goes on")
    other.join()
    assert log == ["notifies", "goes on"]
    with pytest.raises(RuntimeError):
        condition.release()


@pytest.mark.parametrize("make", [Semaphore, BoundedSemaphore, RLock, threading.Lock])
def test_a_condition_over_any_lock(make: Any) -> None:
    lock = make()
    condition, other = Condition(lock), Condition(lock)
    log: list[str] = []

    def waits() -> None:
        with condition:
            condition.wait()
            log.append("woken")
            other.notify()

    task = pycoro.spawn(waits)
    pycoro.sleep(0)
    with lock:
        condition.notify()
        if not isinstance(lock, type(threading.Lock())):  # the task would block the thread
            assert other.wait(1000)
    task.join()
    assert log == ["woken"]
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        condition.notify()
    assert lock.acquire(False)


def test_one_killed_while_it_waits_for_a_condition_has_the_lock_when_it_is_told() -> None:
    condition = Condition()
    log: list[Any] = []

    def waits() -> None:
        with condition:
            try:
                condition.wait()
            finally:
                log.append(condition._lock._is_owned())

    task = pycoro.spawn(waits)
    pycoro.sleep(0)
    with condition:
        task.kill(block=False)
        pycoro.sleep(0)
        task.kill(KeyError, block=False)
        pycoro.sleep(0)
        assert (log, task.ready()) == ([], False)  # it waits for the lock
    task.join()
    assert log == [True]
    assert not condition._lock.locked()
    assert pycoro.get_loop().errors == {}


def test_a_notify_that_comes_with_a_kill_wakes_the_next() -> None:
    condition = Condition()
    log: list[str] = []

    def waits(name: str) -> None:
        with condition:
            condition.wait()
            log.append(name)

    killed, other = pycoro.spawn(waits, "killed"), pycoro.spawn(waits, "other")
    pycoro.sleep(0)
    with condition:
        condition.notify()
        killed.kill(block=False)
    pycoro.joinall([killed, other])
    assert log == ["other"]
    assert not condition._lock.locked()


def test_a_time_limit_of_a_condition_does_not_limit_the_wait_for_the_lock() -> None:
    condition = Condition()
    log: list[Any] = []

    def waits() -> None:
        with condition:
            log.append(condition.wait(0.0005))

    task = pycoro.spawn(waits)
    pycoro.sleep(0)
    with condition:
        pycoro.sleep(0.002)
        assert log == []
    task.join()
    assert log == [False]


def test_one_that_is_unwound_while_it_wants_the_lock_back_leaves_the_queue() -> None:
    condition = Condition()
    log: list[Any] = []
    waiting, notified = threading.Event(), threading.Event()

    def waits() -> None:
        condition.acquire()
        try:
            condition.wait()
        except pycoro.CoroutineExit:
            log.append(condition._lock._is_owned())

    def run() -> None:
        tasks.append(pycoro.spawn(waits))
        pycoro.sleep(0)
        waiting.set()
        notified.wait()
        while not condition._lock._block.linkcount():
            pycoro.sleep(0)
        # The thread ends, and unwinds its tasks.

    tasks: list[Any] = []
    worker = threading.Thread(target=run)
    worker.start()
    waiting.wait()
    with condition:
        condition.notify()
        notified.set()
        worker.join()
        assert (log, condition._lock._block.linkcount()) == ([False], 0)
    assert not condition._lock.locked()


def test_what_ends_the_main_program_does_not_wait_for_the_lock() -> None:
    condition = Condition()

    def holds() -> None:
        with condition:
            condition.notify()
            Event().wait()

    task = pycoro.spawn(holds)
    with pytest.raises(pycoro.LoopExit, match=r"Condition\.wait"), condition:
        condition.wait()
    assert condition._lock._block.linkcount() == 0
    task.kill()
    assert not condition._lock.locked()


def test_ctrl_c_ends_it_while_it_wants_the_lock_back() -> None:
    lines = output_of("""
        import os, signal
        import pycoro
        from pycoro.lock import Condition

        condition = Condition()
        def holds():
            with condition:
                condition.notify()
                pycoro.get_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
                pycoro.sleep(1000)
        task = pycoro.spawn(holds)
        try:
            with condition:
                condition.wait()
        except KeyboardInterrupt:
            print("interrupted", condition._lock._block.linkcount())
        task.kill()
        print(condition._lock.locked())
    """)
    assert lines == ["interrupted 0", "False"]


def test_a_cancelled_scope_is_left_with_the_lock() -> None:
    condition = Condition()
    log: list[Any] = []
    scopes: list[Any] = []

    def waits(cancels: bool) -> None:
        with CancelScope() as scope, condition:
            scopes.append(scope)
            pycoro.sleep(0)
            if cancels:  # before it waits: every wait is refused, but not that for the lock
                scope.cancel()
            try:
                condition.wait()
            finally:
                log.append(condition._lock._is_owned())

    def holds() -> None:
        with condition:
            scopes[-1].cancel()
            pycoro.sleep(0)
            log.append("holder")

    for cancels in (True, False):
        pycoro.joinall([pycoro.spawn(waits, cancels), pycoro.spawn(holds)])
        assert log == ["holder", True]
        assert not condition._lock.locked()
        log.clear()


def test_ctrl_c_ends_what_takes_and_releases_a_lock_for_ever_and_never_waits() -> None:
    """It may come in the middle of a release, which it must not end: then it comes after that."""
    lines = output_of("""
        import _thread, random, threading, time
        import pycoro
        from pycoro.lock import Semaphore

        pycoro.sleep(0)
        lock, caught = Semaphore(), 0

        def interrupts():
            time.sleep(random.random() * 0.01)
            _thread.interrupt_main()

        for _ in range(12):
            interrupter = threading.Thread(target=interrupts)
            try:
                interrupter.start()
                while True:
                    with lock:
                        pass
            except KeyboardInterrupt:
                caught += 1
            interrupter.join()
        pycoro.sleep(0.05)
        print(caught, lock.counter)
    """)
    assert lines == ["12 1"]


def test_bad_timeouts_of_a_condition_change_nothing() -> None:
    condition = Condition()
    with condition:
        for call in (condition.wait, lambda timeout: condition.wait_for(bool, timeout)):
            with pytest.raises(TypeError, match="timeout must be"):
                call("soon")
            with pytest.raises(ValueError, match="NaN"):
                call(float("nan"))
        assert len(condition._queue) == 0


# ---- Barrier ----


def test_all_meet_again_and_again(module: Any) -> None:
    log: list[Any] = []
    barrier = module.Barrier(3, action=lambda: log.append("action"))
    numbers: list[int] = []

    def run(name: str) -> None:
        for turn in range(3):
            log.append(turn)
            numbers.append(barrier.wait())

    started = [module.start(run, name) for name in "abc"]
    for one in started:
        one.join()
    assert [sorted(log[i : i + 3]) for i in (0, 4, 8)] == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert [log[i] for i in (3, 7, 11)] == ["action"] * 3
    assert sorted(numbers) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)


def broken_by(module: Any, barrier: Any, how: Any) -> list[Any]:
    """What happens to two that wait at the barrier."""
    log: list[Any] = []

    def run() -> None:
        try:
            log.append(barrier.wait())
        except threading.BrokenBarrierError:
            log.append("broken")

    started = [module.start(run) for _ in range(2)]
    module.settle(lambda: barrier.n_waiting == 2)
    how()
    for one in started:
        one.join()
    return log


def test_abort_and_reset(module: Any) -> None:
    barrier = module.Barrier(3)
    assert broken_by(module, barrier, barrier.abort) == ["broken"] * 2
    assert (barrier.broken, barrier.n_waiting) == (True, 0)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken
    assert broken_by(module, barrier, barrier.reset) == ["broken"] * 2
    assert sorted(broken_by(module, barrier, barrier.wait)) == [0, 1]
    assert not barrier.broken


def test_a_time_limit_breaks_it(module: Any) -> None:
    barrier = module.Barrier(3)

    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.001)
    assert barrier.broken
    barrier = module.Barrier(3, timeout=0.001)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    assert barrier.broken


def test_an_action_that_fails_breaks_it(module: Any) -> None:
    def fails() -> None:
        raise KeyError("action")

    barrier = module.Barrier(3, fails)

    def comes() -> None:
        with pytest.raises(KeyError, match="action"):
            barrier.wait()

    assert broken_by(module, barrier, comes) == ["broken"] * 2
    assert barrier.broken


def test_a_kill_breaks_it() -> None:
    barrier = Barrier(3)
    tasks = [pycoro.spawn(barrier.wait) for _ in range(2)]
    pycoro.sleep(0)
    pycoro.get_loop().handle_error = lambda *args: None  # type: ignore[method-assign]
    try:
        tasks[0].kill()
        pycoro.joinall(tasks)
    finally:
        del pycoro.get_loop().handle_error
    assert isinstance(tasks[1].exception, BrokenBarrierError)
    assert barrier.broken


def test_bad_arguments_of_a_barrier() -> None:
    with pytest.raises(ValueError, match="parties must be > 0"):
        Barrier(0)
    with pytest.raises(TypeError, match="action must be callable"):
        Barrier(1, "nonsense")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout must be"):
        Barrier(1, timeout="soon")  # type: ignore[arg-type]
    barrier = Barrier(2)
    with pytest.raises(ValueError, match="NaN"):
        barrier.wait(float("nan"))


# ---- threads ----


@pytest.mark.parametrize("kind", LOCKS)
def test_a_thread_and_a_task_share_a_lock(kind: str) -> None:
    lock = getattr(locks, kind)()
    log: list[str] = []
    held, release = threading.Event(), Event()

    def run() -> None:
        with lock:
            held.set()
            release.wait()
            log.append("thread")

    worker = threading.Thread(target=run)
    worker.start()
    held.wait()

    def task() -> None:
        with lock:
            log.append("task")

    task = pycoro.spawn(task)
    pycoro.sleep(0)
    release.set()
    task.join()
    worker.join()
    assert log == ["thread", "task"]
    assert not lock.locked()


def test_a_fork_s_child_hands_nothing_to_the_parent_s_waiters() -> None:
    """Those that wait in the parent are in the child's queue, too, and never go on there."""
    lines = output_of(
        """
        import os, threading
        import pycoro
        from pycoro.lock import Semaphore, RLock, Condition

        semaphore, condition = Semaphore(0), Condition()
        def waits():
            with condition:
                condition.wait()
        def run():
            tasks = [pycoro.spawn(semaphore.acquire), pycoro.spawn(semaphore.wait)]
            semaphore.acquire()
            pycoro.joinall(tasks)
        worker = threading.Thread(target=run)
        worker.start()
        while semaphore.linkcount() < 3:
            pycoro.sleep(0)
        tasks = [pycoro.spawn(semaphore.acquire), pycoro.spawn(waits)]
        pycoro.sleep(0)
        pid = os.fork()
        if pid == 0:
            semaphore.release()
            with condition:
                condition.notify()
            print(semaphore.acquire(timeout=0.1), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        for _ in range(3):
            semaphore.release()
        with condition:
            condition.notify()
        pycoro.joinall(tasks)
        worker.join()
        print("parent")
        """,
        "-Wignore::DeprecationWarning",  # of forking with threads
    )
    assert lines == ["True", "parent"]


def test_a_kill_is_not_lost_where_a_time_limit_comes_before_the_lock() -> None:
    def waits() -> None:
        with condition:
            try:
                with pycoro.Timeout(0.002):
                    condition.wait()
            except pycoro.Timeout:
                log.append("the time was over")
        log.append("goes on")

    log: list[str] = []
    condition = Condition()
    task = pycoro.spawn(waits)
    pycoro.sleep(0)
    with condition:
        task.kill(block=False)
        pycoro.sleep(0.005)  # the kill has broken off its wait, and now it waits for the lock
    task.join()
    assert log == []
    assert isinstance(task.value, pycoro.GreenletExit)


def test_two_time_limits_that_wait_for_a_lock_keep_no_processor_busy() -> None:
    def waits() -> None:
        with condition:
            with pycoro.Timeout(0.001) as outer, pycoro.Timeout(0.002):
                try:
                    condition.wait()
                except pycoro.Timeout as error:
                    log.append(error is outer)

    log: list[bool] = []
    condition = Condition()
    task = pycoro.spawn(waits)
    pycoro.sleep(0)
    with condition:
        condition.notify()
        clock = TurnClock.of(pycoro.get_loop(), log)
        former = clock.count
        pycoro.sleep(0.01)
        clock.remove(log)
    task.join()
    assert clock.count - former < 10
    assert log == [True]
