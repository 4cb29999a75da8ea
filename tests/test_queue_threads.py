"""Queues, channels and choose() between threads: loops of several threads, and plain threads. What
comes out is what went in, nobody is left waiting, and there are never more items than may be."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pycoro
from pycoro import Timeout, sleep, spawn
from pycoro.choice import Get, Put, choose
from pycoro.event import Event
from pycoro.queue import Channel, Empty, LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue

PATIENCE = 60  # seconds


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """Threads are changed as often as can be."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(former)


def run_threads(*functions: Callable[[], Any]) -> list[Any]:
    """What they give, each in a thread of its own."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []

    def run(number: int, function: Callable[[], Any]) -> None:
        try:
            results[number] = function()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(number, function), daemon=True)
        for number, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def in_tasks(*functions: Callable[[], Any]) -> Callable[[], list[Any]]:
    """All of them as tasks of one thread."""

    def run() -> list[Any]:
        tasks = [spawn(function) for function in functions]
        return [task.get() for task in tasks]

    return run


class Slow:
    """An item that is compared in Python, in which other threads get their turns."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Slow) -> bool:
        return bool(self.value < other.value)


def producer(one: Any, name: int, count: int, wrap: Any) -> Callable[[], None]:
    def produce() -> None:
        for number in range(count):
            one.put(wrap((name, number)))

    return produce


def consumer(one: Any, count: int) -> Callable[[], list[Any]]:
    def consume() -> list[Any]:
        got = []
        for _ in range(count):
            item = one.get()
            got.append(item.value if isinstance(item, Slow) else item)
            if isinstance(one, Queue):
                one.task_done()
        return got

    return consume


def flat(results: list[Any]) -> list[Any]:
    """The consumers' lists, out of tasks or not."""
    lists: list[Any] = []
    for result in results:
        if isinstance(result, list) and result and isinstance(result[0], list | None.__class__):
            lists += [one for one in result if one is not None]
        elif result is not None:
            lists.append(result)
    return lists


SIZES = [
    *(
        (kind, size)
        for kind in (SimpleQueue, Queue, LifoQueue, PriorityQueue)
        for size in (None, 1, 3)
    ),
    (Channel, 1),
]


@pytest.mark.parametrize(("kind", "maxsize"), SIZES)
def test_what_goes_in_comes_out(kind: Any, maxsize: int | None) -> None:
    one = kind(maxsize)
    wrap = Slow if kind is PriorityQueue else tuple
    count = 400
    most = 0

    def watch() -> None:
        nonlocal most
        for _ in range(500):
            if kind is not Channel:
                most = max(most, len(one.queue))

    results = run_threads(
        producer(one, 0, count, wrap),
        in_tasks(producer(one, 1, count, wrap), producer(one, 2, count, wrap)),
        in_tasks(producer(one, 3, count, wrap), consumer(one, count)),
        in_tasks(consumer(one, count), consumer(one, count)),
        consumer(one, count),
        watch,
    )
    lists = flat(results)
    assert len(lists) == 4
    got = Counter(item for items in lists for item in items)
    assert got == Counter((name, number) for name in range(4) for number in range(count))
    if kind in (SimpleQueue, Queue, Channel):
        for items in lists:  # what one has put reaches anybody in its order
            for name in range(4):
                numbers = [number for who, number in items if who == name]
                assert numbers == sorted(numbers)
    if kind is not Channel:
        assert maxsize is None or most <= maxsize
        assert (len(one.queue), one._promised, one._reserved) == (0, 0, 0)
    if isinstance(one, Queue):
        assert (one.unfinished_tasks, one.join(timeout=0)) == (0, True)
    assert not one.getters
    assert not one.putters


@pytest.mark.parametrize(
    ("kind", "maxsize"),
    [(SimpleQueue, None), (SimpleQueue, 2), (Queue, None), (Queue, 2), (Channel, 1)],
)
def test_kills_and_time_limits_lose_nothing(kind: Any, maxsize: int | None) -> None:
    """Consumers are killed, and give up, all the time. A channel's item may have been taken in the
    very moment of its putter's kill, so that only getters are killed there."""
    one = kind(maxsize)
    count = 300
    got: list[int] = []  # append() is one step
    put: list[int] = []

    def gets() -> None:
        while True:
            item = one.get()
            got.append(item)

    def gets_for_a_while() -> None:
        try:
            while True:
                item = one.get(timeout=0.0005)
                got.append(item)
        except Empty:
            pass

    def puts(first: int) -> None:
        for item in range(first, first + count):
            one.put(item)
            put.append(item)

    stop = threading.Event()

    def kills() -> None:
        tasks = [spawn(gets), spawn(gets_for_a_while)]
        while not stop.is_set():
            for number, task in enumerate(tasks):
                task.kill()
                tasks[number] = spawn(gets if number else gets_for_a_while)
            sleep(0)
            with Timeout(0.0002, False):
                got.append(one.get())
        pycoro.killall(tasks)

    def feeds() -> None:
        pycoro.joinall([spawn(puts, first * 1000) for first in range(3)])

    def all_fed() -> None:
        run_threads(feeds, lambda: puts(5000))
        while len(got) < 4 * count and not stop.is_set():
            sleep(0.001)
        stop.set()

    with_deadline = threading.Timer(PATIENCE - 5, stop.set)
    with_deadline.start()
    run_threads(kills, kills, all_fed)
    with_deadline.cancel()
    assert len(put) == 4 * count
    assert sorted(got) == sorted(put)


def test_killed_putters_have_put_or_not() -> None:
    one = Queue(1)
    put: list[int] = []
    got: list[int] = []
    over = threading.Event()

    def puts(item: int) -> None:
        one.put(item)
        put.append(item)

    def feeds() -> None:
        for first in range(0, 600, 3):
            tasks = [spawn(puts, first + number) for number in range(3)]
            sleep(0)
            tasks[first % 2].kill()
            for task in tasks:
                task.join()
        over.set()

    def gets() -> None:
        while not over.is_set() or one.qsize():
            try:
                got.append(one.get(timeout=0.001))
            except Empty:
                pass

    run_threads(feeds, gets, gets)
    assert sorted(got) == sorted(put)
    assert len(put) >= 400
    assert (one.unfinished_tasks, one._reserved, one._promised) == (len(put), 0, 0)


def test_choosing_takes_one_and_no_other() -> None:
    queues = [Queue(), Queue(2), LifoQueue()]
    channel = Channel()
    count = 200

    def chooses() -> list[Any]:
        got = []
        while True:
            _, item = choose(*queues, channel)
            if item is None:
                return got
            got.append(item)

    def puts(name: int) -> Callable[[], None]:
        def put() -> None:
            for number in range(count):
                places = [Put(one, (name, number)) for one in (*queues, channel)]
                choose(places[number % 4], places[(number + 1) % 4])

        return put

    def feeds() -> None:
        run_threads(puts(0), in_tasks(puts(1), puts(2)), puts(3))
        for _ in range(5):
            queues[0].put(None)

    results = run_threads(chooses, in_tasks(chooses, chooses), chooses, chooses, feeds)
    got = [item for items in flat(results) for item in items]
    left = [item for one in queues for item in one.queue]
    assert Counter(got + left) == Counter((name, n) for name in range(4) for n in range(count))
    for one in (*queues, channel):
        assert not one.getters
        assert not one.putters
        assert one._promised == 0


def test_choosers_meet_in_channels_across_threads() -> None:
    """Everybody would give or take in either channel. What is given is taken, once; it may be by
    who gave it, if his next choice is quicker than the getter that was called."""
    channels = [Channel(), Channel()]
    enough = Event()

    def meets(name: int) -> Callable[[], list[Any]]:
        def meet() -> list[Any]:
            seen: list[Any] = []
            while True:
                mine = (name, len(seen))
                which, item = choose(
                    Get(channels[0]),
                    Put(channels[0], mine),
                    Get(channels[1]),
                    Put(channels[1], mine),
                    enough,
                )
                if which == 4:
                    return seen
                seen.append(item if which in (0, 2) else mine)
                if len(seen) == 200:
                    enough.set()

        return meet

    results = run_threads(meets(0), in_tasks(meets(1), meets(2)), meets(3))
    seen = Counter(item for items in flat(results) for item in items)
    assert set(seen.values()) == {2}  # noted by who gave it and by who took it
    assert sum(seen.values()) >= 200
    assert enough.linkcount() == 0
    assert [channel.balance for channel in channels] == [0, 0]


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_from_another_thread_ends_all(immediate: bool) -> None:
    for _ in range(10):
        one = Queue(2)
        put: list[int] = []
        got: list[int] = []

        def puts(one: Queue = one, put: list[int] = put) -> None:
            try:
                for item in range(1000000):
                    one.put(item)
                    put.append(item)
            except ShutDown:
                pass

        def gets(one: Queue = one, got: list[int] = got) -> None:
            try:
                while True:
                    got.append(one.get())
            except ShutDown:
                pass

        def ends(one: Queue = one, got: list[int] = got) -> None:
            while len(got) < 20:
                sleep(0)
            one.shutdown(immediate)

        run_threads(puts, in_tasks(puts, puts), gets, in_tasks(gets, gets), ends)
        assert len(got) <= len(put)
        assert immediate or sorted(got) == sorted(put)
        assert (one.qsize(), one.getters, one.putters) == (0, one.getters, one.putters)
        assert not one.getters
        assert not one.putters
        assert one.unfinished_tasks == len(got)
