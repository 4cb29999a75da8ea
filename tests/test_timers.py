"""The heap of timers, without a clock: times are numbers that the tests choose."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pycoro.timers import Timer, TimerHeap


def add(heap: TimerHeap, when: float, log: list[object], what: object) -> Timer:
    timer = Timer(when, log.append, (what,))
    heap.add(timer)
    return timer


def run_due(heap: TimerHeap, now: float) -> None:
    while (timer := heap.pop_due(now)) is not None:
        timer.run()


def test_runs_in_order_of_time_then_age() -> None:
    heap, log = TimerHeap(), []
    for when, what in ((2.0, "b1"), (1.0, "a1"), (2.0, "b2"), (1.0, "a2"), (3.0, "c")):
        add(heap, when, log, what)
    assert heap.next_due() == 1.0
    run_due(heap, 2.0)
    assert log == ["a1", "a2", "b1", "b2"]
    assert (len(heap), heap.next_due()) == (1, 3.0)


def test_an_empty_heap_has_nothing_due() -> None:
    heap = TimerHeap()
    assert (heap.next_due(), heap.pop_due(1e9), len(heap)) == (None, None, 0)


def test_a_cancelled_timer_does_not_run_and_is_not_due() -> None:
    heap, log = TimerHeap(), []
    first, second = add(heap, 1.0, log, "first"), add(heap, 2.0, log, "second")
    first.cancel()
    first.cancel()
    assert (first.pending, second.pending) == (False, True)
    assert (len(heap), heap.next_due()) == (1, 2.0)
    run_due(heap, 5.0)
    assert (log, len(heap)) == (["second"], 0)


def test_cancelling_one_that_is_over_changes_nothing() -> None:
    heap, log = TimerHeap(), []
    timer = add(heap, 1.0, log, "x")
    run_due(heap, 1.0)
    timer.cancel()
    assert (log, len(heap), heap.next_due()) == (["x"], 0, None)


def test_one_that_is_taken_out_can_still_be_cancelled_by_an_earlier_one() -> None:
    heap, log = TimerHeap(), []
    later: list[Timer] = []
    heap.add(Timer(1.0, lambda: later[0].cancel(), ()))
    later.append(add(heap, 1.0, log, "cancelled"))
    add(heap, 1.0, log, "kept")
    run_due(heap, 1.0)
    assert log == ["kept"]


def test_thousands_of_cancelled_timers_take_no_room() -> None:
    heap, log = TimerHeap(), []
    kept = [add(heap, float(when), log, when) for when in range(100)]
    for _ in range(200):
        for timer in [add(heap, 1e6, log, None) for _ in range(50)]:
            timer.cancel()
    assert len(heap) == 100
    assert heap.count < 400
    assert len(heap._all()) == heap.count
    kept[0].cancel()
    run_due(heap, 1e9)
    assert log == list(range(1, 100))


def test_any_mix_of_adding_and_cancelling_keeps_the_order() -> None:
    chance = random.Random(20240)
    heap, log, expected = TimerHeap(), [], []
    for age in range(2000):
        when = float(chance.randrange(50))
        timer = add(heap, when, log, (when, age))
        if chance.random() < 0.6:
            timer.cancel()
        else:
            expected.append((when, age))
    run_due(heap, 100.0)
    assert log == sorted(expected)


INFINITE = float("inf")


def test_times_that_no_clock_reaches_and_times_that_are_past() -> None:
    heap, log = TimerHeap(), []
    for when in (INFINITE, 5.0, -INFINITE, -3.5, 0.0, 1e300):
        add(heap, when, log, when)
    assert heap.next_due() == -INFINITE
    run_due(heap, 4.0)
    assert log == [-INFINITE, -3.5, 0.0]
    assert (len(heap), heap.next_due()) == (3, 5.0)
    run_due(heap, 1e9)
    assert (log[3:], heap.next_due()) == ([5.0], 1e300)
    run_due(heap, INFINITE)
    assert (log[4:], heap.next_due()) == ([1e300, INFINITE], None)


def test_an_earlier_one_goes_before_those_of_the_tick_that_was_next() -> None:
    heap, log = TimerHeap(), []
    for when in (60.0, 60.001, 30.0):
        add(heap, when, log, when)
        assert heap.next_due() == min(30.0 if when == 30.0 else 60.0, when)
    for when in (60.0005, 30.0, 10.0):
        add(heap, when, log, when)
    heap.run_due(60.0, lambda timer, error: None)
    assert log == [10.0, 30.0, 30.0, 60.0]
    heap.run_due(61.0, lambda timer, error: None)
    assert log[4:] == [60.0005, 60.001]


def test_one_that_fails_is_told_of_and_the_others_run() -> None:
    heap, log = TimerHeap(), []
    errors: list[object] = []
    bad = Timer(1.0, lambda: 1 // 0, ())
    heap.add(bad)
    add(heap, 1.0, log, "runs")
    heap.run_due(2.0, lambda timer, error: errors.append((timer, type(error))))
    assert (log, errors) == (["runs"], [(bad, ZeroDivisionError)])


def test_one_that_adds_others() -> None:
    heap, log = TimerHeap(), []

    def adds(left: int) -> None:
        log.append(left)
        if left:
            heap.add(Timer(1.0 - left, adds, (left - 1,)))  # each is earlier, and due as well

    heap.add(Timer(1.0, adds, (5,)))
    add(heap, 3.0, log, "later")
    heap.run_due(2.0, lambda timer, error: None)
    assert log == [5, 4, 3, 2, 1, 0]
    assert len(heap) == 1


class Model(RuleBasedStateMachine):
    """Random programs of timers, beside a list that is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.heap = TimerHeap()
        self.now = 0.0
        self.age = 0
        self.log: list[int] = []
        self.pending: list[tuple[float, int, Timer]] = []

    def due(self) -> list[int]:
        return [age for when, age, _ in sorted(self.pending) if when <= self.now]

    @rule(
        delays=st.lists(
            st.sampled_from([-1.0, 0.0, 0.0001, 0.001, 0.003, 0.1, 0.5, 2.0, 60.0, 1e9, INFINITE]),
            max_size=8,
        )
    )
    def add(self, delays: list[float]) -> None:
        for delay in delays:
            self.age += 1
            timer = Timer(self.now + delay, self.log.append, (self.age,))
            self.heap.add(timer)
            self.pending.append((timer.when, self.age, timer))

    @rule(chance=st.randoms(use_true_random=False), share=st.sampled_from([0.1, 0.5, 0.9]))
    def cancel(self, chance: random.Random, share: float) -> None:
        for entry in list(self.pending):
            if chance.random() < share:
                entry[2].cancel()
                entry[2].cancel()
                self.pending.remove(entry)

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.004, 0.25, 1.0, 100.0]), by_one=st.booleans())
    def passes(self, seconds: float, by_one: bool) -> None:
        self.now += seconds
        expected = self.due()
        self.pending = [entry for entry in self.pending if entry[0] > self.now]
        self.log.clear()
        if by_one:
            run_due(self.heap, self.now)
        else:
            self.heap.run_due(self.now, lambda timer, error: None)
        assert self.log == expected

    @rule(seconds=st.sampled_from([0.0, 0.01, 5.0]))
    def shift(self, seconds: float) -> None:
        self.now += seconds
        self.heap.shift(seconds)
        self.pending = [(timer.when, age, timer) for _, age, timer in self.pending]

    @rule(chance=st.randoms(use_true_random=False))
    def keep(self, chance: random.Random) -> None:
        stay = {age for _, age, _ in self.pending if chance.random() < 0.7}
        self.heap.keep(stay)
        self.pending = [entry for entry in self.pending if entry[1] in stay]

    @rule()
    def ask(self) -> None:
        assert self.heap.next_due() == min((entry[0] for entry in self.pending), default=None)

    @invariant()
    def agrees(self) -> None:
        assert len(self.heap) == len(self.pending)
        assert {id(timer) for timer in self.heap} == {id(entry[2]) for entry in self.pending}
        assert len(self.heap._all()) == self.heap.count
        assert self.heap.count <= 2 * len(self.heap) + 65


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
