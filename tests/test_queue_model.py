"""Queues against a model, under random schedules of getting, putting, peeking, killing, time limits
and shutdown; and choose() among queues, of which no exact order is foretold, but that nothing gets
lost, nothing is done twice, and nobody is left behind who could go on.

The model is the scheduler's queue in plain data: who runs next, what he does then, who stands in
which line. Steps are taken from outside, several between two turns of the tasks, so that a kill, a
shutdown or the end of a time limit meets a call that is on its way. Time is the loop's clock, which
the test sets.
"""

from __future__ import annotations

from collections import Counter, deque
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from machines import TaskMachine

from pycoro import CoroutineExit, choice
from pycoro.choice import Get, Put, choose
from pycoro.lock import Semaphore
from pycoro.queue import (
    Channel,
    Empty,
    Full,
    LifoQueue,
    PriorityQueue,
    Queue,
    ShutDown,
    SimpleQueue,
)

FEW = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Hooked(Queue):
    """With its own methods for items it takes other ways than Queue, to the same end."""

    def _put(self, item: Any) -> None:
        super()._put(item)

    def _get(self) -> Any:
        return super()._get()


KINDS = [SimpleQueue, Queue, LifoQueue, PriorityQueue, Hooked]
TIMEOUTS = st.sampled_from([None, None, 1.0, 2.0, 3.0])


class Machine(TaskMachine):
    """Tasks by number, each of which does one thing and logs what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.items = 0  # made so far

    def begin(self, function: Any, *args: Any) -> int:
        return self.spawn_numbered(self.body, function, *args)

    def body(self, number: int, function: Any, *args: Any) -> None:
        try:
            outcome: Any = ("done", function(*args))
        except (Empty, Full):
            outcome = "late"
        except ShutDown:
            outcome = "shut"
        except CoroutineExit:
            outcome = "killed"
        self.log.append((number, outcome))

    def pass_time(self, seconds: float) -> None:
        """And looks at the clock, before anybody else has his turn."""
        self.now += seconds
        while (timer := self.loop._timers.pop_due(self.now)) is not None:
            timer.run()


class QueueMachine(Machine):
    """One queue, of any kind. The model says who gets what, and in which order."""

    @initialize(kind=st.sampled_from(KINDS), maxsize=st.sampled_from([None, 1, 2, 3]))
    def make(self, kind: Any, maxsize: int | None) -> None:
        self.queue = kind(maxsize)
        self.kind = kind
        self.maxsize = inf if maxsize is None else maxsize
        self.held: Any = [] if kind is PriorityQueue else deque()
        self.unfinished = 0
        self.promised = self.reserved = 0
        self.getters: list[int] = []
        self.putters: list[int] = []
        self.what: dict[int, tuple[str, Any, float | None]] = {}
        self.turns: deque[tuple[int, str]] = deque()
        self.killed: set[int] = set()
        self.deadlines: dict[int, float] = {}
        self.expected: list[Any] = []
        self.is_shut = False

    # ---- the model ----

    def hold(self, item: int) -> None:
        heappush(self.held, item) if self.kind is PriorityQueue else self.held.append(item)
        self.unfinished += 1

    def first(self, take: bool) -> int:
        if self.kind is PriorityQueue:
            return heappop(self.held) if take else self.held[0]
        if self.kind is LifoQueue:
            return self.held.pop() if take else self.held[-1]
        return self.held.popleft() if take else self.held[0]

    def call_getters(self, one_more: bool = False) -> None:
        while self.getters and (one_more or len(self.held) > self.promised or self.is_shut):
            one_more = False
            self.promised += 1
            self.call(self.getters.pop(0))

    def let_in(self) -> None:
        while self.putters and (self.has_room() or self.is_shut):
            self.reserved += 1
            self.call(self.putters.pop(0))

    def call(self, number: int) -> None:
        self.deadlines.pop(number, None)
        self.turns.append((number, "called"))

    def has_room(self) -> bool:
        return len(self.held) + self.reserved < self.maxsize

    def put(self, item: int) -> None:
        self.hold(item)
        if self.getters:
            self.call_getters(one_more=True)

    def try_to_put(self, item: int) -> Any:
        """What put_nowait() comes to."""
        if self.is_shut:
            return "shut"
        if not self.has_room():
            return "late"
        self.put(item)
        return ("done", None)

    def try_to_get(self, take: bool) -> Any:
        """What get_nowait() comes to, or peek_nowait()."""
        if len(self.held) <= (self.promised if take else 0):
            return "shut" if self.is_shut else "late"
        item = self.first(take)
        self.let_in()
        return ("done", item)

    def start(self, number: int) -> Any:
        what, item, timeout = self.what[number]
        if what == "put":
            if (outcome := self.try_to_put(item)) != "late":
                return outcome
            self.putters.append(number)
        else:
            is_due = what == "peek" or self.is_shut or not (self.promised or self.getters)
            if is_due and (outcome := self.try_to_get(what == "get")) != "late":
                return outcome
            self.getters.append(number)
        if timeout is not None:
            self.deadlines[number] = self.now + timeout
        self.call_getters()
        self.let_in()
        return None

    def come(self, number: int, killed: bool) -> Any:
        what, item, _ = self.what[number]
        if what == "put":
            self.reserved -= 1
            if killed or self.is_shut:
                self.let_in()
                return "killed" if killed else "shut"
            self.put(item)
            return ("done", None)
        self.promised -= 1
        if killed:
            self.call_getters()
            return "killed"
        if not self.held:
            if self.is_shut:
                return "shut"
            self.getters.insert(0, number)
            return None
        outcome = ("done", self.first(what == "get"))
        if what == "peek":
            self.call_getters()
        else:
            self.let_in()
        return outcome

    def run_model(self) -> None:
        while self.turns:
            number, why = self.turns.popleft()
            killed = number in self.killed
            if why == "start":
                outcome = self.start(number)
            elif why == "called":
                outcome = self.come(number, killed)
            else:
                outcome = "killed" if killed else why
            if outcome is not None:
                self.killed.discard(number)
                self.expected.append((number, outcome))

    # ---- steps ----

    def spawn(self, what: str, item: Any, timeout: float | None) -> None:
        call = getattr(self.queue, what)
        args = (True, timeout) if item is None else (item, True, timeout)
        number = self.begin(call, *args)
        self.what[number] = (what, item, timeout)
        self.turns.append((number, "start"))

    @rule(timeout=TIMEOUTS, what=st.sampled_from(["get", "get", "peek"]))
    def somebody_gets(self, what: str, timeout: float | None) -> None:
        self.spawn(what, None, timeout)

    @rule(timeout=TIMEOUTS)
    def somebody_puts(self, timeout: float | None) -> None:
        self.items += 1
        self.spawn("put", (self.items * 7) % 10 * 1000 + self.items, timeout)

    @rule()
    def put_at_once(self) -> None:
        self.items += 1
        self.at_once(self.try_to_put(self.items), self.queue.put_nowait, self.items)

    @rule(take=st.booleans())
    def get_at_once(self, take: bool) -> None:
        get = self.queue.get_nowait if take else self.queue.peek_nowait
        self.at_once(self.try_to_get(take), get)

    def at_once(self, expected: Any, function: Any, *args: Any) -> None:
        try:
            outcome: Any = ("done", function(*args))
        except (Empty, Full):
            outcome = "late"
        except ShutDown:
            outcome = "shut"
        assert outcome == expected

    @rule(data=st.data())
    def somebody_is_killed(self, data: st.DataObject) -> None:
        left = [number for number, task in enumerate(self.tasks) if not task.ready()]
        if not left:
            return
        number = data.draw(st.sampled_from(left))
        self.tasks[number].kill(block=False)
        if (number, "start") in self.turns:  # it ends without running
            self.turns.remove((number, "start"))
            return
        self.killed.add(number)
        for line in (self.getters, self.putters):
            if number in line:
                line.remove(number)
                self.deadlines.pop(number, None)
                self.turns.append((number, "killed"))

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)
        late = [(when, number) for number, when in self.deadlines.items() if when <= self.now]
        for _, number in sorted(late, key=lambda entry: entry[0]):  # then by age, as they are
            del self.deadlines[number]
            for line in (self.getters, self.putters):
                if number in line:
                    line.remove(number)
            self.turns.append((number, "late"))

    @rule(immediate=st.booleans(), chance=st.integers(0, 9))
    def shutdown(self, immediate: bool, chance: int) -> None:
        if chance or self.kind is SimpleQueue:
            return
        self.queue.shutdown(immediate)
        self.is_shut = True
        if immediate:
            self.unfinished -= len(self.held)
            self.held.clear()
        self.call_getters()
        self.let_in()

    @rule(maxsize=st.sampled_from([None, 1, 2, 3]), chance=st.integers(0, 5))
    def the_limit_changes(self, maxsize: int | None, chance: int) -> None:
        if chance:
            return
        self.queue.maxsize = maxsize
        self.maxsize = inf if maxsize is None else maxsize
        self.let_in()

    @rule()
    def all_run(self) -> None:
        self.let_all_run()
        self.run_model()
        assert self.log == self.expected

    @invariant()
    def they_are_equal(self) -> None:
        if not hasattr(self, "queue"):
            return
        one, tasks = self.queue, self.tasks
        assert list(one.queue) == list(self.held)
        assert list(one.getters) == [tasks[number] for number in self.getters]
        assert list(one.putters) == [tasks[number] for number in self.putters]
        assert (one._promised, one._reserved) == (self.promised, self.reserved)
        assert one.qsize() == max(0, len(self.held) - self.promised)
        assert one.full() == (not self.has_room())
        if isinstance(one, Queue):
            assert one.unfinished_tasks == self.unfinished

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "queue"):
            assert not self.queue.getters
            assert not self.queue.putters
            assert (self.queue._promised, self.queue._reserved) == (0, 0)


class ChoiceMachine(Machine):
    """Some queues, a channel and a semaphore, with choosers and others at them."""

    def __init__(self) -> None:
        super().__init__()
        self.former, choice._random = choice._random, Random(1).random
        self.queues = [Queue(), Queue(1), LifoQueue(2), PriorityQueue()]
        self.channel = Channel()
        self.semaphore = Semaphore(0)
        self.places = [*self.queues, self.channel]
        self.released = 0
        self.offered: dict[int, int] = {}  # item -> the task that would put it
        self.cases: dict[int, list[Any]] = {}

    def draw_case(self, data: st.DataObject, number: int) -> Any:
        where = data.draw(st.integers(0, len(self.places)))
        if where == len(self.places):
            return self.semaphore
        place = self.places[where]
        if data.draw(st.booleans()):
            return Get(place)
        self.items += 1
        self.offered[self.items] = number
        return Put(place, self.items)

    @rule(data=st.data(), count=st.integers(1, 4), timeout=TIMEOUTS)
    def somebody_chooses(self, data: st.DataObject, count: int, timeout: float | None) -> None:
        number = len(self.tasks)
        cases = [self.draw_case(data, number) for _ in range(count)]
        self.cases[self.begin(lambda: choose(*cases, timeout=timeout))] = cases

    @rule(data=st.data())
    def somebody_wants_one_thing(self, data: st.DataObject) -> None:
        case = self.draw_case(data, len(self.tasks))
        if isinstance(case, Get):
            number = self.begin(lambda: (0, case.queue.get()))
        elif isinstance(case, Put):
            number = self.begin(lambda: (0, case.queue.put(case.item)))
        else:
            number = self.begin(lambda: (0, case.acquire()))
        self.cases[number] = [case]

    @rule()
    def release(self) -> None:
        self.semaphore.release()
        self.released += 1

    @rule(data=st.data())
    def somebody_is_killed(self, data: st.DataObject) -> None:
        left = [task for task in self.tasks if not task.ready()]
        if left:
            data.draw(st.sampled_from(left)).kill(block=False)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule()
    def all_run(self) -> None:
        self.let_all_run()
        got: list[int] = []
        put: set[int] = set()
        acquired = 0
        for number, outcome in self.log:
            if outcome == "killed" or outcome[1][0] is None:
                continue
            case = self.cases[number][outcome[1][0]]
            if isinstance(case, Get):
                got.append(outcome[1][1])
            elif isinstance(case, Put):
                put.add(case.item)
            else:
                acquired += 1
        there = [item for one in self.queues for item in one.queue]
        there += [offer.item for offer in self.channel.putters if offer.choice is None]
        waiting = {item for item, number in self.offered.items() if not self.tasks[number].ready()}
        # Nothing twice, nothing lost, nothing from nowhere.
        known = Counter(got + [item for item in there if item not in waiting])
        assert set(known.values()) <= {1}
        assert put <= set(known)
        killed = {number for number, outcome in self.log if outcome == "killed"}
        assert all(self.offered[item] in killed for item in set(known) - put)
        assert acquired + self.semaphore.counter == self.released
        self.nobody_is_left_behind()

    def nobody_is_left_behind(self) -> None:
        for one in self.queues:
            assert one._promised == one._reserved == 0
            assert not (one.getters and one.queue)
            assert not (one.putters and not one.full())
        getters = {getattr(one, "choice", one) for one in self.channel.getters}
        putters = {one.choice or one for one in self.channel.putters}
        assert self.channel._promised == 0
        assert not getters or not putters or (len(getters | putters) == 1)  # alone with himself
        assert not (self.semaphore.counter and self.semaphore.linkcount())

    def teardown(self) -> None:
        super().teardown()
        choice._random = self.former
        for one in self.places:
            assert not one.getters
            assert not any(offer for offer in one.putters if getattr(offer, "waiter", offer))
        assert self.semaphore.linkcount() == 0


for machine in (QueueMachine, ChoiceMachine):
    machine.TestCase.settings = FEW
TestQueue = QueueMachine.TestCase
TestChoice = ChoiceMachine.TestCase
