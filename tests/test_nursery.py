"""TaskGroup: nothing outlives its block, and no error gets lost."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest
from helpers import output_of

from pycoro import CoroutineExit, LoopExit, Task, Timeout, current, get_loop, sleep, spawn
from pycoro.deadlines import current_effective_deadline, fail_after, move_on_after
from pycoro.errors import Cancelled, CoroutineError
from pycoro.event import Event
from pycoro.nursery import TaskGroup
from pycoro.scope import CancelScope
from pycoro.testing import VirtualClock, no_tasks_left

pytestmark = pytest.mark.usefixtures("clock")

Log = list[Any]


class Recorder:
    """Sleepers that note how they end, and when."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.log: Log = []

    def sleeper(self, seconds: float, error: BaseException | None = None) -> float:
        try:
            sleep(seconds)
            if error is not None:
                raise error
        except BaseException as caught:
            self.log.append((seconds, type(caught).__name__, self.clock.now))
            raise
        self.log.append((seconds, "done", self.clock.now))
        return seconds

    def clean_up(self, seconds: float) -> None:
        """Takes its time for its end."""
        try:
            sleep(100)
        finally:
            with CancelScope(shield=True):
                self.sleeper(seconds)


@pytest.fixture
def recorder(clock: VirtualClock) -> Recorder:
    return Recorder(clock)


def flat(error: BaseException) -> Log:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in flat(one)]
    return [type(error)]


# ---- the usual ----


def test_the_block_ends_when_all_its_tasks_have_ended(recorder: Recorder) -> None:
    with TaskGroup() as group:
        tasks = [group.spawn(recorder.sleeper, seconds) for seconds in (3, 1, 2)]
        assert group.tasks == tasks
        recorder.log.append("body")
    assert recorder.log == ["body", (1, "done", 1.0), (2, "done", 2.0), (3, "done", 3.0)]
    assert [task.get() for task in tasks] == [3, 1, 2]
    assert [task.value for task in tasks] == [3, 1, 2]
    assert group.tasks == []


def test_a_group_without_tasks() -> None:
    with TaskGroup():
        pass
    with pytest.raises(ExceptionGroup):
        with TaskGroup():
            raise KeyError


def test_the_first_error_cancels_the_others_and_the_block(recorder: Recorder) -> None:
    error = KeyError("first")
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 5)
            group.spawn(recorder.sleeper, 2, error)
            recorder.sleeper(10)
    assert caught.value.exceptions == (error,)
    assert recorder.log == [
        (2, "KeyError", 2.0),
        (10, "Cancelled", 2.0),
        (5, "Cancelled", 2.0),
    ]
    assert group.cancel_scope.cancelled_caught
    assert "KeyError in its task" in group.cancel_scope.why
    assert "test_nursery.py" in str(caught.value)


def test_an_error_of_the_block_cancels_the_tasks(recorder: Recorder) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 5)
            sleep(1)
            raise ValueError("body")
    assert flat(caught.value) == [ValueError]
    assert recorder.log == [(5, "Cancelled", 1.0)]
    assert caught.value.__suppress_context__


def test_errors_are_gathered_in_the_order_they_came(clock: VirtualClock) -> None:
    def fails_in_clean_up(error: Exception, seconds: float) -> None:
        try:
            sleep(100)
        finally:
            with CancelScope(shield=True):
                sleep(seconds)
            raise error

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(fails_in_clean_up, KeyError(), 3)
            group.spawn(fails_in_clean_up, IndexError(), 2)
            sleep(1)
            raise ValueError
    assert flat(caught.value) == [ValueError, IndexError, KeyError]
    assert clock.now == 4.0


def test_an_error_is_reported_by_the_group_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExceptionGroup):
        with TaskGroup() as group:
            task = group.spawn(int, "x")
    assert capsys.readouterr().err == ""
    assert isinstance(task.exception, ValueError)
    with pytest.raises(ValueError, match="invalid literal"):
        task.get()


def test_groups_nest(recorder: Recorder) -> None:
    def inner(error: Exception | None) -> None:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 3)
            group.spawn(recorder.sleeper, 2, error)

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as outer:
            outer.spawn(inner, KeyError())
            outer.spawn(inner, None)
            outer.spawn(recorder.sleeper, 9)
    assert flat(caught.value) == [KeyError]
    assert [entry[1:] for entry in recorder.log] == [
        ("KeyError", 2.0),
        ("done", 2.0),
        ("Cancelled", 2.0),
        ("Cancelled", 2.0),
        ("Cancelled", 2.0),
    ]


def test_tasks_spawn_siblings_also_while_the_block_waits(recorder: Recorder) -> None:
    def parent(generation: int) -> None:
        sleep(1)
        if generation:
            group.spawn(parent, generation - 1)
        recorder.log.append((generation, recorder.clock.now))

    with TaskGroup() as group:
        group.spawn(parent, 3)
    assert recorder.log == [(3, 1.0), (2, 2.0), (1, 3.0), (0, 4.0)]


def test_a_task_that_is_spawned_into_a_cancelled_group_runs_until_its_first_wait() -> None:
    log: Log = []

    def late() -> None:
        log.append("begun")
        sleep(1)
        log.append("not here")

    with TaskGroup() as group:
        group.cancel()
        group.spawn(late)
    assert log == ["begun"]


# ---- being cancelled ----


def test_cancel_leaves_the_block_silently(recorder: Recorder) -> None:
    with TaskGroup() as group:
        task = group.spawn(recorder.sleeper, 5)
        sleep(1)
        group.cancel("enough")
        sleep(1)
        recorder.log.append("not here")
    assert recorder.log == [(5, "Cancelled", 1.0)]
    assert group.cancel_scope.cancelled_caught
    assert not task.successful()
    with pytest.raises(Cancelled, match="enough"):
        task.get()
    sleep(1)


def test_a_deadline_of_the_group(recorder: Recorder) -> None:
    with TaskGroup() as group:
        group.cancel_scope.deadline = 2
        group.spawn(recorder.sleeper, 5)
        group.spawn(recorder.sleeper, 1)
    assert recorder.log == [(1, "done", 1.0), (5, "Cancelled", 2.0)]
    assert group.cancel_scope.cancelled_caught


def test_tasks_are_in_the_scopes_that_the_group_is_in(recorder: Recorder) -> None:
    def tell() -> None:
        recorder.log.append(current_effective_deadline())

    with move_on_after(3) as outer:
        with TaskGroup() as group:
            with move_on_after(1):
                group.spawn(tell)
                group.spawn(recorder.sleeper, 2)
                group.spawn(recorder.sleeper, 5)
                sleep(2)
        recorder.log.append("not here")
    assert recorder.log == [3.0, (2, "done", 2.0), (5, "Cancelled", 3.0)]
    assert outer.cancelled_caught


def test_the_wait_at_the_end_is_cancellable(recorder: Recorder) -> None:
    with pytest.raises(TimeoutError):
        with fail_after(2):
            with TaskGroup() as group:
                group.spawn(recorder.sleeper, 5)
    assert recorder.log == [(5, "Cancelled", 2.0)]


def test_a_shield_of_the_group(recorder: Recorder) -> None:
    with move_on_after(1) as outer:
        with TaskGroup() as group:
            group.cancel_scope.shield = True
            group.spawn(recorder.sleeper, 2)
            sleep(3)
            recorder.log.append("body")
        recorder.log.append("no wait yet")
        sleep(1)
        recorder.log.append("not here")
    assert recorder.log == [(2, "done", 2.0), "body", "no wait yet"]
    assert outer.cancelled_caught


def test_who_swallows_cancelled_is_waited_for(recorder: Recorder) -> None:
    def stubborn() -> None:
        refused = 0
        while refused < 3:
            try:
                sleep(10)
            except Cancelled:
                refused += 1
        with CancelScope(shield=True):
            recorder.sleeper(5)
        return "done"

    with TaskGroup() as group:
        task = group.spawn(stubborn)
        sleep(1)
        group.cancel()
    assert recorder.log == [(5, "done", 6.0)]
    assert task.get() == "done"


def test_errors_come_before_an_outer_cancellation_which_is_not_lost(recorder: Recorder) -> None:
    def fails() -> None:
        try:
            sleep(10)
        finally:
            raise KeyError

    with move_on_after(1) as outer:
        try:
            with TaskGroup() as group:
                group.spawn(fails)
        except* KeyError:
            recorder.log.append("KeyError")
        sleep(1)
        recorder.log.append("not here")
    assert recorder.log == ["KeyError"]
    assert outer.cancelled_caught


def test_a_cancelled_of_no_scope_around_is_an_error() -> None:
    kept: list[BaseException] = []
    with CancelScope() as scope:
        scope.cancel()
        try:
            sleep(1)
        except Cancelled as error:
            kept.append(error)

    def stray() -> None:
        raise kept[0]

    with pytest.raises(BaseExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(stray)
    assert flat(caught.value) == [Cancelled]


def test_groups_that_a_task_raises_lose_what_is_no_error() -> None:
    def mixed() -> None:
        errors: list[BaseException] = [KeyError()]
        try:
            sleep(1)
        except Cancelled as error:
            errors.append(error)
        raise BaseExceptionGroup("mixed", [*errors, CoroutineExit()])

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(mixed)
            group.cancel()
    assert flat(caught.value) == [KeyError]
    with TaskGroup() as group:
        group.cancel()
        try:
            sleep(1)
        except Cancelled as error:
            raise BaseExceptionGroup("body", [error]) from None
    assert group.cancel_scope.cancelled_caught


# ---- kills ----


def test_a_task_that_is_killed_is_no_error(recorder: Recorder) -> None:
    with TaskGroup() as group:
        early = group.spawn(recorder.sleeper, 3)
        early.kill(block=False)
        late = group.spawn(recorder.sleeper, 4)
        group.spawn(recorder.sleeper, 2)
        sleep(1)
        late.kill()
    assert recorder.log == [(4, "CoroutineExit", 1.0), (2, "done", 2.0)]
    assert isinstance(early.value, CoroutineExit)


def test_a_task_that_is_killed_by_an_error_is_one(recorder: Recorder) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 3).kill(KeyError, block=False)
            sleep(0)
    assert flat(caught.value) == [KeyError]


@pytest.mark.parametrize("at_the_end", [True, False])
def test_a_kill_of_the_parent_ends_the_tasks_and_goes_on(
    recorder: Recorder, at_the_end: bool
) -> None:
    def parent() -> None:
        try:
            with TaskGroup() as group:
                group.spawn(recorder.clean_up, 2)
                sleep(0 if at_the_end else 100)
        finally:
            recorder.log.append(("left", recorder.clock.now))

    task = spawn(parent)
    sleep(1)
    task.kill()
    assert recorder.log == [(2, "done", 3.0), ("left", 3.0)]
    assert isinstance(task.value, CoroutineExit)


def test_a_kill_and_errors(recorder: Recorder) -> None:
    """The errors first; the kill is raised in the next wait."""

    def child() -> None:
        try:
            sleep(100)
        finally:
            raise KeyError

    def parent() -> None:
        try:
            with TaskGroup() as group:
                group.spawn(child)
        except* KeyError:
            recorder.log.append("KeyError")
        try:
            sleep(100)
        finally:
            recorder.log.append(recorder.clock.now)

    task = spawn(parent)
    sleep(1)
    task.kill()
    assert recorder.log == ["KeyError", 1.0]
    assert isinstance(task.value, CoroutineExit)


def test_several_interrupts_while_the_tasks_end(recorder: Recorder) -> None:
    def child() -> None:
        try:
            sleep(100)
        finally:
            with CancelScope(shield=True):
                sleep(10)

    def parent() -> None:
        with Timeout(3) as outer:
            try:
                with Timeout(2):
                    with TaskGroup() as group:
                        group.spawn(child)
            except Timeout as timeout:
                recorder.log.append((timeout.seconds, recorder.clock.now))
            try:
                sleep(100)
            except Timeout as timeout:
                recorder.log.append((timeout is outer, recorder.clock.now))
            sleep(100)

    task = spawn(parent)
    sleep(5)
    task.kill()
    assert recorder.log == [(2, 12.0), (True, 12.0)]
    assert isinstance(task.value, CoroutineExit)


def test_a_timeout_that_was_put_off_does_not_come_once_its_block_has_been_left(
    recorder: Recorder,
) -> None:
    with Timeout(3):
        with Timeout(2, False):
            with TaskGroup() as group:
                group.spawn(recorder.clean_up, 10)
        recorder.log.append("inner left")  # and the outer one is over, too
    sleep(100)
    assert recorder.log == [(10, "done", 12.0), "inner left"]


def test_a_kill_comes_after_the_timeout_that_came_after_it(recorder: Recorder) -> None:
    def parent() -> None:
        with Timeout(3, False):
            with TaskGroup() as group:
                group.spawn(recorder.clean_up, 10)
        recorder.log.append("left")
        sleep(1)

    task = spawn(parent)
    sleep(1)
    task.kill()
    assert recorder.log == [(10, "done", 11.0), "left"]
    assert isinstance(task.value, CoroutineExit)


def test_a_timeout_stays_what_it_is(recorder: Recorder) -> None:
    with Timeout(1, False) as timeout:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 5)
    assert recorder.log == [(5, "Cancelled", 1.0)]
    with pytest.raises(Timeout) as caught:
        with Timeout(1) as timeout, TaskGroup() as group:
            group.spawn(recorder.sleeper, 5)
            sleep(5)
    assert caught.value is timeout


def test_a_timeout_and_errors_are_in_one_group(recorder: Recorder) -> None:
    def child() -> None:
        try:
            sleep(100)
        finally:
            raise KeyError

    with pytest.raises(BaseExceptionGroup) as caught:
        with Timeout(1), TaskGroup() as group:
            group.spawn(child)
    assert flat(caught.value) == [KeyError, Timeout]
    sleep(5)


# ---- the end of the program ----


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_goes_on_as_it_is(
    recorder: Recorder, kind: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        try:
            sleep(100)
        finally:
            raise KeyError("told of")

    error = kind()
    with pytest.raises(kind) as caught:
        with TaskGroup() as group:
            group.spawn(fails)
            group.spawn(recorder.sleeper, 1, error)
            sleep(10)
    assert caught.value is error
    assert "told of" in capsys.readouterr().err
    recorder.log.clear()
    with pytest.raises(kind) as caught:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 10)
            sleep(1)
            raise error
    assert caught.value is error
    assert recorder.log == [(10, "Cancelled", 2.0)]


def test_ctrl_c_while_the_block_waits(recorder: Recorder) -> None:
    loop = get_loop()
    loop.call_later(1, loop.interrupt_main, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 10)
    assert recorder.log == [(10, "Cancelled", 1.0)]


def test_tasks_that_can_never_go_on(recorder: Recorder) -> None:
    with pytest.raises(LoopExit):
        with TaskGroup() as group:
            group.spawn(Event().wait)
    stuck: Log = []

    def stubborn() -> None:
        stuck.append(current())
        with CancelScope(shield=True):
            Event().wait()

    with pytest.raises(LoopExit):
        with TaskGroup() as group:
            group.spawn(stubborn)
    stuck[0].kill()


@pytest.mark.parametrize("round", range(8))  # in what order coroutines are unwound varies
def test_a_thread_that_ends_in_a_block(round: int) -> None:
    log: Log = []

    def child() -> None:
        try:
            Event().wait()
        finally:
            log.append("child")

    def parent() -> None:
        try:
            with TaskGroup() as group:
                group.spawn(child)
                Event().wait()
        finally:
            log.append("parent")

    def thread() -> None:
        spawn(parent)
        sleep(0)
        sleep(0)

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    assert sorted(log) == ["child", "parent"]


# ---- start() ----


def test_start_waits_until_the_task_says_so(recorder: Recorder) -> None:
    def server(port: int, *, name: str, task_status: Any) -> None:
        sleep(2)
        task_status.started((name, port))
        recorder.sleeper(3)

    with TaskGroup() as group:
        assert group.start(server, 80, name="http") == ("http", 80)
        assert recorder.clock.now == 2.0
        assert len(group.tasks) == 1
        recorder.log.append("started")
    assert recorder.log == ["started", (3, "done", 5.0)]


def test_an_error_before_that_is_raised_by_start(recorder: Recorder) -> None:
    def fails(task_status: Any) -> None:
        sleep(1)
        raise KeyError("early")

    with TaskGroup() as group:
        group.spawn(recorder.sleeper, 2)
        with pytest.raises(KeyError, match="early"):
            group.start(fails)
    assert recorder.log == [(2, "done", 2.0)]


def test_an_error_after_that_is_the_groups() -> None:
    def fails(task_status: Any) -> None:
        task_status.started()
        sleep(1)
        raise KeyError("late")

    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            assert group.start(fails) is None
            sleep(5)
    assert flat(caught.value) == [KeyError]


def test_start_is_cancelled_with_its_caller_and_the_task_before_that_too(
    recorder: Recorder,
) -> None:
    def slow(task_status: Any) -> None:
        recorder.sleeper(10)
        task_status.started()

    with TaskGroup() as group:
        with move_on_after(1) as scope:
            group.start(slow)
        assert scope.cancelled_caught
        with Timeout(1, False):
            group.start(slow)
        recorder.log.append("body")
    assert recorder.log == [(10, "Cancelled", 1.0), (10, "Cancelled", 2.0), "body"]


def test_the_task_then_is_in_the_groups_scopes_and_no_more_in_the_callers(
    recorder: Recorder,
) -> None:
    def server(task_status: Any) -> None:
        with CancelScope():
            task_status.started()
            recorder.sleeper(5)

    with TaskGroup() as group:
        with CancelScope() as scope:
            group.start(server)
            scope.cancel()
        sleep(1)
        assert recorder.log == []
        group.cancel()
    assert recorder.log == [(5, "Cancelled", 1.0)]


def test_a_task_that_starts_into_a_cancelled_group(recorder: Recorder) -> None:
    def server(task_status: Any) -> None:
        with CancelScope():
            sleep(1)
            task_status.started()
            recorder.sleeper(5)

    def caller() -> None:
        group.start(server)
        recorder.log.append(recorder.clock.now)

    with TaskGroup() as group:
        task = spawn(caller)
        sleep(0)
        group.cancel()  # while start() is under way, which is outside
    task.get()
    assert recorder.log == [(5, "Cancelled", 1.0), 1.0]


def test_who_calls_started_when_he_is_to_end(recorder: Recorder) -> None:
    def server(task_status: Any) -> None:
        try:
            sleep(10)
        except Cancelled:
            task_status.started()
            raise

    with TaskGroup() as group:
        with move_on_after(1) as scope:
            group.start(server)
        assert scope.cancelled_caught
        assert group.tasks == []


def test_started_is_called_once_in_time() -> None:
    kept: Log = []

    def keeps(task_status: Any) -> None:
        kept.append(task_status)

    def twice(task_status: Any) -> None:
        task_status.started()
        with pytest.raises(RuntimeError, match="called before"):
            task_status.started()

    with TaskGroup() as group:
        with pytest.raises(RuntimeError, match=r"without calling task_status\.started"):
            group.start(keeps)
        with pytest.raises(RuntimeError, match="too late"):
            kept[0].started()
        group.start(twice)


def test_start_keeps_the_group_open(recorder: Recorder) -> None:
    def server(task_status: Any) -> None:
        sleep(2)
        task_status.started()
        recorder.sleeper(3)

    with TaskGroup() as group:
        task = spawn(group.start, server)
        sleep(1)
    assert recorder.log == [(3, "done", 5.0)]
    task.get()


# ---- what can be set ----


def test_names_and_contexts() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    log: Log = []

    def tell(*args: Any, **kwargs: Any) -> None:
        log.append((current().name, variable.get(), args, kwargs))

    with TaskGroup() as group:
        variable.set("set")
        group.spawn(tell, 1, x=2)
        group.start_soon(tell, 1, name="soon")
        group.create_task(tell, (1,), {"x": 2}, name="empty", context="empty")
    assert [entry[1:] for entry in log] == [
        ("set", (1,), {"x": 2}),
        ("set", (1,), {}),
        ("none", (1,), {"x": 2}),
    ]
    assert log[0][0].endswith("tell")
    assert [entry[0] for entry in log[1:]] == ["soon", "empty"]


# ---- misuse ----


def test_a_group_takes_tasks_while_it_is_open() -> None:
    group = TaskGroup()
    with pytest.raises(RuntimeError, match="takes no tasks: it is not entered"):
        group.spawn(sleep)
    with group:
        with pytest.raises(TypeError, match="callable"):
            group.spawn(None)  # type: ignore[arg-type]
    for method in (group.spawn, group.start_soon, group.create_task, group.start):
        with pytest.raises(RuntimeError, match="takes no tasks: it is closed"):
            method(sleep)
    with pytest.raises(RuntimeError, match="for one block"):
        with group:
            pass


def test_a_group_is_for_one_thread() -> None:
    errors: Log = []

    def other() -> None:
        try:
            group.spawn(sleep)
        except CoroutineError as error:
            errors.append(error)

    with TaskGroup() as group:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        cancelling = threading.Thread(target=group.cancel)
        cancelling.start()
        Event().wait()
    cancelling.join()
    assert "call_soon_threadsafe" in str(errors[0])
    assert group.cancel_scope.cancelled_caught


def test_a_spawn_callback_that_fails_keeps_no_task_in_the_group() -> None:
    def fail(task: Task) -> None:
        raise KeyError

    with TaskGroup() as group:
        Task.add_spawn_callback(fail)
        try:
            with pytest.raises(KeyError):
                group.spawn(sleep, 1)
        finally:
            Task.remove_spawn_callback(fail)
        assert group.tasks == []


def test_leaving_it_in_another_task_changes_nothing(recorder: Recorder) -> None:
    with TaskGroup() as group:
        task = group.spawn(recorder.sleeper, 1)
        other = spawn(group.__exit__, None, None, None)
        with pytest.raises(RuntimeError, match="cannot be left here"):
            other.get()
        assert group.tasks == [task]
    assert recorder.log == [(1, "done", 1.0)]
    with pytest.raises(RuntimeError, match="cannot be left here"):
        group.__exit__(None, None, None)


def test_a_scope_that_was_not_left_inside(recorder: Recorder) -> None:
    inner = CancelScope()
    with pytest.raises(ExceptionGroup) as caught:
        with TaskGroup() as group:
            group.spawn(recorder.sleeper, 1, KeyError())
            inner.__enter__()
            sleep(5)
    assert flat(caught.value) == [KeyError, RuntimeError]
    inner.__exit__(None, None, None)


def test_repr_tells_whose_it_is_and_how_it_is() -> None:
    group = TaskGroup()
    assert repr(group).startswith("<TaskGroup, not entered, 0 tasks 0x")
    with group:
        group.spawn(sleep, 1)
        assert f"<TaskGroup of 'main' at {__file__}:" in repr(group)
        assert ", open, 1 task 0x" in repr(group)
    assert ", closed, 0 tasks 0x" in repr(group)


# ---- fork ----


@pytest.mark.parametrize(
    ("inside", "said"), [("block", "child+spawned+left"), ("task", "child+left")]
)
def test_a_forked_child_does_not_wait_for_tasks_that_it_has_not(inside: str, said: str) -> None:
    code = f"""
        import os
        from pycoro import sleep
        from pycoro.nursery import TaskGroup

        def fork():
            if os.fork() == 0:
                os.write(theirs, b"child")

        ours, theirs = os.pipe()
        parent = os.getpid()
        with TaskGroup() as group:
            group.spawn(sleep, 0.01)
            sleep(0)
            fork() if {inside!r} == "block" else group.spawn(fork)
            if os.getpid() != parent:
                group.spawn(os.write, theirs, b"+spawned")
        if os.getpid() != parent:
            os.write(theirs, b"+left")
            os._exit(0)
        os.wait()
        print(os.read(ours, 100).decode())
    """
    assert output_of(code) == [said]


def test_many_tasks() -> None:
    with no_tasks_left():
        with pytest.raises(ExceptionGroup) as caught:
            with TaskGroup() as group:
                event = Event()
                tasks = [group.spawn(event.wait) for _ in range(1000)]
                tasks += [group.spawn(sleep, 1 + number) for number in range(1000)]
                sleep(0.5)
                raise KeyError
        assert flat(caught.value) == [KeyError]
        assert all(isinstance(task.exception, Cancelled) for task in tasks)
