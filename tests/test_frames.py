"""What is over goes at once, with no garbage collection. So do errors with their frames, and what
is in these: a frame of the runtime's that kept its error would keep them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pycoro
from pycoro import Timeout, hub, sleep, spawn
from pycoro.choice import After
from pycoro.lock import Condition
from pycoro.pool import Group


class Local:
    """Something that a frame holds."""


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def time_limit(wait: Callable[[], Any]) -> None:
    with Timeout(0.001, False):
        wait()


def with_timeout(wait: Callable[[], Any]) -> None:
    pycoro.with_timeout(0.001, wait, timeout_value=None)


def killed(wait: Callable[[], Any]) -> None:
    def work() -> None:
        with pytest.raises(ZeroDivisionError):
            wait()

    task = spawn(work)
    sleep(0)
    task.kill(ZeroDivisionError)


def deadline(wait: Callable[[], Any]) -> None:
    with pycoro.move_on_after(0.001):
        wait()


def cancelled_before(wait: Callable[[], Any]) -> None:
    with pycoro.CancelScope() as scope:
        scope.cancel()
        wait()


def a_while() -> None:
    sleep(1000)


def for_a_condition() -> None:
    condition = Condition()
    with condition:
        condition.wait()


@pytest.mark.parametrize("limit", [time_limit, with_timeout, killed, deadline, cancelled_before])
@pytest.mark.parametrize("wait", [a_while, for_a_condition])
def test_of_a_wait_that_is_broken_off(limit: Any, wait: Any) -> None:
    def waits() -> None:
        mark = Local()
        marks.append(weakref.ref(mark))
        wait()

    marks: list[Any] = []
    limit(waits)
    assert [mark() for mark in marks] == [None]


def test_of_one_that_kills_itself() -> None:
    def work() -> None:
        mark = Local()
        marks.append(weakref.ref(mark))
        pycoro.getcurrent().kill(ZeroDivisionError)  # type: ignore[attr-defined]

    def caught() -> None:
        try:
            work()
        except ZeroDivisionError:
            pass

    marks: list[Any] = []
    spawn(caught).join()
    assert [mark() for mark in marks] == [None]


def group(work: Callable[[], Any]) -> None:
    group = Group()
    group.spawn(work)
    group.join(raise_error=True)


def imap(work: Callable[[], Any]) -> None:
    list(Group().imap(lambda _: work(), [1]))


def imap_of_items(work: Callable[[], Any]) -> None:
    def items() -> Iterator[Any]:
        yield work()

    list(Group().imap(str, items()))


def waiter(work: Callable[[], Any]) -> None:
    one = hub.Waiter()
    spawn(work).rawlink(one)
    try:
        one.get()
    finally:
        del one


@pytest.mark.parametrize(
    "get",
    [
        lambda work: spawn(work).get(),
        lambda work: spawn(work).result(),
        lambda work: pycoro.joinall([spawn(work)], raise_error=True),
        group,
        imap,
        imap_of_items,
        waiter,
    ],
)
def test_of_a_task_that_has_failed(get: Any, capsys: Any) -> None:
    def work() -> None:
        mark = Local()
        marks.append(weakref.ref(mark))
        raise ZeroDivisionError

    def caught() -> None:
        try:
            get(work)
        except ZeroDivisionError:
            pass

    marks: list[Any] = []
    caught()
    assert [mark() for mark in marks] == [None]


def group_of_tasks() -> Any:
    with pycoro.TaskGroup() as group:
        group.spawn(sleep, 0)
    return group


def chosen() -> Any:
    task = spawn(sleep, 0)
    pycoro.choose(task, After(1000))
    return task


@pytest.mark.parametrize("make", [group_of_tasks, chosen])
def test_what_is_over_is_no_ring_of_objects(make: Any) -> None:
    mark = weakref.ref(make())
    sleep(0)
    assert mark() is None
