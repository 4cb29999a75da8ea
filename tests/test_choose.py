"""choose(): one of several things, and none of the others. gevent has nothing like it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from helpers import in_thread
from peers import Api
from test_queue import in_callback

import pycoro
from pycoro import Timeout, choice, sleep, spawn, spawn_later
from pycoro.choice import After, Get, Put, choose
from pycoro.deadlines import move_on_after
from pycoro.errors import BlockingSwitchOutError, LoopExit
from pycoro.event import AsyncResult, Event
from pycoro.lock import BoundedSemaphore, DummySemaphore, Semaphore
from pycoro.queue import Channel, Full, LifoQueue, PriorityQueue, Queue, ShutDown, SimpleQueue
from pycoro.testing import virtual_time

pytestmark = pytest.mark.usefixtures("clean_loop")


def nobody_in_line(*queues: Any) -> bool:
    return not any(queue.getters or queue.putters for queue in queues)


# ---- one case ----


@pytest.mark.parametrize("kind", [SimpleQueue, Queue, LifoQueue, PriorityQueue])
def test_getting_and_putting(kind: Any) -> None:
    queue, empty = kind(1), kind()
    assert choose(Put(queue, "item")) == (0, None)
    assert choose(empty, queue) == (1, "item")
    task = spawn(choose, empty, queue)
    sleep(0)
    assert not task.ready()
    queue.put("later")
    assert task.get() == (1, "later")
    queue.put("in the way")
    task = spawn(choose, Get(empty), Put(queue, "put"))
    sleep(0)
    assert (task.ready(), queue.get()) == (False, "in the way")
    assert task.get() == (1, None)
    assert queue.get() == "put"
    assert nobody_in_line(queue, empty)


def test_counting() -> None:
    queue = Queue(1)
    choose(Put(queue, 1))
    assert queue.unfinished_tasks == 1
    assert choose(Put(queue, 2), timeout=0) == (None, None)
    assert queue.unfinished_tasks == 1
    task = spawn(choose, Put(queue, 2))
    sleep(0)
    assert (queue.unfinished_tasks, queue.get()) == (1, 1)
    task.join()
    assert queue.unfinished_tasks == 2


def test_channels() -> None:
    channel, other = Channel(), Channel()
    putter = spawn(channel.put, 1)
    sleep(0)
    assert choose(other, channel) == (1, 1)
    getter = spawn(channel.get)
    sleep(0)
    assert choose(other, Put(channel, 2)) == (1, None)
    assert (getter.get(), putter.get()) == (2, None)
    for waits, other_side in (
        (lambda: choose(other, channel), lambda: channel.put(3)),
        (lambda: choose(other, Put(channel, 3)), channel.get),
    ):
        task = spawn(waits)
        sleep(0)
        assert channel.balance in (-1, 1)
        value = other_side()
        assert (task.get(), value) in (((1, 3), None), ((1, None), 3))
        assert nobody_in_line(channel, other)


def test_two_who_choose_meet_in_a_channel() -> None:
    channel, never = Channel(), Queue()
    getter = spawn(choose, channel, never)
    putter = spawn(choose, never, Put(channel, "item"))
    assert (getter.get(), putter.get()) == ((0, "item"), (1, None))
    putter = spawn(choose, never, Put(channel, "item"))
    getter = spawn(choose, channel, never)
    assert (getter.get(), putter.get()) == ((0, "item"), (1, None))
    assert nobody_in_line(channel, never)


def test_nobody_gets_what_he_offers_himself() -> None:
    channel = Channel()
    cases = (channel, Put(channel, "mine"))
    task = spawn(choose, *cases)
    sleep(0)
    sleep(0)
    assert not task.ready()
    assert channel.get() == "mine"
    assert task.get() == (1, None)
    task = spawn(choose, *cases)
    sleep(0)
    channel.put("yours")
    assert task.get() == (0, "yours")
    twins = [spawn(choose, *cases) for _ in range(2)]
    pycoro.joinall(twins)
    assert sorted(task.value for task in twins) == [(0, "mine"), (1, None)]
    alone = spawn(choose, *cases)
    sleep(0)
    late = spawn(channel.get)
    sleep(0)
    assert (late.get(), alone.get()) == ("mine", (1, None))
    assert nobody_in_line(channel)


def test_events_tasks_and_results() -> None:
    never, event, result = Event(), Event(), AsyncResult()
    spawn_later(0, event.set)
    assert choose(never, event) == (1, True)
    assert choose(never, event) == (1, True)
    task = spawn(lambda: "value")
    assert choose(never, task) == (1, "value")
    assert choose(task, never) == (0, "value")
    spawn_later(0, result.set, 5)
    assert choose(result, never) == (0, 5)
    assert (never.linkcount(), event.linkcount(), result.linkcount()) == (0, 0, 0)


def test_an_event_that_is_cleared_before_the_chooser_s_turn() -> None:
    """As wait(): who was woken is told so."""
    event = Event()
    task = spawn(choose, event)
    sleep(0)
    event.set()
    event.clear()
    assert task.get() == (0, True)


def test_the_error_of_a_task_or_result_is_raised() -> None:
    def fails() -> None:
        raise KeyError("failed")

    never, result = Event(), AsyncResult()
    task = spawn(fails)
    with pytest.raises(KeyError, match="failed"):
        choose(never, task)
    spawn_later(0, result.set_exception, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        choose(never, result)
    assert (never.linkcount(), result.linkcount()) == (0, 0)


@pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore])
def test_semaphores_are_acquired(kind: Any) -> None:
    semaphore, never = kind(1), Semaphore(0)
    assert choose(never, semaphore) == (1, True)
    assert semaphore.locked()
    log: list[Any] = []

    def takes(name: str, *cases: Any) -> None:
        semaphore.acquire() if not cases else choose(*cases)
        log.append(name)

    tasks = [
        spawn(takes, "first"),
        spawn(takes, "second", never, semaphore),
        spawn(takes, "third"),
        spawn(takes, "fourth", semaphore),
    ]
    sleep(0)
    for turn in range(4):
        assert len(log) == turn
        semaphore.release()
        sleep(0)
    pycoro.joinall(tasks)
    assert log == ["first", "second", "third", "fourth"]
    assert (semaphore.counter, semaphore.linkcount(), never.linkcount()) == (0, 0, 0)
    assert choose(never, DummySemaphore()) == (1, True)


def test_time() -> None:
    queue = Queue()
    with virtual_time() as clock:
        begin = clock.now
        assert choose(queue, After(5, "value"), After(7)) == (1, "value")
        assert clock.now == begin + 5
        limit = After(10)
        spawn_later(4, queue.put, 1)
        assert choose(queue, limit) == (0, 1)
        assert choose(queue, limit) == (1, None)
        assert choose(limit, queue) == (0, None)  # it stays over
        assert clock.now == begin + 15
        assert choose(queue, After(0)) == (1, None)
    assert nobody_in_line(queue)


# ---- limits ----


def test_the_time_is_over() -> None:
    queue, event = Queue(), Event()
    with virtual_time() as clock:
        begin = clock.now
        assert choose(queue, event, timeout=5) == (None, None)
        assert choose(queue, event, timeout=5, default="nothing") == (None, "nothing")
        assert clock.now == begin + 10
        spawn_later(4, queue.put, 1)
        assert choose(queue, event, timeout=5, default="nothing") == (0, 1)
        assert clock.now == begin + 14
        assert choose(timeout=1) == (None, None)
    assert nobody_in_line(queue)
    assert event.linkcount() == 0


def test_not_to_wait() -> None:
    queue, full = Queue(), Queue(1, [0])
    log: list[str] = []
    task = spawn(log.append, "turn")
    cases = (queue, Put(full, 1), Channel(), Event(), Semaphore(0), task)
    assert choose(*cases, timeout=0, default="nothing") == (None, "nothing")
    assert log == []
    task.join()
    assert choose(*cases, timeout=0)[0] == 5


def test_a_timeout_or_a_scope_around_it() -> None:
    queue, semaphore = Queue(), Semaphore(0)
    with Timeout(0.001, False):
        choose(queue, semaphore)
    with move_on_after(0.001) as scope:
        choose(queue, semaphore)
    assert scope.cancelled_caught
    assert (nobody_in_line(queue), semaphore.linkcount()) == (True, 0)


def test_waiting_alone_is_an_error() -> None:
    queue, event = Queue(), Event()
    with pytest.raises(LoopExit):
        choose(queue, event, Put(Queue(1, [0]), 1))
    assert nobody_in_line(queue)
    assert event.linkcount() == 0


def test_in_a_callback_of_the_loop() -> None:
    api, queue = Api("pycoro"), Queue(None, [1])
    assert in_callback(api, choose, queue) == [(0, 1)]
    assert in_callback(api, lambda: choose(queue, timeout=0)) == [(None, None)]
    assert in_callback(api, choose, queue) == [BlockingSwitchOutError]
    assert nobody_in_line(queue)


# ---- exactly one, and a fair one ----


def test_only_one_takes_effect() -> None:
    queues = [Queue(), Queue()]
    full = Queue(1, [0])
    semaphore, event = Semaphore(0), Event()
    task = spawn(choose, *queues, Put(full, 1), semaphore, event)
    sleep(0)
    for queue in queues:
        queue.put("item")
    full.get()
    semaphore.release()
    event.set()
    assert task.get() == (0, "item")  # the first to call it
    assert [queue.qsize() for queue in queues] == [0, 1]
    assert (full.qsize(), semaphore.counter, event.linkcount()) == (0, 1, 0)
    assert nobody_in_line(*queues, full)
    full.put_nowait(2)


def test_one_that_has_been_chosen_elsewhere_is_passed_over() -> None:
    first, second = Queue(), Queue()
    chooser = spawn(choose, first, second)
    sleep(0)
    getter = spawn(second.get)
    sleep(0)
    first.put(1)
    second.put(2)  # before the chooser has left that line
    assert (chooser.get(), getter.get()) == ((0, 1), 2)


def test_those_in_line_are_served_in_their_order() -> None:
    queue, never = Queue(), Queue()
    log: list[Any] = []

    def plain(name: str) -> None:
        log.append((name, queue.get()))

    def chooses(name: str) -> None:
        log.append((name, choose(never, queue)[1]))

    tasks = [spawn(plain, "a"), spawn(chooses, "b"), spawn(plain, "c"), spawn(chooses, "d")]
    sleep(0)
    for item in range(4):
        queue.put(item)
    pycoro.joinall(tasks)
    assert log == [("a", 0), ("b", 1), ("c", 2), ("d", 3)]


def test_of_several_that_are_possible_each_has_its_turn(monkeypatch: Any) -> None:
    monkeypatch.setattr(choice, "_random", random.Random(1).random)
    queues = [Queue(None, range(400)) for _ in range(4)]
    chosen = Counter(choose(*queues)[0] for _ in range(400))
    assert sorted(chosen) == [0, 1, 2, 3]
    assert min(chosen.values()) > 70
    queues[2] = queues[0] = Queue()
    assert {choose(*queues)[0] for _ in range(50)} == {1, 3}


def test_in_order() -> None:
    queues = [Queue(None, [1]), Queue(None, range(5)), Queue(None, range(5))]
    chosen = [choose(*queues, in_order=True)[0] for _ in range(8)]
    assert chosen == [0, 1, 1, 1, 1, 1, 2, 2]
    event = Event()
    event.set()
    assert choose(queues[2], event, in_order=True) == (0, 2)
    assert choose(event, queues[2], in_order=True) == (0, True)


def test_the_same_queue_twice() -> None:
    queue = Queue(1)
    task = spawn(choose, queue, queue)
    sleep(0)
    queue.put(1)
    assert task.get() == (0, 1)
    assert choose(queue, Put(queue, 2)) == (1, None)
    assert choose(queue, Put(queue, 3)) == (0, 2)
    assert (queue.qsize(), nobody_in_line(queue)) == (0, True)


# ---- kills at the same moment ----


def test_an_item_whose_chooser_is_killed_stays_for_the_next() -> None:
    queue, never = Queue(), Queue()
    chooser = spawn(choose, never, queue)
    getter = spawn(queue.get)
    other = spawn(choose, queue)
    sleep(0)
    queue.put(1)
    queue.put(2)
    chooser.kill(block=False)
    assert (getter.get(), other.get()) == (1, (0, 2))
    assert (queue.qsize(), nobody_in_line(queue, never)) == (0, True)


def test_a_place_whose_chooser_is_killed_goes_to_the_next() -> None:
    full, never = Queue(1, [0]), Queue()
    chooser = spawn(choose, never, Put(full, 1))
    putter = spawn(full.put, 2)
    sleep(0)
    full.get()
    chooser.kill(block=False)
    putter.join()
    assert (full.get(), full.unfinished_tasks, nobody_in_line(full, never)) == (2, 2, True)


def test_a_semaphore_whose_chooser_is_killed_goes_to_the_next() -> None:
    semaphore, never = Semaphore(0), Queue()
    chooser = spawn(choose, never, semaphore)
    other = spawn(semaphore.acquire)
    sleep(0)
    semaphore.release()
    chooser.kill(block=False)
    assert other.get() is True
    assert (semaphore.counter, semaphore.linkcount()) == (0, 0)


def test_an_offer_whose_chooser_is_killed_goes_with_it() -> None:
    channel, never = Channel(), Queue()
    chooser = spawn(choose, never, Put(channel, "gone"), channel)
    sleep(0)
    chooser.kill()
    assert (channel.balance, nobody_in_line(channel, never)) == (0, True)
    with pytest.raises(Full):
        channel.put_nowait(1)


def test_a_called_chooser_of_a_channel_is_killed() -> None:
    channel, never = Channel(), Queue()
    chooser = spawn(choose, never, channel)
    getter = spawn(channel.get)
    sleep(0)
    putter = spawn(channel.put, "item")
    sleep(0)  # now the putter has called the chooser
    chooser.kill()
    assert (getter.get(), putter.get(), channel.balance) == ("item", None, 0)


# ---- what else may go wrong ----


def test_shutdown() -> None:
    queue, full, never = Queue(), Queue(1, [0]), Queue()
    tasks = [spawn(choose, never, queue), spawn(choose, never, Put(full, 1))]
    sleep(0)
    queue.shutdown()
    full.shutdown()
    for task in tasks:
        task.join()
        assert isinstance(task.exception, ShutDown)
    with pytest.raises(ShutDown):
        choose(never, queue)
    with pytest.raises(ShutDown):
        choose(never, Put(full, 1), timeout=0)
    assert choose(full) == (0, 0)
    assert nobody_in_line(queue, full, never)


def test_bad_arguments() -> None:
    queue = Queue(None, [1])
    with pytest.raises(ValueError, match="would wait forever"):
        choose()
    for case in (1, None, "queue", object(), (queue, 1), [queue], Queue):
        with pytest.raises(TypeError, match="a case must be a queue"):
            choose(queue, case)
    for make in (Get, lambda thing: Put(thing, 1)):
        with pytest.raises(TypeError, match="a queue or channel was expected, not"):
            make(Event())
    for seconds in (None, "long", []):
        with pytest.raises(TypeError):
            After(seconds)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        After(float("nan"))
    with pytest.raises(TypeError):
        choose(queue, timeout="long")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        choose(queue, timeout=float("nan"))
    assert queue.qsize() == 1


def test_a_case_that_cannot_be_waited_for_leaves_no_other_in_line() -> None:
    class Refuses(Event):
        def rawlink(self, callback: Any) -> None:
            raise KeyError("no links")

    queue, event = Queue(), Event()
    with pytest.raises(KeyError, match="no links"):
        choose(queue, event, Refuses())
    assert (nobody_in_line(queue), event.linkcount()) == (True, 0)

    class CallsFirst(Refuses):
        def rawlink(self, callback: Any) -> None:
            queue.put("item")  # calls the chooser, who is not going to come
            super().rawlink(callback)

    with pytest.raises(KeyError, match="no links"):
        choose(queue, event, CallsFirst())
    assert (queue.get_nowait(), nobody_in_line(queue), event.linkcount()) == ("item", True, 0)
    sleep(0)


def test_it_says_what_it_waits_for() -> None:
    queue, event = Queue(), Event()
    task = spawn(choose, queue, Put(Channel(), 1), event, After(100))
    sleep(0)
    said = repr(task._wait)
    assert said.startswith("<choose() among 4: Get(<Queue at ")
    assert said.endswith("After(100)>")
    assert "Put(<Channel at " in said
    task.kill()


def test_in_a_thread_that_has_no_loop_yet() -> None:
    """And what is chosen comes from another thread's task."""
    queue, event = Queue(), Event()

    def waits() -> Any:
        return choose(queue, event, timeout=60)

    task = spawn_later(0.01, queue.put, "from afar")
    assert pycoro.get_loop().threadpool.apply(in_thread, (waits,)) == (0, "from afar")
    task.join()
    assert (nobody_in_line(queue), event.linkcount()) == (True, 0)
