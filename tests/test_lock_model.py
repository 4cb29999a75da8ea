"""Locks against a model, under random schedules of taking, releasing, killing and time limits.

Each model is the scheduler's queue in plain data: who runs next, what he does then, who stands in
which queue. Steps are taken from outside, several between two turns of the tasks, so that a kill
meets a wake-up that is on its way. Time is the loop's clock, which the test sets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machines import TaskMachine

from pycoro import CoroutineExit, lock
from pycoro.waiting import WaitQueue

FEW = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Machine(TaskMachine):
    """What both have in common: tasks by number, what they log, and the order of their turns."""

    turns_to_end = 4  # a lock is handed on to who is to be killed

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[Any] = []
        self.turns: deque[tuple[int, str]] = deque()  # (task, what it does in its turn)
        self.killed: set[int] = set()  # who gets the error in that turn
        self.deadlines: dict[int, float] = {}  # of those that wait

    def begin(self, body: Callable[..., None], *args: Any) -> int:
        number = self.spawn_numbered(body, *args)
        self.turns.append((number, "start"))
        return number

    def is_on_its_way(self, number: int) -> bool:
        return any(number == one for one, _ in self.turns)

    def run(self) -> None:
        """The tasks have their turns, and so has the model."""
        self.let_all_run()
        while self.turns:
            number, what = self.turns.popleft()
            self.turn(number, what, number in self.killed)
            if not self.is_on_its_way(number):
                self.killed.discard(number)
        assert self.log == self.expected

    def turn(self, number: int, what: str, killed: bool) -> None:
        raise NotImplementedError

    def late(self) -> list[int]:
        """Those whose time is over, in the order of their times."""
        due = [(when, number) for number, when in self.deadlines.items() if when <= self.now]
        return [number for _, number in sorted(due)]


class LockMachine(Machine):
    """A lock: a task takes it, stays at its gate until that is opened, and releases it."""

    make: Callable[[], Any] = lock.Semaphore
    free = 1  # of the model
    depth = 1  # how often a task takes it

    def __init__(self) -> None:
        super().__init__()
        self.lock = type(self).make()
        self.free = type(self).free
        self.queue: list[int] = []
        self.gates: dict[int, WaitQueue] = {}
        self.waits_at_gate: set[int] = set()

    def body(self, number: int, timeout: float | None) -> None:
        try:
            if not self.lock.acquire(timeout=timeout):
                self.log.append((number, "late"))
                return
            for _ in range(self.depth - 1):
                self.lock.acquire()
            try:
                self.log.append((number, "got it"))
                self.gates[number].wait()
            finally:
                for _ in range(self.depth):
                    self.lock.release()
            self.log.append((number, "released"))
        except CoroutineExit:
            self.log.append((number, "killed"))

    # ---- the model ----

    def hand_over(self) -> None:
        if self.queue:
            number = self.queue.pop(0)
            self.deadlines.pop(number, None)
            self.turns.append((number, "granted"))
        else:
            self.free += 1

    def turn(self, number: int, what: str, killed: bool) -> None:
        say = self.expected.append
        if what == "start":
            if not self.free:
                self.queue.append(number)
                if (timeout := self.timeouts[number]) is not None:
                    self.deadlines[number] = self.now + timeout
                return
            self.free -= 1
            what = "granted"
        if what == "broken off":
            say((number, "killed"))
        elif what == "late":
            say((number, "killed" if killed else "late"))
        elif what == "granted" and not killed:
            say((number, "got it"))
            self.waits_at_gate.add(number)
        else:
            self.hand_over()
            say((number, "killed" if killed else "released"))

    # ---- steps ----

    @rule(timeout=st.sampled_from([None, None, 1.0, 2.0, 4.0]))
    def comes(self, timeout: float | None) -> None:
        number = len(self.tasks)
        self.gates[number] = WaitQueue()
        self.timeouts = getattr(self, "timeouts", {})
        self.timeouts[number] = timeout
        self.begin(self.body, timeout)

    @precondition(lambda self: self.waits_at_gate)
    @rule(data=st.data())
    def may_release(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.waits_at_gate)))
        self.waits_at_gate.discard(number)
        self.gates[number].wake_one()
        self.turns.append((number, "opened"))

    @precondition(lambda self: any(not task.ready() for task in self.tasks))
    @rule(data=st.data())
    def is_killed(self, data: Any) -> None:
        living = [number for number, task in enumerate(self.tasks) if not task.ready()]
        number = data.draw(st.sampled_from(living))
        task = self.tasks[number]
        started = task._entry is None
        task.kill(block=False)
        if not started:
            self.turns = deque(turn for turn in self.turns if turn[0] != number)
        elif number in self.queue:
            self.queue.remove(number)
            self.deadlines.pop(number, None)
            self.turns.append((number, "broken off"))
        elif number in self.waits_at_gate:
            self.waits_at_gate.discard(number)
            self.killed.add(number)
            self.turns.append((number, "opened"))
        elif self.turns_of(number) != "broken off":
            self.killed.add(number)

    def turns_of(self, number: int) -> str:
        return next(what for one, what in self.turns if one == number)

    @rule(seconds=st.sampled_from([1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.run()
        self.now += seconds
        for number in self.late():
            del self.deadlines[number]
            self.queue.remove(number)
            self.turns.append((number, "late"))
        self.run()

    @rule()
    def all_run(self) -> None:
        self.run()

    @invariant()
    def the_queues_are_equal(self) -> None:
        semaphore = getattr(self.lock, "_block", self.lock)
        assert list(semaphore._waiters) == [self.tasks[number] for number in self.queue]
        assert semaphore.counter == self.free

    def teardown(self) -> None:
        super().teardown()
        assert not self.lock.locked()
        assert getattr(self.lock, "_block", self.lock).counter == type(self).free


class TwoSeats(LockMachine):
    make = lambda: lock.BoundedSemaphore(2)  # noqa: E731
    free = 2


class Reentrant(LockMachine):
    make = lock.RLock
    depth = 2


class ConditionMachine(Machine):
    """A Condition: tasks wait for it; the test notifies them, and has the lock for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = lock.Condition()
        self.timeouts: dict[int, float | None] = {}
        self.holder: int | str | None = None  # of the lock
        self.wanting: list[int] = []  # the lock's queue
        self.waiting: list[int] = []  # the condition's
        self.outcome: dict[int, str] = {}  # of those that want the lock back

    def body(self, number: int, timeout: float | None) -> None:
        try:
            with self.condition:
                try:
                    woken = self.condition.wait(timeout)
                finally:
                    assert self.condition._lock._is_owned()
                self.log.append((number, "woken" if woken else "late"))
        except CoroutineExit:
            self.log.append((number, "killed"))

    # ---- the model ----

    def unlock(self) -> None:
        self.holder = None
        if self.wanting:
            self.holder = self.wanting.pop(0)
            self.turns.append((self.holder, "locked"))

    def notify_one(self) -> None:
        if self.waiting:
            number = self.waiting.pop(0)
            self.deadlines.pop(number, None)
            self.outcome[number] = "woken"
            self.turns.append((number, "back"))

    def turn(self, number: int, what: str, killed: bool) -> None:
        if what == "broken off":
            self.expected.append((number, "killed"))
            return
        if what == "back" and killed and self.outcome[number] == "woken":
            self.notify_one()  # the wake-up is passed on
        if killed and number in self.outcome:
            self.outcome[number] = "killed"
        if what != "locked":
            if self.holder is not None:
                self.wanting.append(number)
                return
            self.holder = number
        if number in self.outcome:
            self.unlock()
            self.expected.append((number, self.outcome.pop(number)))
        elif killed:  # it has got the lock for the first time, in vain
            self.unlock()
            self.expected.append((number, "killed"))
        else:
            self.waiting.append(number)
            if (timeout := self.timeouts[number]) is not None:
                self.deadlines[number] = self.now + timeout
            self.unlock()

    # ---- steps ----

    @rule(timeout=st.sampled_from([None, None, 1.0, 2.0, 4.0]))
    def comes(self, timeout: float | None) -> None:
        self.timeouts[self.begin(self.body, timeout)] = timeout

    @precondition(lambda self: self.holder in (None, "test"))
    @rule(count=st.sampled_from([0, 1, 1, 2, 9]), kill=st.booleans(), keep=st.booleans())
    def some_are_notified(self, count: int, kill: bool, keep: bool) -> None:
        """And one of them is killed before it has had its turn; and the lock is kept."""
        if self.holder is None:
            assert self.condition.acquire(blocking=False)
            self.holder = "test"
        first = self.waiting[:1]
        if count == 9:
            self.condition.notify_all()
        else:
            self.condition.notify(count)
        for _ in range(len(self.waiting) if count == 9 else count):
            self.notify_one()
        if kill and count and first:
            self.kill(first[0])
        if not keep:
            self.condition.release()
            self.unlock()

    @precondition(lambda self: self.wanting or self.waiting)
    @rule(data=st.data())
    def one_that_waits_is_killed(self, data: Any) -> None:
        self.kill(data.draw(st.sampled_from(self.wanting or self.waiting)))

    @precondition(lambda self: any(not task.ready() for task in self.tasks))
    @rule(data=st.data())
    def is_killed(self, data: Any) -> None:
        living = [number for number, task in enumerate(self.tasks) if not task.ready()]
        self.kill(data.draw(st.sampled_from(living)))

    def kill(self, number: int) -> None:
        started = self.tasks[number]._entry is None
        self.tasks[number].kill(block=False)
        if not started:
            self.turns = deque(turn for turn in self.turns if turn[0] != number)
        elif number in self.waiting:
            self.waiting.remove(number)
            self.deadlines.pop(number, None)
            self.outcome[number] = "killed"
            self.turns.append((number, "back"))
        elif number in self.wanting and number not in self.outcome:
            self.wanting.remove(number)
            self.turns.append((number, "broken off"))
        elif number in self.wanting:
            self.outcome[number] = "killed"
        else:
            self.killed.add(number)

    @rule(seconds=st.sampled_from([1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.run()
        self.now += seconds
        for number in self.late():
            del self.deadlines[number]
            self.waiting.remove(number)
            self.outcome[number] = "late"
            self.turns.append((number, "back"))
        self.run()

    @rule()
    def all_run(self) -> None:
        self.run()

    @invariant()
    def the_queues_are_equal(self) -> None:
        tasks = self.tasks
        assert list(self.condition._queue) == [tasks[number] for number in self.waiting]
        block = self.condition._lock._block
        assert list(block._waiters) == [tasks[number] for number in self.wanting]
        assert (block.counter == 0) == (self.holder is not None)

    def teardown(self) -> None:
        if self.holder == "test":
            self.condition.release()
        super().teardown()
        assert not self.condition._lock.locked()


for machine in (LockMachine, TwoSeats, Reentrant, ConditionMachine):
    machine.TestCase.settings = FEW
TestSemaphore = LockMachine.TestCase
TestBoundedSemaphore = TwoSeats.TestCase
TestRLock = Reentrant.TestCase
TestCondition = ConditionMachine.TestCase
