"""Channels: items go from hand to hand. As gevent has them, but for what is said to differ."""

from __future__ import annotations

from typing import Any

import pytest
from peers import Api
from test_queue import in_callback

import pycoro
from pycoro import sleep, spawn
from pycoro.errors import BlockingSwitchOutError
from pycoro.queue import Channel, Empty, Full


def test_put_goes_on_when_the_item_has_been_taken(api: Api) -> None:
    channel = api.queue.Channel()
    log: list[str] = []

    def gets() -> None:
        log.append(channel.get())
        log.append(channel.get())

    getter = api.spawn(gets)
    log.append("putting")
    channel.put("one")
    log.append("put one")
    channel.put("two")
    log.append("put two")
    assert log == ["putting", "one", "put one", "two", "put two"]
    getter.get()


def test_get_goes_on_before_its_putter(api: Api) -> None:
    channel = api.queue.Channel()
    log: list[str] = []

    def puts() -> None:
        for item in ("one", "two"):
            log.append(f"putting {item}")
            channel.put(item)
        log.append("put two")

    putter = api.spawn(puts)
    log.append("getting")
    log.append(channel.get())
    log.append(channel.get())
    assert log == ["getting", "putting one", "one", "putting two", "two"]
    putter.join()
    assert log[5:] == ["put two"]


def test_first_come_first_served_on_both_sides(api: Api) -> None:
    channel = api.queue.Channel()
    log: list[tuple[str, int]] = []

    def puts(item: int) -> None:
        channel.put(item)
        log.append(("put", item))

    def gets(number: int) -> None:
        log.append((f"getter {number}", channel.get()))

    tasks = [api.spawn(puts, item) for item in range(3)]
    api.settle()
    assert (channel.balance, log) == (3, [])
    tasks += [api.spawn(gets, number) for number in range(6)]
    api.settle()
    assert channel.balance == -3
    tasks += [api.spawn(puts, item) for item in range(3, 6)]
    api.joinall(tasks)
    assert [entry for entry in log if entry[0] != "put"] == [(f"getter {n}", n) for n in range(6)]
    assert [entry[1] for entry in log if entry[0] == "put"] == list(range(6))
    assert channel.balance == 0


def test_it_has_no_size(api: Api) -> None:
    channel = api.queue.Channel(maxsize=1)
    putter = api.spawn(channel.put, 1)
    api.settle()
    assert (channel.qsize(), channel.empty(), channel.full(), bool(channel)) == (
        0,
        True,
        True,
        True,
    )
    assert "putters[1]" in repr(channel)
    assert channel.get() == 1
    putter.get()
    for size in (0, 2, None):
        with pytest.raises(ValueError, match="Channels have a maxsize of 1"):
            api.queue.Channel(size)


def test_the_time_is_over(api: Api) -> None:
    channel = api.queue.Channel()
    for timeout in (0, 0.001):
        with pytest.raises(api.queue.Empty):
            channel.get(timeout=timeout)
        with pytest.raises(api.queue.Full):
            channel.put(1, timeout=timeout)
    limit = api.Timeout(0.001)
    with pytest.raises(api.Timeout) as caught:
        channel.get(timeout=limit)
    assert caught.value is limit
    limit = api.Timeout(0.001)
    with pytest.raises(api.Timeout) as caught:
        channel.put(1, timeout=limit)
    assert caught.value is limit
    assert channel.balance == 0
    putter = api.spawn(channel.put, 2, timeout=1000)
    assert channel.get(timeout=1000) == 2
    putter.get()


def test_not_to_wait() -> None:
    """gevent's would have it in the next turn, and fail where it might succeed at once."""
    channel = Channel()
    with pytest.raises(Empty):
        channel.get_nowait()
    with pytest.raises(Full):
        channel.put_nowait(1)
    putter = spawn(channel.put, 1)
    sleep(0)
    assert channel.get_nowait() == 1
    getters = [spawn(channel.get), spawn(channel.get)]
    sleep(0)
    channel.put_nowait(2)
    channel.put_nowait(3)
    with pytest.raises(Full):
        channel.put_nowait(4)
    pycoro.joinall([putter, *getters])
    assert [task.value for task in getters] == [2, 3]


def test_bad_timeouts() -> None:
    channel = Channel()
    for timeout, error in ((-1, ValueError), (float("nan"), ValueError), ("long", TypeError)):
        with pytest.raises(error):
            channel.get(timeout=timeout)  # type: ignore[arg-type]
        with pytest.raises(error):
            channel.put(1, timeout=timeout)  # type: ignore[arg-type]
    assert channel.balance == 0


def test_in_a_callback_of_the_loop(api: Api) -> None:
    channel = api.queue.Channel()
    assert in_callback(api, channel.put_nowait, 1) == [api.queue.Full]
    putter = api.spawn(channel.put, 2)
    api.settle()
    assert in_callback(api, channel.get_nowait) == [2]
    putter.get()
    getter = api.spawn(channel.get)
    api.settle()
    assert in_callback(api, channel.put_nowait, 3) == [None]
    assert getter.get() == 3
    if not api.is_gevent:
        assert in_callback(api, channel.get) == [BlockingSwitchOutError]
        assert in_callback(api, channel.put, 1) == [BlockingSwitchOutError]
        assert channel.balance == 0


def test_iterating(api: Api) -> None:
    channel = api.queue.Channel()

    def puts() -> None:
        for item in (1, 2, StopIteration):
            channel.put(item)

    putter = api.spawn(puts)
    assert list(channel) == [1, 2]
    putter.join()


def test_waiting_alone_is_an_error(api: Api) -> None:
    channel = api.queue.Channel()
    with pytest.raises(api.LoopExit):
        channel.get()
    with pytest.raises(api.LoopExit):
        channel.put(1)
    assert channel.balance == 0


def test_a_killed_putter_takes_its_item_back(api: Api) -> None:
    channel = api.queue.Channel()
    tasks = [api.spawn(channel.put, item) for item in (1, 2)]
    api.settle()
    tasks[0].kill()
    assert channel.get() == 2
    tasks[1].join()
    assert channel.balance == 0


def test_a_killed_getter_leaves_the_offer_to_the_next() -> None:
    channel = Channel()
    first, second = spawn(channel.get), spawn(channel.get)
    sleep(0)
    putter = spawn(channel.put, "item")
    first.kill(block=False)  # before the putter's turn
    sleep(0)
    assert (second.get(), putter.get()) == ("item", None)
    first, second = spawn(channel.get), spawn(channel.get)
    sleep(0)
    channel.put_nowait("item")
    first.kill(block=False)  # after it has been called
    assert second.get() == "item"


def test_what_was_put_without_waiting_stays_in_order_where_its_getters_are_killed() -> None:
    channel = Channel()
    getters = [spawn(channel.get) for _ in range(2)]
    sleep(0)
    channel.put_nowait(1)
    channel.put_nowait(2)
    putter = spawn(channel.put, 3)
    pycoro.killall(getters)
    assert [channel.get() for _ in range(3)] == [1, 2, 3]
    putter.get()


def test_who_comes_later_does_not_get_the_offer() -> None:
    channel = Channel()
    log: list[Any] = []

    def gets(name: str) -> None:
        log.append((name, channel.get()))

    first = spawn(gets, "first")
    sleep(0)
    channel.put_nowait(1)
    with pytest.raises(Empty):
        channel.get_nowait()
    second = spawn(channel.put, 2)
    gets("main")
    pycoro.joinall([first, second])
    assert log == [("first", 1), ("main", 2)]


def test_a_putter_that_leaves_its_getter_waiting() -> None:
    """The getter has been called for an offer that is there no more: it waits on, as the first."""
    channel = Channel()
    log: list[Any] = []

    def gets(name: str) -> None:
        log.append((name, channel.get()))

    tasks = [spawn(gets, "first"), spawn(gets, "second")]
    sleep(0)

    def puts() -> None:
        putter = pycoro.getcurrent()
        pycoro.get_loop().call_soon(putter.kill, pycoro.GreenletExit, False)
        channel.put("gone")

    # The kill is in line before the getter that the offer calls.
    spawn(puts).join()
    sleep(0)
    assert (log, channel.balance) == ([], -2)
    channel.put(1)
    channel.put(2)
    pycoro.joinall(tasks)
    assert log == [("first", 1), ("second", 2)]
