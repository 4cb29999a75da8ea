"""Several threads at one lock, with loops of their own and without: what they did is counted.

The interpreter changes threads as often as it can. Some tasks are killed, or give up, wherever they
happen to be. A wake-up that was lost would be a hang, or LoopExit; a lock that two had at once, a
wrong sum.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pycoro
from pycoro import lock as locks
from pycoro.event import AsyncResult, Event
from pycoro.lock import Barrier, BoundedSemaphore, Condition, Semaphore

TASKS = 4  # in each loop


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(former)


def run_everywhere(work: Callable[[], None], loops: int = 2, plain: int = 2) -> None:
    """`work` in TASKS tasks of each of some threads' loops, and in threads that have none. None
    begins before all are there."""
    errors: list[BaseException] = []
    there, go = Semaphore(0), Event()

    def call() -> None:
        try:
            there.release()
            go.wait()
            work()
        except BaseException as error:
            errors.append(error)

    def loop() -> None:
        pycoro.joinall([pycoro.spawn(call) for _ in range(TASKS)])

    threads = [threading.Thread(target=loop) for _ in range(loops)]
    threads += [threading.Thread(target=call) for _ in range(plain)]
    for thread in threads:
        thread.start()
    tasks = [pycoro.spawn(call) for _ in range(TASKS)]
    for _ in range((loops + 1) * TASKS + plain):
        there.acquire()
    go.set()
    pycoro.joinall(tasks)
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []


class Tally:
    """Numbers that only who has the lock may change: they are read, others run, they are
    written."""

    def __init__(self) -> None:
        self.inside = self.most = self.sum = 0

    def add(self, turn: int) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        was = self.sum
        if turn % 3 == 0:
            pycoro.sleep(0)
        self.sum = was + 1
        self.inside -= 1


@pytest.fixture(params=["", "traced"])
def traced(request: pytest.FixtureRequest) -> Iterator[None]:
    """A tracer is called from line to line in all threads: there, others may come in between."""
    if not request.param:
        yield
        return

    def trace(frame: Any, event: str, argument: Any) -> Any:
        return trace

    former = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(former)
        threading.settrace(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore", "RLock"])
def test_a_lock_is_had_by_one_at_a_time(kind: str) -> None:
    lock = getattr(locks, kind)()
    tally = Tally()
    done: list[int] = []

    def work() -> None:
        for turn in range(300):
            how = turn % 4
            if how == 0:
                got = lock.acquire(blocking=False)
            elif how == 1:
                got = lock.acquire(timeout=0.00001)
            else:
                got = lock.__enter__() if how == 2 else lock.acquire()
            if got:
                tally.add(turn)
                lock.release()
                done.append(1)

    run_everywhere(work)
    assert (tally.most, tally.sum, tally.inside) == (1, len(done), 0)
    assert not lock.locked()
    assert getattr(lock, "_block", lock).linkcount() == 0


def test_a_lock_survives_that_its_waiters_are_killed() -> None:
    lock = BoundedSemaphore()
    tally = Tally()
    done: list[int] = []
    killed: list[int] = []

    def takes() -> None:
        with lock:
            was = tally.sum
            pycoro.sleep(0)
            tally.sum = was + 1
            done.append(1)

    def work() -> None:
        choose = random.Random(1)
        for _ in range(100):
            tasks = [pycoro.spawn(takes) for _ in range(4)]
            for _ in range(choose.randrange(4)):
                pycoro.sleep(0)
            choose.choice(tasks).kill(block=False)
            pycoro.joinall(tasks)
            killed.extend(1 for task in tasks if isinstance(task.value, pycoro.CoroutineExit))

    run_everywhere(work)
    assert tally.sum == len(done)
    assert killed
    assert (lock.counter, lock.linkcount()) == (1, 0)


def test_seats_are_never_more_than_there_are() -> None:
    seats = Semaphore(3)
    guard = threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for turn in range(300):
            with seats:
                with guard:
                    inside += 1
                    most = max(most, inside)
                if turn % 2:
                    pycoro.sleep(0)
                with guard:
                    inside -= 1

    run_everywhere(work)
    assert 1 < most <= 3
    assert (seats.counter, seats.linkcount()) == (3, 0)


def test_what_is_released_is_what_is_acquired() -> None:
    """Tokens from some, for others; some give up, and try again."""
    tokens = Semaphore(0)
    made, taken = [], []
    wanted = 3000

    def work() -> None:
        choose = random.Random(len(made))
        for turn in range(300):
            tokens.release()
            made.append(1)
            if choose.random() < 0.3:
                pycoro.sleep(0)
            while not tokens.acquire(timeout=choose.choice([None, 0.00001])):
                pass
            taken.append(turn)

    run_everywhere(work, loops=1)
    assert len(made) == len(taken) == wanted
    assert (tokens.counter, tokens.linkcount()) == (0, 0)


def test_an_event_reaches_all() -> None:
    rounds = [(Event(), AsyncResult()) for _ in range(300)]
    seen: list[Any] = []

    def work() -> None:
        for number, (event, result) in enumerate(rounds):
            if number % 3 == 2:
                while not event.wait(0.00001):
                    pass
            else:
                event.wait()
            seen.append(result.get())

    def sets() -> None:
        for number, (event, result) in enumerate(rounds):
            while len(seen) < number:  # some of them are here already
                pycoro.sleep(0)
            event.set()
            if number % 2:
                pycoro.sleep(0)
            result.set(number)

    setter = threading.Thread(target=sets)
    setter.start()
    run_everywhere(work)
    setter.join(60)
    assert sorted(seen) == sorted(list(range(300)) * (3 * TASKS + 2))
    assert [event.linkcount() + result.linkcount() for event, result in rounds] == [0] * 300


def test_links_from_many_threads_are_called_once_each() -> None:
    rounds = [Event() for _ in range(150)]
    called: list[int] = []

    def work() -> None:
        mine = Semaphore(0)
        for number, event in enumerate(rounds):
            event.rawlink(lambda source: (called.append(1), mine.release()))
            if number % 3 == 0:
                pycoro.sleep(0)
            event.set()
            mine.acquire()

    run_everywhere(work)
    assert len(called) == 150 * (3 * TASKS + 2)


def test_a_buffer_loses_nothing() -> None:
    """Producers and consumers over one Condition, as everyone is both."""
    condition = Condition()
    buffer: list[int] = []
    out: list[int] = []
    longest = 0

    def work() -> None:
        nonlocal longest
        for number in range(100):
            with condition:
                while len(buffer) >= 5:
                    # The consumers that could make room may all be here, as producers.
                    if not condition.wait(0.0005) and buffer:
                        out.append(buffer.pop(0))
                buffer.append(number)
                longest = max(longest, len(buffer))
                condition.notify_all()
            with condition:
                condition.wait_for(lambda: buffer, timeout=0.001)
                if buffer:
                    out.append(buffer.pop(0))
                condition.notify_all()

    run_everywhere(work)
    assert sorted(out + buffer) == sorted(list(range(100)) * (3 * TASKS + 2))
    assert longest <= 5
    assert not condition._lock.locked()
    assert len(condition._queue) == 0


def test_all_meet_at_a_barrier_in_each_round() -> None:
    parties = 2 * TASKS + 2
    arrived: list[int] = []
    seen: list[int] = []
    barrier = Barrier(parties, action=lambda: seen.append(len(arrived)))

    def work() -> None:
        for number in range(100):
            arrived.append(number)
            barrier.wait()

    run_everywhere(work, loops=1)
    assert seen == [parties * (number + 1) for number in range(100)]
