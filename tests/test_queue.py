"""Queues, as gevent and the standard library have them; where a test is of pycoro alone, the others
differ, and it says how. Channels are in test_channel.py, threads in test_queue_threads.py."""

from __future__ import annotations

import gc
import queue as stdlib
import types
import weakref
from typing import Any

import pytest
from helpers import output_of
from peers import Api

import pycoro
from pycoro import getcurrent, sleep, spawn
from pycoro.errors import BlockingSwitchOutError
from pycoro.queue import LifoQueue, PriorityQueue, Queue, SimpleQueue

KINDS = ["SimpleQueue", "Queue", "LifoQueue", "PriorityQueue"]
COUNTING = ["Queue", "LifoQueue", "PriorityQueue"]
IN_ORDER = ["SimpleQueue", "Queue"]


def make(api: Api, kind: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(api.queue, kind)(*args, **kwargs)


def in_callback(api: Api, function: Any, *args: Any) -> list[Any]:
    """What the function gives or raises in a callback of the loop."""
    result: list[Any] = []

    def call() -> None:
        try:
            result.append(function(*args))
        except Exception as error:
            result.append(type(error))

    if api.is_gevent:
        api.get_hub().loop.run_callback(call)
    else:
        pycoro.get_loop().call_soon(call)
    api.settle()
    return result


# ---- items, sizes ----


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("SimpleQueue", [2, 1, 3]),
        ("Queue", [2, 1, 3]),
        ("LifoQueue", [3, 1, 2]),
        ("PriorityQueue", [1, 2, 3]),
    ],
)
def test_the_order_of_items(api: Api, kind: str, order: list[int]) -> None:
    filled = make(api, kind)
    for item in (2, 1, 3):
        filled.put(item)
    given = make(api, kind, None, [2, 1, 3])
    for one in (filled, given, given.copy()):
        assert (one.qsize(), len(one), bool(one), one.empty(), one.full()) == (
            3,
            3,
            True,
            False,
            False,
        )
        assert one.peek() == one.peek_nowait() == order[0]
        assert [one.get(), one.get_nowait(), one.get(block=False)] == order
        assert (one.qsize(), len(one), bool(one), one.empty(), one.full()) == (
            0,
            0,
            True,
            True,
            False,
        )
        for get in (one.get_nowait, one.peek_nowait):
            with pytest.raises(api.queue.Empty):
                get()


@pytest.mark.parametrize("kind", KINDS)
def test_maxsize(api: Api, kind: str) -> None:
    one = make(api, kind, 2)
    assert (one.maxsize, one.full()) == (2, False)
    one.put(1)
    one.put_nowait(2)
    assert one.full()
    with pytest.raises(api.queue.Full):
        one.put_nowait(3)
    with pytest.raises(api.queue.Full):
        one.put(3, block=False)
    with pytest.raises(api.queue.Full):
        one.put(3, timeout=0.001)
    one.get()
    assert (one.full(), one.qsize()) == (False, 1)
    one.put(3)
    copy = one.copy()
    assert (copy.maxsize, copy.qsize(), copy.full()) == (2, 2, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maxsize", [None, -1, -5])
def test_no_limit(api: Api, kind: str, maxsize: int | None) -> None:
    one = make(api, kind, maxsize)
    for item in range(100):
        one.put_nowait(item)
    assert (one.maxsize, one.full(), one.qsize()) == (None, False, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_of_0_means_no_limit_and_a_warning_where_it_is_made(api: Api, kind: str) -> None:
    with pytest.warns(DeprecationWarning, match=r"Queue\(0\) now equivalent") as caught:
        one = make(api, kind, 0)
    assert one.maxsize is None
    one.put_nowait(1)
    if not api.is_gevent:  # whose compiled queues leave no frame between
        assert [one.filename for one in caught] == [__file__]


@pytest.mark.parametrize("kind", KINDS)
def test_items_from_the_start_may_be_more_than_the_limit(api: Api, kind: str) -> None:
    one = make(api, kind, 2, [1, 2, 3])
    assert (one.qsize(), one.full()) == (3, True)
    one.get()
    assert one.full()
    one.get()
    one.put_nowait(4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_can_be_set_and_lifted(api: Api, kind: str) -> None:
    one = make(api, kind)
    one.put(1)
    one.maxsize = 1
    assert (one.maxsize, one.full()) == (1, True)
    with pytest.raises(api.queue.Full):
        one.put_nowait(2)
    one.maxsize = None
    assert (one.maxsize, one.full()) == (None, False)
    one.put_nowait(2)
    assert one.qsize() == 2


def test_who_waits_for_room_goes_on_when_the_limit_is_raised() -> None:
    """gevent's goes on only with the next get()."""
    one = Queue(1, [0])
    tasks = [spawn(one.put, number) for number in (1, 2, 3)]
    sleep(0)
    one.maxsize = 3
    sleep(0)
    assert [task.ready() for task in tasks] == [True, True, False]
    one.maxsize = None
    sleep(0)
    assert list(one.queue) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_iterating_gets_until_the_class_stopiteration(api: Api, kind: str) -> None:
    items = [1, StopIteration(), None, StopIteration, 5]
    if kind == "PriorityQueue":
        one = make(api, kind, None, [StopIteration])
        assert list(one) == []
        return
    one = make(api, kind, None, items[::-1] if kind == "LifoQueue" else items)
    assert list(one) == items[:3]
    assert (one.get(), one.qsize()) == (5, 0)


def test_what_a_queue_says_of_itself(api: Api) -> None:
    one = make(api, "SimpleQueue", 1)
    assert str(one) == "<SimpleQueue maxsize=1>"
    assert repr(one) == f"<SimpleQueue at {id(one):#x} maxsize=1>"
    tasks = [api.spawn(one.put, item) for item in (1, 2)]
    api.settle()
    assert str(one) == "<SimpleQueue maxsize=1 queue=deque([1]) putters[1]>"
    assert [one.get(), one.get()] == [1, 2]
    tasks.append(api.spawn(one.get))
    api.settle()
    assert str(one) == "<SimpleQueue maxsize=1 getters[1]>"
    one.put(3)
    api.joinall(tasks)


def test_names_and_classes(api: Api) -> None:
    module = api.queue
    assert (module.Empty, module.Full) == (stdlib.Empty, stdlib.Full)
    assert module.ShutDown is getattr(stdlib, "ShutDown", module.ShutDown)
    assert issubclass(module.ShutDown, Exception)
    assert module.JoinableQueue is module.Queue
    assert issubclass(module.Queue, module.SimpleQueue)
    for kind in COUNTING:
        assert issubclass(getattr(module, kind), module.Queue)
    for kind in [*KINDS, "Channel"]:
        made = getattr(module, kind)
        assert isinstance(made[int], types.GenericAlias)
        one = made()
        assert weakref.ref(one)() is one


def test_a_queue_dies_with_its_last_reference() -> None:
    """So its items do not stay until a collection."""
    gc.disable()
    try:
        for kind in (SimpleQueue, Queue, LifoQueue, PriorityQueue):
            one = kind(1)
            one.put(1)
            task = spawn(one.put, 2)
            sleep(0)
            assert (one.get(), one.get()) == (1, 2)
            task.join()
            dead = weakref.ref(one)
            del one, task
            assert dead() is None
    finally:
        gc.enable()


# ---- waiting ----


@pytest.mark.parametrize("kind", KINDS)
def test_getters_are_served_in_the_order_of_their_calls(api: Api, kind: str) -> None:
    one = make(api, kind)
    log: list[Any] = []

    def gets(number: int) -> None:
        log.append((number, one.get()))

    tasks = [api.spawn(gets, number) for number in range(4)]
    api.settle()
    for item in range(2):
        one.put(item)
        api.settle()
    assert log == [(0, 0), (1, 1)]
    one.put(2)
    one.put(3)
    api.joinall(tasks)
    assert [number for number, _ in log] == [0, 1, 2, 3]
    assert sorted(item for _, item in log) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", IN_ORDER)
def test_putters_are_served_in_the_order_of_their_calls(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    log: list[int] = []

    def puts(item: int) -> None:
        one.put(item)
        log.append(item)

    tasks = [api.spawn(puts, item) for item in range(5)]
    api.settle()
    assert log == [0]
    got = []
    for _ in range(5):
        got.append(one.get())
        api.settle()
    api.joinall(tasks)
    assert got == log == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_is_over(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    for get in (one.get, one.peek):
        for timeout in (0, 0.001):
            with pytest.raises(api.queue.Empty):
                get(timeout=timeout)
    one.put(1)
    with pytest.raises(api.queue.Full):
        one.put(2, timeout=0)
    assert (one.peek(timeout=10), one.get(timeout=10)) == (1, 1)
    one.put(2, timeout=10)
    assert one.get() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_before_the_time_is_over(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    getter = api.spawn(one.get, timeout=1000)
    api.settle()
    one.put(1)
    assert getter.get() == 1
    one.put(2)
    putter = api.spawn(one.put, 3, timeout=1000)
    api.settle()
    assert one.get() == 2
    putter.get()
    assert one.get() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_object_is_raised_itself(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    for call in (one.get, one.peek):
        limit = api.Timeout(0.001)
        with pytest.raises(api.Timeout) as caught:
            call(timeout=limit)
        assert caught.value is limit
        assert not limit.pending
    one.put(1)
    limit = api.Timeout(0.001, KeyError)
    with pytest.raises(KeyError):
        one.put(2, timeout=limit)
    assert (one.qsize(), one.get()) == (1, 1)
    if kind in COUNTING:
        one.task_done()
        assert one.unfinished_tasks == 0


@pytest.mark.parametrize("kind", KINDS)
def test_bad_timeouts(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    with pytest.raises(ValueError, match="non-negative"):
        one.get(timeout=-1)
    with pytest.raises(ValueError, match="non-negative"):
        one.put(1, timeout=-1)
    with pytest.raises(TypeError):
        one.get(timeout="long")
    one.put(1, block=False, timeout=-1)
    assert one.get(block=False, timeout=-1) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_bad_timeouts_of_pycoros(kind: str) -> None:
    """Of these, gevent takes NaN, and looks at a timeout only where there is no item."""
    one = getattr(pycoro.queue, kind)(1)
    for timeout in (float("nan"), -0.5):
        for call in (one.get, one.peek):
            with pytest.raises(ValueError):
                call(timeout=timeout)
    one.put(1)
    for call in (one.get, one.peek):
        with pytest.raises(ValueError, match="non-negative"):
            call(timeout=-1)
    with pytest.raises(ValueError, match="NaN"):
        one.put(1, timeout=float("nan"))
    with pytest.raises(TypeError, match="must be a number of seconds"):
        one.put(1, timeout=[])
    with pytest.raises(TypeError):
        getattr(pycoro.queue, kind)("many")
    assert (one.qsize(), one.get(), one.getters, one.putters) == (1, 1, one.getters, one.putters)
    assert not one.getters
    assert not one.putters


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_callback_of_the_loop(api: Api, kind: str) -> None:
    one = make(api, kind, 1)
    assert in_callback(api, one.get_nowait) == [api.queue.Empty]
    assert in_callback(api, one.put_nowait, 1) == [None]
    assert in_callback(api, one.put_nowait, 2) == [api.queue.Full]
    assert in_callback(api, one.peek_nowait) == [1]
    assert in_callback(api, one.get) == [1]
    getter = api.spawn(one.get)
    api.settle()
    assert in_callback(api, one.put, 3) == [None]
    assert getter.get() == 3
    one.put(4)
    putter = api.spawn(one.put, 5)
    api.settle()
    assert in_callback(api, one.get) == [4]
    putter.join()
    assert one.get() == 5


def test_a_callback_must_not_wait() -> None:
    """gevent's raise Empty and Full there, though nothing was said of not waiting."""
    api = Api("pycoro")
    one = Queue(1)
    assert in_callback(api, one.get) == [BlockingSwitchOutError]
    one.put(1)
    assert in_callback(api, one.put, 2) == [BlockingSwitchOutError]
    assert in_callback(api, one.join) == [BlockingSwitchOutError]
    assert (one.qsize(), one.unfinished_tasks, one.getters, one.putters) == (
        1,
        1,
        one.getters,
        one.putters,
    )
    assert not one.getters
    assert not one.putters


def test_waiting_alone_is_an_error(api: Api) -> None:
    one = make(api, "Queue", 1)
    for call in (one.get, one.peek):
        with pytest.raises(api.LoopExit):
            call()
    one.put(1)
    with pytest.raises(api.LoopExit):
        one.put(2)
    with pytest.raises(api.LoopExit):
        one.join()
    assert (one.get(), one.qsize(), one.unfinished_tasks) == (1, 0, 1)


# ---- kills and wake-ups at the same moment ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kill_first", [False, True])
def test_a_killed_getter_has_the_item_or_it_stays(api: Api, kind: str, kill_first: bool) -> None:
    """With gevent, the getter has it where put() came first; with pycoro, it is killed."""
    one = make(api, kind)
    getter = api.spawn(one.get)
    api.settle()
    if kill_first:
        getter.kill(block=False)
    one.put("item")
    getter.kill(block=False)
    api.settle()
    assert getter.ready()
    has_it = getter.value == "item"
    assert has_it == (api.is_gevent and not kill_first)
    assert one.qsize() == 1 - has_it
    assert has_it or one.get(timeout=10) == "item"


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_gets_what_a_killed_one_would_have(kind: str) -> None:
    one = getattr(pycoro.queue, kind)()
    tasks = [spawn(one.get) for _ in range(4)]
    sleep(0)
    one.put("first")
    one.put("second")
    tasks[0].kill(block=False)
    tasks[1].kill(block=False)
    pycoro.joinall(tasks)
    assert [type(task.value) for task in tasks[:2]] == [pycoro.GreenletExit] * 2
    assert sorted(task.value for task in tasks[2:]) == ["first", "second"]
    assert (one.qsize(), one.get(timeout=0) if one.qsize() else None) == (0, None)


def test_items_of_killed_getters_stay_in_their_order() -> None:
    one = Queue()
    tasks = [spawn(one.get) for _ in range(3)]
    sleep(0)
    for item in range(5):
        one.put(item)
    for task in reversed(tasks):
        task.kill(block=False)
    pycoro.joinall(tasks)
    assert [one.get() for _ in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_at_the_moment_of_put_loses_nothing(api: Api, kind: str) -> None:
    one = make(api, kind)
    log: list[Any] = []

    def gets() -> None:
        with api.Timeout(0.001, False):
            log.append(one.get())
            return
        log.append("too late")

    for _ in range(20):
        task = api.spawn(gets)
        api.sleep(0.001)
        one.put("item")
        task.join()
        if log[-1] == "too late":
            assert one.get(timeout=10) == "item"
        assert one.empty()


@pytest.mark.parametrize("kind", IN_ORDER)
def test_a_place_whose_putter_is_killed_goes_to_the_next(api: Api, kind: str) -> None:
    one = make(api, kind, 1, [0])
    tasks = [api.spawn(one.put, item) for item in (1, 2, 3)]
    api.settle()
    assert one.get() == 0
    tasks[0].kill(block=False)
    api.settle()
    left = [item for item in (1, 2, 3) if item != 1 or api.is_gevent]
    got = []
    for _ in left:
        got.append(one.get(timeout=10))
        api.settle()
    assert got in ([2, 3], [1, 2, 3])  # gevent puts it for the one that is being killed
    if not api.is_gevent:
        assert got == [2, 3]
    api.joinall(tasks)


def test_out_of_where_put_raises_nothing_was_put() -> None:
    one = Queue(1, [0])
    task = spawn(one.put, 1)
    sleep(0)
    assert one.get() == 0
    assert (one.qsize(), one.full(), one.unfinished_tasks) == (0, True, 1)  # the place is taken
    with pytest.raises(stdlib.Full):
        one.put_nowait(2)
    task.kill()
    assert (one.qsize(), one.full(), one.unfinished_tasks) == (0, False, 1)
    one.put_nowait(3)
    assert one.get() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_who_comes_later_gets_what_somebody_was_called_for(kind: str) -> None:
    """With gevent, and the standard library's, whoever comes first to the item gets it."""
    one = getattr(pycoro.queue, kind)()
    log: list[Any] = []

    def gets(name: str) -> None:
        log.append((name, one.get()))

    first = spawn(gets, "first")
    sleep(0)
    one.put(1)
    assert (one.qsize(), len(one), one.empty(), len(one.queue)) == (0, 0, True, 1)
    with pytest.raises(stdlib.Empty):
        one.get_nowait()
    second = spawn(gets, "second")
    third = spawn(one.peek)
    one.put(2)
    assert one.qsize() == 1
    gets("main")
    assert log == [("first", 1), ("main", 2)] or kind == "LifoQueue"
    assert [name for name, _ in log] == ["first", "main"]
    one.put(3)
    pycoro.joinall([first, second, third])
    assert log[2:] == [("second", 3)]
    assert one.qsize() == 0


def test_items_that_nobody_was_called_for_can_be_had_at_once() -> None:
    one = Queue()
    first = spawn(one.get)
    sleep(0)
    one.put(1)
    one.put(2)
    assert one.get_nowait() == 1  # it does not matter which, as long as there is one for each
    assert first.get() == 2


# ---- peek ----


@pytest.mark.parametrize("kind", KINDS)
def test_peek_waits_and_leaves_the_item(api: Api, kind: str) -> None:
    one = make(api, kind)
    peekers = [api.spawn(one.peek) for _ in range(3)]
    api.settle()
    getter = api.spawn(one.get)
    api.settle()
    one.put("item")
    api.joinall([*peekers, getter])
    assert [task.value for task in [*peekers, getter]] == ["item"] * 4
    assert one.empty()


def test_a_killed_peeker_calls_the_next() -> None:
    one = Queue()
    peeker = spawn(one.peek)
    getter = spawn(one.get)
    sleep(0)
    one.put("item")
    peeker.kill(block=False)
    assert getter.get() == "item"


# ---- task_done, join ----


@pytest.mark.parametrize("kind", COUNTING)
def test_join_waits_until_all_is_done(api: Api, kind: str) -> None:
    one = make(api, kind)
    assert one.join() is True
    log: list[Any] = []

    def works() -> None:
        for _ in range(3):
            item = one.get()
            api.sleep(0)
            log.append(item)
            one.task_done()

    def waits() -> None:
        log.append(one.join())

    for item in (1, 2, 3):
        one.put(item)
    assert one.unfinished_tasks == 3
    assert one.join(timeout=0) is False
    assert one.join(timeout=0.001) is False
    tasks = [api.spawn(waits), api.spawn(works), api.spawn(waits)]
    assert one.join(timeout=1000) is True
    api.joinall(tasks)
    assert (sorted(log[:3]), log[3:], one.unfinished_tasks) == ([1, 2, 3], [True, True], 0)
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        one.task_done()
    assert (one.unfinished_tasks, one.join()) == (0, True)


@pytest.mark.parametrize("kind", COUNTING)
def test_what_is_unfinished_from_the_start(api: Api, kind: str) -> None:
    made = getattr(api.queue, kind)
    assert made(None, [1, 2]).unfinished_tasks == 2
    one = made(None, [1, 2], 5)
    assert (one.unfinished_tasks, one.copy().unfinished_tasks) == (5, 5)
    assert made(None, (), 1).unfinished_tasks == 1
    assert made().unfinished_tasks == 0


def test_who_waits_to_put_is_not_counted(api: Api) -> None:
    one = make(api, "Queue", 1, [0])
    putter = api.spawn(one.put, 1)
    api.settle()
    assert one.unfinished_tasks == 1
    with pytest.raises(api.queue.Full):
        one.put_nowait(2)
    assert one.unfinished_tasks == 1
    assert one.get() == 0
    putter.join()
    assert one.unfinished_tasks == 2
    one.task_done()
    one.task_done()
    assert (one.join(), one.get()) == (True, 1)


def test_a_killed_joiner_leaves_nothing_behind(api: Api) -> None:
    one = make(api, "Queue", None, [1])
    tasks = [api.spawn(one.join), api.spawn(one.join)]
    api.settle()
    tasks[0].kill()
    one.task_done()
    assert tasks[1].get() is True


# ---- shutdown ----


@pytest.mark.parametrize("kind", COUNTING)
def test_after_shutdown_what_is_there_can_be_got(api: Api, kind: str) -> None:
    one = make(api, kind)
    one.put(1)
    one.put(2)
    one.shutdown()
    assert one.is_shutdown
    for put in (one.put, one.put_nowait):
        with pytest.raises(api.queue.ShutDown):
            put(3)
    assert sorted([one.get(), one.get_nowait()]) == [1, 2]
    for get in (one.get, one.get_nowait, one.peek, one.peek_nowait):
        with pytest.raises(api.queue.ShutDown):
            get()
    with pytest.raises(api.queue.ShutDown):
        one.get(timeout=1)
    assert one.unfinished_tasks == 2
    one.task_done()
    one.task_done()
    assert one.join()
    one.shutdown()


@pytest.mark.parametrize("kind", COUNTING)
def test_an_immediate_shutdown_drops_the_items(api: Api, kind: str) -> None:
    one = make(api, kind)
    for item in (1, 2, 3):
        one.put(item)
    one.get()
    joiner = api.spawn(one.join)
    api.settle()
    one.shutdown(immediate=True)
    assert (one.qsize(), one.unfinished_tasks) == (0, 1)
    for get in (one.get, one.get_nowait, one.peek):
        with pytest.raises(api.queue.ShutDown):
            get()
    with pytest.raises(api.queue.ShutDown):
        one.put(1)
    assert not joiner.ready()
    one.task_done()
    assert joiner.get()


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("kind", COUNTING)
def test_shutdown_ends_all_waits(api: Api, kind: str, immediate: bool) -> None:
    empty = make(api, kind)
    full = make(api, kind, 1, [0])
    calls: list[tuple[Any, ...]] = [
        (empty.get,),
        (empty.get, True, 1000),
        (empty.peek,),
        (full.put, 1),
        (full.put, 1, True, 1000),
    ]
    log: list[Any] = []

    def call(number: int, function: Any, *args: Any) -> None:
        try:
            function(*args)
        except api.queue.ShutDown:
            log.append(number)

    tasks = [api.spawn(call, number, *what) for number, what in enumerate(calls)]
    api.settle()
    empty.shutdown(immediate)
    full.shutdown(immediate)
    api.joinall(tasks)
    assert log == [0, 1, 2, 3, 4]
    assert (full.qsize(), full.unfinished_tasks) == ((0, 0) if immediate else (1, 1))


def test_shutdown_at_the_moment_of_a_wakeup() -> None:
    """Who has been called for an item still gets it; who has been called to put does not put."""
    one = Queue(1)
    getter = spawn(one.get)
    sleep(0)
    one.put(1)
    one.shutdown()
    assert getter.get() == 1
    one = Queue(1, [0])
    putter = spawn(one.put, 1)
    later = spawn(one.put, 2)
    sleep(0)
    one.get()
    one.shutdown()
    for task in (putter, later):
        task.join()
        assert isinstance(task.exception, pycoro.queue.ShutDown)
    assert (one.qsize(), one.unfinished_tasks) == (0, 1)


# ---- subclasses with their own methods for items ----


def test_the_methods_of_a_subclass_are_used(api: Api) -> None:
    log: list[str] = []

    class Unique(api.queue.Queue):  # type: ignore[name-defined,misc]
        def _init(self, maxsize: int | None) -> None:
            log.append(f"init {maxsize}")
            self.queue = set()

        def _qsize(self) -> int:
            return len(self.queue)

        def _put(self, item: Any) -> None:
            log.append(f"put {item}")
            self.queue.add(item)

        def _get(self) -> Any:
            log.append("get")
            return self.queue.pop()

    one = Unique(2)
    one.put(1)
    one.put(1)
    getter = api.spawn(one.get)
    assert (one.qsize(), one.full(), getter.get()) == (1, False, 1)
    assert log == ["init 2", "put 1", "put 1", "get"]
    getter = api.spawn(one.get)
    api.settle()
    one.put(5)
    assert getter.get() == 5


@pytest.mark.parametrize("kind", KINDS)
def test_methods_that_call_the_class_s_own(api: Api, kind: str) -> None:
    base = getattr(api.queue, kind)

    class Counting(base):  # type: ignore[valid-type,misc]
        puts = gets = 0

        def _put(self, item: Any) -> None:
            self.puts += 1
            super()._put(item)

        def _get(self) -> Any:
            self.gets += 1
            return super()._get()

    class Derived(Counting):
        pass

    for made in (Counting, Derived):
        one = made()
        one.put(1)
        one.put_nowait(2)
        assert sorted([one.get(), one.get_nowait()]) == [1, 2]
        assert (one.puts, one.gets, one.qsize()) == (2, 2, 0)
        if kind in COUNTING:
            assert one.unfinished_tasks == 2


def test_a_mixin_s_methods_are_used() -> None:
    class Reversing:
        def _get(self) -> Any:
            return self.queue.pop()  # type: ignore[attr-defined]

    class Mixed(Reversing, Queue):
        pass

    one = Mixed(None, [1, 2, 3])
    assert [one.get(), one.get_nowait(), one.get()] == [3, 2, 1]


class Failing(Queue):
    fails_to: str | None = None

    def _fail(self, what: str) -> None:
        if self.fails_to == what:
            self.fails_to = None
            raise KeyError(what)

    def _put(self, item: Any) -> None:
        self._fail("put")
        super()._put(item)

    def _get(self) -> Any:
        self._fail("get")
        return super()._get()

    def _qsize(self) -> int:
        self._fail("qsize")
        return super()._qsize()


@pytest.mark.parametrize("what", ["put", "get", "qsize"])
def test_methods_that_raise_leave_the_queue_whole(what: str) -> None:
    """Found nowhere else: gevent loses the item and its place in the line."""
    one = Failing(2)
    call = {"put": lambda: one.put(1), "get": one.get, "qsize": one.get}[what]
    if what != "put":
        one.put(1)
    one.fails_to = what
    with pytest.raises(KeyError, match=what):
        call()
    before = int(what != "put")
    assert (one.qsize(), one.unfinished_tasks) == (before, before)
    one.put(2)
    one.put(1) if what == "put" else None
    assert (one.full(), sorted([one.get(), one.get()])) == (True, [1, 2])


def test_a_method_that_raises_in_a_waiting_getter_calls_the_next() -> None:
    one = Failing()
    tasks = [spawn(one.get), spawn(one.get)]
    sleep(0)
    one.put(1)
    one.fails_to = "get"
    pycoro.joinall(tasks)
    assert isinstance(tasks[0].exception, KeyError)
    assert tasks[1].value == 1


def test_a_method_that_raises_in_a_waiting_putter_lets_in_the_next() -> None:
    one = Failing(1, [0])
    tasks = [spawn(one.put, 1), spawn(one.put, 2)]
    sleep(0)
    assert one.get() == 0
    one.fails_to = "put"
    pycoro.joinall(tasks)
    assert isinstance(tasks[0].exception, KeyError)
    assert (tasks[1].successful(), one.get(), one.unfinished_tasks) == (True, 2, 2)


@pytest.mark.parametrize("size", [0, 1])
def test_a_method_that_raises_before_a_wait_leaves_nobody_in_line(size: int) -> None:
    one = Failing(1, [0] * size)

    def fail_once_in_line(name: str, line: Any) -> None:
        former = Failing._qsize

        def qsize(self: Any) -> int:
            if line:
                raise KeyError(name)
            return former(self)

        Failing._qsize = qsize  # type: ignore[method-assign]
        try:
            with pytest.raises(KeyError):
                one.put(1) if size else one.get()
        finally:
            Failing._qsize = former  # type: ignore[method-assign]

    fail_once_in_line("put" if size else "get", one.putters if size else one.getters)
    assert not one.putters
    assert not one.getters
    assert getcurrent()._wait is not one
    sleep(0)
    assert one.unfinished_tasks == size


def test_a_priority_queue_stays_whole_where_items_cannot_be_compared() -> None:
    """heapq leaves what it could not push, and drops what it could not pop."""
    one = PriorityQueue(None, [3, 1, 2])
    for item in ("word", None, [1]):
        with pytest.raises(TypeError):
            one.put(item)
    assert (one.qsize(), one.unfinished_tasks) == (3, 3)
    assert [one.get() for _ in range(3)] == [1, 2, 3]

    class Moody:
        fails = False

        def __init__(self, value: int) -> None:
            self.value = value

        def __lt__(self, other: Any) -> bool:
            if Moody.fails:
                raise KeyError("no")
            return bool(self.value < other.value)

    items = [Moody(value) for value in range(10)]
    one = PriorityQueue(None, items)
    Moody.fails = True
    with pytest.raises(KeyError):
        one.get()
    with pytest.raises(KeyError):
        one.put(Moody(-1))
    Moody.fails = False
    assert (one.qsize(), set(one.queue) == set(items)) == (10, True)


@pytest.mark.parametrize("size", range(1, 16))
def test_a_failed_push_is_undone_from_wherever_it_got(size: int) -> None:
    class Item:
        left = 0

        def __init__(self, value: int) -> None:
            self.value = value

        def __lt__(self, other: Any) -> bool:
            if Item.left == 0:
                raise KeyError("enough")
            Item.left -= 1
            return bool(self.value < other.value)

    Item.left = 1000
    one = PriorityQueue(None, map(Item, range(size)))
    before = list(one.queue)
    for allowed in range(4):
        Item.left = allowed
        try:
            one.put(Item(-1))
        except KeyError:
            assert one.queue == before
        else:
            assert one.queue[0].value == -1
            break


# ---- what may happen in the middle ----


def test_finalizers_and_items_may_use_the_queue() -> None:
    one = SimpleQueue()

    class Last:
        def __del__(self) -> None:
            one.put("last words")

    getter = spawn(one.get)
    sleep(0)
    holder = [Last()]
    holder.clear()
    assert getter.get() == "last words"
    one.put(Last())
    del holder
    one.get()
    assert one.get_nowait() == "last words"


def test_ctrl_c_in_a_get_leaves_the_queue_whole() -> None:
    assert output_of(
        """
        import os, signal
        import pycoro
        from pycoro.queue import Queue

        one = Queue(1)

        def interrupts():
            pycoro.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        for call in (one.get, lambda: one.put(2)):
            task = pycoro.spawn(interrupts)
            try:
                call()
            except KeyboardInterrupt:
                print("interrupted", len(one.getters), len(one.putters))
            task.join()
            if one.empty():
                one.put(1)
        print(one.get(), one.qsize())
        """
    ) == ["interrupted 0 0", "interrupted 0 0", "1 0"]


def test_in_a_forked_child_those_who_waited_are_gone() -> None:
    assert output_of(
        """
        import os
        import pycoro
        from pycoro.queue import Channel, Queue

        one, other, channel = Queue(), Queue(1, [0]), Channel()
        waiting = [pycoro.spawn(one.get), pycoro.spawn(other.put, 1), pycoro.spawn(channel.put, 2),
                   pycoro.spawn(channel.get), pycoro.spawn(channel.put, 3)]
        pycoro.sleep(0)
        called = Queue()
        task = pycoro.spawn(called.get)
        full = Queue(1, [0])
        putter = pycoro.spawn(full.put, 1)
        pycoro.sleep(0)
        called.put("x")  # its getter has been called, and has not yet come
        full.get()
        child = os.fork()
        if child == 0:
            one.put(5)
            assert one.get(timeout=1) == 5
            assert other.get() == 0
            other.put(6, timeout=1)
            assert other.get() == 6
            assert pycoro.spawn(channel.get).ready() is False
            channel.put(7, timeout=1)
            assert called.get(timeout=1) == "x", called
            full.put(8, timeout=1)
            assert full.get(timeout=1) == 8
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    ) == ["0"]
