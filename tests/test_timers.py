"""The heap of timers, without a clock: times are numbers that the tests choose."""

from __future__ import annotations

import random

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
