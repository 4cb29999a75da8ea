"""Cancel scopes: when a wait is refused, who catches what, and that nothing gets lost."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from pycoro import Coroutine, CoroutineExit, Timeout, current, get_loop, sleep, spawn
from pycoro.deadlines import (
    checkpoint,
    checkpoint_if_cancelled,
    current_effective_deadline,
    current_time,
    fail_after,
    fail_at,
    move_on_after,
    move_on_at,
)
from pycoro.errors import Cancelled
from pycoro.event import Event
from pycoro.lock import Condition, Semaphore
from pycoro.scope import CancelScope
from pycoro.testing import VirtualClock, wait_all_tasks_blocked

pytestmark = pytest.mark.usefixtures("clock")

Log = list[Any]


# ---- being cancelled ----


def test_the_block_is_left_at_its_deadline(clock: VirtualClock) -> None:
    with move_on_after(5) as scope:
        sleep(100)
    assert clock.now == 5.0
    assert scope.cancelled_caught and scope.cancel_called
    sleep(1)
    assert clock.now == 6.0


def test_a_block_that_is_quick_enough_is_not_touched(clock: VirtualClock) -> None:
    with move_on_after(5) as scope:
        sleep(4)
    sleep(10)
    assert not scope.cancelled_caught and not scope.cancel_called


def test_each_wait_is_refused_until_the_block_is_left(clock: VirtualClock) -> None:
    log: Log = []
    with move_on_after(1) as scope:
        for wait in (
            lambda: sleep(10),
            lambda: sleep(0),
            Event().wait,
            Semaphore(0).acquire,
            checkpoint,
        ):
            with pytest.raises(Cancelled) as caught:
                wait()
            log.append((clock.now, caught.value.scope is scope))
        try:
            sleep(1)
        finally:
            with pytest.raises(Cancelled):
                sleep(1)
    assert log == [(1.0, True)] * 5
    sleep(1)
    assert clock.now == 2.0


def test_what_need_not_wait_is_not_refused() -> None:
    event, semaphore = Event(), Semaphore()
    event.set()
    with CancelScope() as scope:
        scope.cancel()
        assert event.wait()
        assert semaphore.acquire()
    assert not scope.cancelled_caught


def test_who_has_been_woken_is_not_broken_off() -> None:
    event, log = Event(), []

    def waiter() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            log.append(event.wait())
            sleep(1)
            log.append("not here")

    scopes: list[CancelScope] = []
    task = spawn(waiter)
    sleep(0)
    event.set()
    scopes[0].cancel()
    task.join()
    assert log == [True]


def test_what_a_cancelled_waiter_would_have_got_goes_to_another() -> None:
    semaphore, log = Semaphore(0), []

    def waiter(scope: CancelScope) -> None:
        with scope:
            log.append(semaphore.acquire())

    scopes = [CancelScope(), CancelScope()]
    tasks = [spawn(waiter, scope) for scope in scopes]
    sleep(0)
    scopes[0].cancel()
    semaphore.release()
    for task in tasks:
        task.join()
    assert log == [True]
    assert [scope.cancelled_caught for scope in scopes] == [True, False]


def test_cancel_by_another_task_and_the_message() -> None:
    def canceller() -> None:
        scope.cancel()

    with CancelScope() as scope:
        spawn(canceller)
        with pytest.raises(Cancelled, match=r"'main'.*test_scope\.py.*called by .*canceller"):
            sleep(1)
    with CancelScope() as scope:
        scope.cancel("the user went away")
        scope.cancel("again")
        with pytest.raises(Cancelled, match=r"the user went away$"):
            sleep(1)
    with move_on_after(1):
        with pytest.raises(Cancelled, match=r"its deadline has passed$"):
            sleep(2)


def test_a_scope_that_is_cancelled_before_it_is_entered() -> None:
    scope = CancelScope()
    scope.cancel()
    with scope:
        with pytest.raises(Cancelled):
            sleep(1)
        sleep(1)
    assert scope.cancelled_caught


def test_cancel_after_the_end_does_nothing() -> None:
    with CancelScope() as scope:
        pass
    scope.cancel()
    assert not scope.cancel_called
    assert get_loop().cancelling == 0


def test_a_plain_exception_passes() -> None:
    with pytest.raises(KeyError):
        with CancelScope() as scope:
            scope.cancel()
            raise KeyError
    assert not scope.cancelled_caught


def test_swallowing_cancelled_does_not_help() -> None:
    turns = 0
    with CancelScope() as scope:
        scope.cancel()
        for _ in range(10):
            try:
                sleep(1)
            except Cancelled:
                turns += 1
    assert turns == 10
    assert not scope.cancelled_caught  # the block has ended by itself


# ---- nesting ----


def test_the_outermost_cancelled_scope_is_left(clock: VirtualClock) -> None:
    log: Log = []
    with move_on_after(5) as outer:
        with move_on_after(10) as inner:
            sleep(20)
        log.append("not here")
    assert (log, clock.now) == ([], 5.0)
    assert (outer.cancelled_caught, inner.cancelled_caught) == (True, False)

    with CancelScope() as outer:
        with CancelScope() as inner:
            inner.cancel()
            outer.cancel()
            sleep(1)
        log.append("not here")
    assert (log, outer.cancelled_caught, inner.cancelled_caught) == ([], True, False)


def test_the_inner_one_catches_what_it_has_raised_though_the_outer_one_is_cancelled_meanwhile() -> (
    None
):
    log: Log = []
    with CancelScope() as outer:
        with CancelScope() as inner:
            inner.cancel()
            try:
                sleep(1)
            finally:
                outer.cancel()
        log.append("between")
        sleep(1)
        log.append("not here")
    assert log == ["between"]
    assert outer.cancelled_caught and inner.cancelled_caught


def test_the_inner_one_is_left_and_the_outer_one_goes_on(clock: VirtualClock) -> None:
    with move_on_after(10) as outer:
        with move_on_after(1) as inner:
            sleep(5)
        sleep(2)
    assert clock.now == 3.0
    assert inner.cancelled_caught and not outer.cancelled_caught


def test_a_cancelled_that_belongs_to_nobody_any_more_goes_on() -> None:
    kept: list[BaseException] = []
    with CancelScope() as scope:
        scope.cancel()
        try:
            sleep(1)
        except Cancelled as error:
            kept.append(error)
    with pytest.raises(Cancelled) as caught:
        with CancelScope() as other:
            other.cancel()
            raise kept[0]
    assert caught.value is kept[0]
    assert "left" in str(caught.value)


# ---- shields ----


def test_a_shield_keeps_an_outer_cancellation_away(clock: VirtualClock) -> None:
    log: Log = []
    with move_on_after(1) as outer:
        try:
            sleep(10)
        finally:
            with CancelScope(shield=True) as inner:
                sleep(5)
                log.append(clock.now)
            log.append(inner.cancelled_caught)
    assert log == [6.0, False]
    assert outer.cancelled_caught


def test_a_shield_does_not_keep_its_own_deadline_away(clock: VirtualClock) -> None:
    with CancelScope() as outer:
        outer.cancel()
        with move_on_after(3, shield=True) as inner:
            sleep(10)
        assert inner.cancelled_caught
        assert clock.now == 3.0


def test_a_shield_does_not_keep_a_kill_away() -> None:
    def shielded() -> None:
        with CancelScope(shield=True):
            sleep(100)

    task = spawn(shielded)
    sleep(1)
    task.kill()
    assert isinstance(task.value, CoroutineExit)


def test_what_the_shield_kept_away_comes_when_it_is_lowered(clock: VirtualClock) -> None:
    scopes: list[CancelScope] = []

    def shielded() -> None:
        with CancelScope() as outer:
            with CancelScope(shield=True) as inner:
                scopes.extend((outer, inner))
                sleep(100)

    task = spawn(shielded)
    sleep(1)
    scopes[0].cancel()
    sleep(1)
    assert not task.ready()
    scopes[1].shield = False
    task.join()
    assert clock.now == 2.0
    assert [scope.cancelled_caught for scope in scopes] == [True, False]


def test_a_shield_can_be_raised_inside(clock: VirtualClock) -> None:
    with move_on_after(1) as outer:
        with CancelScope() as inner:
            try:
                sleep(5)
            finally:
                inner.shield = True
                sleep(2)
                inner.shield = False
                with pytest.raises(Cancelled):
                    sleep(1)
    assert outer.cancelled_caught
    assert clock.now == 3.0


# ---- deadlines ----


def test_a_deadline_can_be_moved_while_inside(clock: VirtualClock) -> None:
    with CancelScope() as scope:
        assert scope.deadline == inf
        scope.deadline = current_time() + 2
        scope.deadline = current_time() + 7
        assert scope.deadline == 7.0
        sleep(20)
    assert clock.now == 7.0
    with move_on_after(1) as scope:
        scope.deadline = inf
        sleep(20)
    assert not scope.cancelled_caught
    with move_on_after(10) as scope:
        scope.deadline = clock.now  # which is now
        with pytest.raises(Cancelled):
            sleep(1)


def test_a_deadline_that_has_passed_is_at_once(clock: VirtualClock) -> None:
    sleep(10)
    for scope in (move_on_after(0), move_on_at(5), move_on_at(-inf)):
        with scope:
            sleep(0)
            raise AssertionError
        assert scope.cancelled_caught
    assert clock.now == 10.0


def test_seconds_count_from_entering(clock: VirtualClock) -> None:
    scope = move_on_after(5)
    assert scope.deadline == 5.0
    sleep(10)
    assert scope.deadline == 15.0
    with scope:
        sleep(100)
    assert clock.now == 15.0
    with move_on_after(None) as scope:
        assert scope.deadline == inf


def test_move_on_at_and_fail_at(clock: VirtualClock) -> None:
    with move_on_at(3):
        sleep(10)
    assert clock.now == 3.0
    with pytest.raises(TimeoutError, match=r"fail_at\(4\)"):
        with fail_at(4):
            sleep(10)
    assert clock.now == 4.0


def test_fail_after_says_whose_time_is_over(clock: VirtualClock) -> None:
    def slow() -> None:
        with fail_after(2):
            sleep(10)

    task = spawn(slow)
    with pytest.raises(TimeoutError, match=r"fail_after\(2\) of .*slow.* at .*test_scope\.py:\d+"):
        task.get()
    with pytest.raises(TimeoutError) as caught:
        with fail_after(5):
            with fail_after(2) as inner:
                sleep(10)
    assert caught.value.scope is inner  # type: ignore[attr-defined]
    assert isinstance(caught.value.__cause__, Cancelled)


def test_fail_after_is_silent_where_it_is_cancelled_by_hand(clock: VirtualClock) -> None:
    with fail_after(5) as scope:
        scope.cancel()
        sleep(1)
    assert scope.cancelled_caught
    with move_on_after(1) as outer, fail_after(5):
        sleep(10)
    assert outer.cancelled_caught
    with fail_after(1):  # over time, but it did not wait
        clock._set(clock.now + 10)


def test_the_effective_deadline(clock: VirtualClock) -> None:
    assert current_effective_deadline() == inf
    with move_on_after(5) as outer:
        assert current_effective_deadline() == 5.0
        with move_on_after(10) as inner:
            assert current_effective_deadline() == inner.effective_deadline == 5.0
            inner.shield = True
            assert current_effective_deadline() == 10.0
            inner.shield = False
            inner.deadline = 3
            assert (current_effective_deadline(), outer.effective_deadline) == (3.0, 5.0)
            outer.cancel()
            assert current_effective_deadline() == -inf
    assert inner.effective_deadline == 3.0


def test_cancel_called_sees_a_deadline_that_the_loop_has_not_seen(clock: VirtualClock) -> None:
    with move_on_after(1) as scope:
        assert not scope.cancel_called
        clock._set(2.0)
        assert scope.cancel_called
        with pytest.raises(Cancelled):
            sleep(1)


def test_checkpoints(clock: VirtualClock) -> None:
    log: Log = []
    spawn(log.append, "other")
    checkpoint()
    assert log == ["other"]
    checkpoint_if_cancelled()
    with move_on_after(1) as outer:
        checkpoint_if_cancelled()
        with CancelScope(shield=True):
            outer.cancel()
            checkpoint()
            checkpoint_if_cancelled()
        with pytest.raises(Cancelled):
            checkpoint()
        spawn(log.append, "another")
        with pytest.raises(Cancelled):
            checkpoint_if_cancelled()
        assert log == ["other"]
    with move_on_after(1) as outer:
        clock._set(clock.now + 2)  # as if something had computed for long
        with pytest.raises(Cancelled) as caught:
            checkpoint_if_cancelled()
        assert caught.value.scope is outer
    sleep(0)
    assert log == ["other", "another"]


def test_a_loop_that_computes_is_cancelled_by_its_checkpoints(clock: VirtualClock) -> None:
    turns = 0
    with move_on_after(5) as scope:
        while True:
            turns += 1
            clock._set(clock.now + 1)
            checkpoint()
    assert scope.cancelled_caught
    assert turns == 6  # the loop sees the fifth when it has its turn


# ---- with kill, Timeout and others ----


def test_a_kill_is_not_caught() -> None:
    scopes: list[CancelScope] = []

    def killed() -> None:
        with CancelScope() as scope:
            scopes.append(scope)
            sleep(100)

    task = spawn(killed)
    sleep(1)
    task.kill()
    assert isinstance(task.value, CoroutineExit)
    assert not scopes[0].cancelled_caught


def both(first: str) -> tuple[Log, Any]:
    """A kill and a cancellation arrive at once."""
    log: Log = []

    def victim() -> None:
        with scope:
            try:
                sleep(100)
            except BaseException as error:
                log.append(type(error).__name__)
                raise
        log.append("left")
        try:
            sleep(100)
        except BaseException as error:
            log.append(type(error).__name__)
            raise

    scope = CancelScope()
    task = spawn(victim)
    sleep(1)
    if first == "kill":
        task.kill(block=False)
        scope.cancel()
    else:
        scope.cancel()
        task.kill(block=False)
    task.join()
    return log, task.value


def test_a_kill_and_a_cancellation_at_once() -> None:
    log, value = both("kill")
    assert log == ["CoroutineExit"]
    assert isinstance(value, CoroutineExit)
    log, value = both("cancel")
    assert log == ["Cancelled", "left", "CoroutineExit"]
    assert isinstance(value, CoroutineExit)


def test_a_kill_is_not_lost_where_clean_up_code_waits_in_a_cancelled_scope() -> None:
    log: Log = []

    def victim() -> None:
        with scope:
            try:
                sleep(100)
            finally:
                scope.cancel()
                sleep(1)  # refused, and this takes the place of the kill
        log.append("not here")

    scope = CancelScope()
    task = spawn(victim)
    sleep(1)
    task.kill()
    assert isinstance(task.value, CoroutineExit)
    assert log == []
    assert not scope.cancelled_caught


def test_a_kill_that_is_being_handled_outside_is_not_raised_again() -> None:
    log: Log = []

    def victim() -> None:
        try:
            sleep(100)
        except CoroutineExit:
            with move_on_after(1):
                sleep(5)
            log.append("cleaned up")
            raise

    task = spawn(victim)
    sleep(1)
    task.kill()
    assert log == ["cleaned up"]


def test_several_kills_of_different_kinds_all_arrive() -> None:
    log: Log = []

    def victim() -> None:
        while len(log) < 4:
            try:
                sleep(100)
            except BaseException as error:
                log.append(type(error).__name__)

    task = spawn(victim)
    sleep(1)
    for error in (KeyError, CoroutineExit, CoroutineExit, ValueError, IndexError):
        task.kill(error, block=False)
    task.join()
    assert log == ["KeyError", "CoroutineExit", "ValueError", "IndexError"]


def test_what_is_put_off_comes_also_to_who_does_not_wait() -> None:
    log: Log = []

    def victim() -> None:
        try:
            sleep(100)
        except KeyError:
            log.append("KeyError")
        helper = Coroutine(lambda: sleep(100))
        try:
            helper.switch()  # which is no wait
        except ValueError:
            log.append("ValueError")
        helper.throw()

    task = spawn(victim)
    sleep(1)
    task.kill(KeyError, block=False)
    task.kill(ValueError, block=False)
    task.get()
    assert log == ["KeyError", "ValueError"]
    # And who has ended takes it along.
    task = spawn(sleep, 100)
    sleep(1)
    task.kill(block=False)
    task.kill(KeyError, block=False)
    task.join()
    sleep(0)
    assert isinstance(task.value, CoroutineExit)


def test_a_timeout_stays_what_it_is(clock: VirtualClock) -> None:
    with Timeout(1, False) as timeout:
        with CancelScope() as scope:
            sleep(10)
    assert clock.now == 1.0
    assert not scope.cancelled_caught
    with pytest.raises(Timeout) as caught:
        with Timeout(1) as timeout, move_on_after(5):
            sleep(10)
    assert caught.value is timeout


def test_a_timeout_and_a_deadline_at_the_same_time(clock: VirtualClock) -> None:
    """Each of the two inside, each of the two first. Neither comes once its block has been left."""
    log: Log = []
    with move_on_at(1):
        with Timeout(1, False):
            sleep(10)
        log.append("not here")
    with move_on_at(10) as outer:
        with Timeout(1, False):
            outer.deadline = 2
            sleep(10)
        log.append("Timeout, then")
        sleep(0)
        log.append("not here")
    assert clock.now == 2.0
    with Timeout(1, False):
        with move_on_at(3):
            sleep(10)
        log.append("not here")
    with Timeout(1, False) as timeout:
        with move_on_at(4):
            timeout.cancel()
            timeout.start()
            sleep(10)
        log.append("Cancelled, then")
        sleep(10)
        log.append("not here")
    assert clock.now == 4.0
    sleep(100)
    assert log == ["Timeout, then", "Cancelled, then"]


def test_ctrl_c_passes_a_scope_and_a_shield() -> None:
    loop = get_loop()
    loop.call_later(1, loop.interrupt_main, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        with CancelScope() as scope, CancelScope(shield=True):
            scope.cancel()
            sleep(10)


def test_the_rest_of_a_group_goes_on() -> None:
    def cancelled() -> Cancelled:
        try:
            sleep(1)
        except Cancelled as error:
            return error
        raise AssertionError

    with CancelScope() as scope:
        scope.cancel()
        raise BaseExceptionGroup("", [cancelled(), BaseExceptionGroup("", [cancelled()])])
    assert scope.cancelled_caught
    cause = OSError()
    with pytest.raises(ExceptionGroup) as caught:
        with CancelScope() as scope:
            scope.cancel()
            raise BaseExceptionGroup("both", [cancelled(), KeyError()]) from cause
    assert caught.value.message == "both"
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert caught.value.__cause__ is cause
    assert scope.cancelled_caught
    with pytest.raises(ExceptionGroup):
        with CancelScope() as scope:
            scope.cancel()
            raise ExceptionGroup("", [KeyError()])
    assert not scope.cancelled_caught


# ---- who is inside ----


def test_a_plain_task_is_outside_of_all_scopes(clock: VirtualClock) -> None:
    with move_on_after(1):
        task = spawn(sleep, 10)
        task.join()
    assert clock.now == 1.0
    assert not task.ready()
    task.get()
    assert clock.now == 10.0


def test_a_condition_has_its_lock_again_when_cancelled() -> None:
    condition = Condition()
    log: Log = []

    def waiter() -> None:
        with scope:
            with condition:
                try:
                    condition.wait()
                finally:
                    condition.notify()  # RuntimeError without the lock
                    log.append("notified")
        log.append("left")

    scope = CancelScope()
    task = spawn(waiter)
    sleep(1)
    with condition:
        scope.cancel()
        sleep(1)
        assert log == []
    task.get()
    assert log == ["notified", "left"]


# ---- misuse ----


def test_a_scope_is_for_one_block() -> None:
    scope = CancelScope()
    with scope:
        with pytest.raises(RuntimeError, match="for one block"):
            scope.__enter__()
    with pytest.raises(RuntimeError, match="for one block"):
        with scope:
            pass


def test_it_is_left_once_and_not_before_it_is_entered() -> None:
    scope = CancelScope()
    with pytest.raises(RuntimeError, match="it is not entered"):
        scope.__exit__(None, None, None)
    with scope:
        pass
    with pytest.raises(RuntimeError, match="it is left"):
        scope.__exit__(None, None, None)


def test_out_of_order() -> None:
    outer, inner = CancelScope(), CancelScope()
    outer.__enter__()
    inner.__enter__()
    outer.cancel()
    with pytest.raises(RuntimeError, match="before <CancelScope entered"):
        outer.__exit__(None, None, None)
    assert get_loop().cancelling == 0
    sleep(1)
    inner.cancel()
    with pytest.raises(Cancelled):
        sleep(1)
    inner.__exit__(None, None, None)
    assert get_loop().cancelling == 0
    sleep(1)


def test_a_chain_of_three_out_of_order() -> None:
    scopes = [CancelScope() for _ in range(3)]
    for scope in scopes:
        scope.__enter__()
    with pytest.raises(RuntimeError, match="inside of it"):
        scopes[1].__exit__(None, None, None)
    scopes[0].cancel()
    with pytest.raises(Cancelled):
        sleep(1)
    scopes[2].__exit__(None, None, None)
    scopes[0].__exit__(None, None, None)
    sleep(1)


def test_leaving_it_in_another_task() -> None:
    def suspended() -> Iterator[None]:
        with CancelScope() as scope:
            scopes.append(scope)
            scope.cancel()
            yield

    scopes: list[CancelScope] = []
    generator = suspended()
    next(generator)
    task = spawn(generator.close)
    with CancelScope(shield=True):
        with pytest.raises(RuntimeError, match=r"was left by <Task .*close"):
            task.get()
    assert get_loop().cancelling == 0
    sleep(1)
    assert not scopes[0].cancelled_caught


def test_leaving_it_in_another_thread() -> None:
    scope = CancelScope()
    scope.__enter__()
    scope.cancel()
    errors: list[BaseException] = []

    def leave() -> None:
        try:
            scope.__exit__(None, None, None)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert "by another thread" in str(errors[0])
    with pytest.raises(Cancelled):
        sleep(1)
    with CancelScope(shield=True):
        wait_all_tasks_blocked()
    assert get_loop().cancelling == 0


@pytest.mark.parametrize("make", [CancelScope, move_on_at, fail_at, move_on_after, fail_after])
def test_bad_numbers(make: Any) -> None:
    with pytest.raises(TypeError, match="must be a number of seconds, not str"):
        make("1")
    with pytest.raises(ValueError, match="not NaN"):
        make(float("nan"))
    with pytest.raises(TypeError, match="shield must be a bool, not int"):
        make(1, shield=1)


def test_other_bad_arguments(clock: VirtualClock) -> None:
    for make in (move_on_after, fail_after):
        with pytest.raises(ValueError, match=r"max\(0, seconds\)"):
            make(-1)
    with move_on_after(5) as scope:
        with pytest.raises(ValueError, match="NaN"):
            scope.deadline = float("nan")
        with pytest.raises(TypeError, match="NoneType"):
            scope.deadline = None  # type: ignore[assignment]
        with pytest.raises(TypeError, match="bool"):
            scope.shield = None  # type: ignore[assignment]
        assert (scope.deadline, scope.shield) == (5.0, False)


def test_repr_tells_whose_it_is_where_and_how_it_is() -> None:
    scope = CancelScope(shield=True)
    assert repr(scope).startswith("<CancelScope not entered, a shield 0x")
    assert scope.place == "nowhere"
    with scope:
        line = (scope.place or "").rpartition(":")[2]
        assert f"entered, of 'main' at {__file__}:{line}, a shield" in repr(scope)
        scope.cancel()
    assert "left, of 'main'" in repr(scope)
    assert ", cancelled, a shield" in repr(scope)


# ---- threads, signals, the end of a coroutine ----


def test_cancel_from_another_thread() -> None:
    event = Event()
    with CancelScope() as scope:
        thread = threading.Thread(target=scope.cancel)
        get_loop().call_soon(thread.start)
        event.wait()
    thread.join()
    assert scope.cancelled_caught
    assert "cancel" in scope.why


def test_deadline_and_shield_set_by_another_thread(clock: VirtualClock) -> None:
    def change() -> None:
        scope.deadline = 3.0
        inner.shield = False

    with CancelScope() as scope:
        with CancelScope(shield=True) as inner:
            thread = threading.Thread(target=change)
            thread.start()
            thread.join()
            sleep(10)
    assert scope.cancelled_caught
    assert clock.now == 3.0


def test_cancel_in_a_signal_handler() -> None:
    former = signal.signal(signal.SIGUSR1, lambda *_: scope.cancel("a signal"))
    try:
        with CancelScope() as scope:
            get_loop().call_soon(signal.raise_signal, signal.SIGUSR1)
            Event().wait()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert scope.why == "a signal"


def test_a_signal_handler_in_the_middle_of_going_to_wait() -> None:
    """The coroutine says what it waits for, and does not stand there yet."""
    loop = get_loop()
    with CancelScope() as scope:
        event = Event()
        loop.enlist(event)
        scope.cancel()  # as a handler would
        current()._wait = None
        assert loop.cancelling == 0
        event.wait()
    assert scope.cancelled_caught


def test_a_coroutine_that_is_dropped_leaves_its_cancelled_scopes() -> None:
    log: Log = []

    def lonely() -> None:
        with scope:
            with CancelScope(shield=True):
                try:
                    main.switch()
                finally:
                    log.append("unwound")

    main, scope = current(), CancelScope()
    coroutine = Coroutine(lonely)
    coroutine.switch()
    scope.cancel()
    assert get_loop().cancelling == 1
    del coroutine
    assert log == ["unwound"]
    assert get_loop().cancelling == 0


def test_one_whose_object_has_died_leaves_its_scopes() -> None:
    """It ignores CoroutineExit once, and goes on to its end under another object."""
    log: Log = []

    def stubborn() -> None:
        with scope:
            try:
                main.switch()
            except CoroutineExit:
                log.append("ignored")
            main.switch()

    main, scope = current(), CancelScope()
    coroutine = Coroutine(stubborn)
    coroutine.switch()
    scope.cancel()
    del coroutine
    gc.collect()
    main.switch()
    assert log == ["ignored"]
    assert scope._state == "left"
    assert get_loop().cancelling == 0


def test_a_thread_that_ends_leaves_its_scopes() -> None:
    log: Log = []

    def stays() -> None:
        with move_on_after(1000) as scope:
            try:
                sleep(2000)
            finally:
                scope.cancel()
                log.append("unwound")

    def thread() -> None:
        tasks.append(spawn(stays))
        sleep(0)

    tasks: Log = []
    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    assert log == ["unwound"]


def test_without_scopes_the_loop_is_asked_nothing() -> None:
    with CancelScope() as scope:
        assert get_loop().cancelling == 0
        scope.cancel()
        assert get_loop().cancelling == 1
        with CancelScope() as inner:
            inner.cancel()
            assert get_loop().cancelling == 2
    assert get_loop().cancelling == 0
