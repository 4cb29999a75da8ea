"""Two threads at a queue, cut at every line: what one of them does is interrupted at each line in
turn, by a trace function in which other threads do what they do, until they have ended or wait.
Whatever the line, nothing may be lost, and nobody left waiting who could go on."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pycoro
from pycoro.choice import Get, Put, choose
from pycoro.queue import Channel, PriorityQueue, Queue

HERE = Path(pycoro.__file__).parent
CUT_IN = {
    str(HERE / f"{name}.py")
    for name in ("exchange", "store", "simplequeue", "queue", "channel", "choice")
}
QUEUES = [Queue, PriorityQueue]  # those that take different ways
PATIENCE = 20  # seconds


class Other:
    """A thread that does one thing. `value`: what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.value: Any = None
        self.loop: Any = None
        self.function = function
        self.cut: Any = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        self.loop = pycoro.get_loop()
        self.value = self.function()

    def is_busy(self) -> bool:
        loop = self.loop
        waits = loop is not None and loop._wakeup.is_asleep and not loop.ready
        return self.thread.is_alive() and not waits

    def let_it_run(self) -> Other:
        """Until it has ended or waits; or for a moment, if the cut is where it must not go on."""
        until = time.monotonic() + 0.01
        while self.is_busy() and time.monotonic() < until:
            time.sleep(0)
        return self

    def get(self) -> Any:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "left behind"
        return self.value


class Cut:
    """Calls `inner` at the line number `at`, counted as they are run."""

    def __init__(self, at: int, inner: Callable[[], None]) -> None:
        self.left = at
        self.seen: Counter[Any] = Counter()
        self.inner = [inner]
        self.was = ""
        self.code = ""  # of that line
        self.over = threading.Event()

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        return self.line if frame.f_code.co_filename in CUT_IN else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            self.seen[frame.f_code, frame.f_lineno] += 1
            # Conditions of several lines go to and fro between them.
            self.left -= self.seen[frame.f_code, frame.f_lineno] <= 2
            if self.left == 0 and not self.was:
                self.code = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                self.was = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                self.do_it()
        return self.line

    def do_it(self) -> None:
        """Once: when the line is come to, or else in the end."""
        try:
            inner = self.inner.pop()
        except IndexError:
            return
        try:
            inner()
        finally:
            self.over.set()

    def wait(self) -> None:
        if self.was:
            self.over.wait(PATIENCE)


Scenario = tuple[
    Callable[[], Any],  # what is cut
    Callable[[], list[Other]],  # what comes in between
    Callable[[], Any],  # what the test does when it waits
    Callable[[Other, list[Other]], Any],  # checks what came of it
]


def cut_everywhere(make: Callable[[], Scenario]) -> None:
    at = 0
    while True:
        at += 1
        first, inner, step, check = make()
        others: list[Other] = []
        cut = Cut(at, lambda inner=inner, others=others: others.extend(inner()))  # type: ignore[misc]

        def run(first: Any = first, cut: Cut = cut) -> Any:
            sys.settrace(cut)
            try:
                return first()
            finally:
                sys.settrace(None)

        one = Other(run).let_it_run()
        cut.wait()
        step()
        one.let_it_run()
        cut.wait()
        cut.do_it()
        cut.over.wait(PATIENCE)
        try:
            one.cut = cut
            check(one, others)
        except BaseException as error:
            error.add_note(f"cut at {cut.was}, line {at}")
            raise
        if not cut.was:
            assert at > 1
            return


def tried(function: Callable[..., Any], *args: Any) -> Callable[[], str]:
    """The name of what it raises, if anything."""

    def call() -> str:
        try:
            function(*args)
        except Exception as error:
            return type(error).__name__
        return "done"

    return call


def nothing() -> None:
    pass


def check_clean(one: Any) -> None:
    assert not one.getters
    assert not one.putters
    assert one._promised == 0
    if not isinstance(one, Channel):
        assert one._reserved == 0
        one.put("last", timeout=1)
        assert one.get(timeout=1) == "last"


def new(kind: Any, *args: Any) -> Any:
    return kind(*args)


def used(kind: Any, *args: Any) -> Any:
    """A queue that somebody has waited at, so that its short way is closed."""
    one = kind()
    getter = Other(one.get).let_it_run()
    one.put(0)
    getter.get()
    if args:
        one.maxsize = args[0]
        for item in args[1]:
            one.put(item)
    return one


BOTH = pytest.mark.parametrize("kind", QUEUES)
MADE = pytest.mark.parametrize(
    ("made", "kind"), [(new, Queue), (used, Queue), (new, PriorityQueue)]
)


@MADE
def test_put_and_somebody_gets_in_line(made: Any, kind: Any) -> None:
    def make() -> Scenario:
        one = made(kind)

        def check(first: Other, others: list[Other]) -> None:
            assert (first.get(), others[0].get()) == (None, 1)
            check_clean(one)

        return lambda: one.put(1), lambda: [Other(one.get).let_it_run()], nothing, check

    cut_everywhere(make)


@MADE
def test_get_and_somebody_puts(made: Any, kind: Any) -> None:
    def make() -> Scenario:
        one = made(kind)

        def check(first: Other, others: list[Other]) -> None:
            assert (first.get(), others[0].get()) == (1, None)
            check_clean(one)

        return one.get, lambda: [Other(lambda: one.put(1)).let_it_run()], nothing, check

    cut_everywhere(make)


@BOTH
def test_get_opens_the_short_way_and_somebody_gets_in_line(kind: Any) -> None:
    def make() -> Scenario:
        one = kind()
        getter = Other(one.get).let_it_run()
        one.put(0)
        one.put(1)
        assert getter.get() == 0

        def check(first: Other, others: list[Other]) -> None:
            one.put(2)
            assert sorted([first.get(), others[0].get()]) == [1, 2]
            check_clean(one)

        return one.get, lambda: [Other(one.get).let_it_run()], nothing, check

    cut_everywhere(make)


@MADE
def test_get_and_somebody_waits_for_the_place(made: Any, kind: Any) -> None:
    def make() -> Scenario:
        one = made(kind, 1, [1])

        def check(first: Other, others: list[Other]) -> None:
            assert (first.get(), others[0].get(), one.get(timeout=1)) == (1, None, 2)
            check_clean(one)

        return one.get, lambda: [Other(lambda: one.put(2)).let_it_run()], nothing, check

    cut_everywhere(make)


@MADE
def test_put_waits_and_somebody_gets(made: Any, kind: Any) -> None:
    def make() -> Scenario:
        one = made(kind, 1, [1])

        def check(first: Other, others: list[Other]) -> None:
            assert first.get() is None
            assert sorted([others[0].get(), one.get(timeout=1)]) == [1, 2]
            check_clean(one)

        return lambda: one.put(2), lambda: [Other(one.get).let_it_run()], nothing, check

    cut_everywhere(make)


@pytest.mark.parametrize("put_first", [False, True])
@BOTH
def test_a_called_getter_and_another_and_an_item(kind: Any, put_first: bool) -> None:
    def make() -> Scenario:
        one = kind()

        def inner() -> list[Other]:
            if put_first:
                return [Other(lambda: one.put(2)).let_it_run(), Other(one.get).let_it_run()]
            return [Other(one.get).let_it_run(), Other(lambda: one.put(2)).let_it_run()][::-1]

        def check(first: Other, others: list[Other]) -> None:
            assert others[0].get() is None
            assert sorted([first.get(), others[1].get()]) == [1, 2]
            check_clean(one)

        return one.get, inner, lambda: one.put(1), check

    cut_everywhere(make)


@BOTH
def test_a_called_putter_and_another_and_a_place(kind: Any) -> None:
    def make() -> Scenario:
        one = kind(1, [1])

        def inner() -> list[Other]:
            return [Other(lambda: one.put(3)).let_it_run(), Other(one.get).let_it_run()]

        def check(first: Other, others: list[Other]) -> None:
            got = [others[1].get()]
            got += [one.get(timeout=1)]
            assert (first.get(), others[0].get()) == (None, None)
            assert sorted([*got, *taken]) == [1, 2, 3]
            check_clean(one)

        taken: list[Any] = []
        return lambda: one.put(2), inner, lambda: taken.append(one.get(timeout=1)), check

    cut_everywhere(make)


@MADE
def test_of_two_one_gets_the_last_item_and_one_the_last_place(made: Any, kind: Any) -> None:
    def make_gets() -> Scenario:
        one = made(kind, 2, [1])

        def check(first: Other, others: list[Other]) -> None:
            assert sorted([first.get(), others[0].get()]) == ["Empty", "done"]
            check_clean(one)

        get = tried(one.get_nowait)
        return get, lambda: [Other(get).let_it_run()], nothing, check

    def make_puts() -> Scenario:
        one = made(kind, 2, [1])

        def check(first: Other, others: list[Other]) -> None:
            outcomes = sorted([first.get(), others[0].get()])
            if "self._items.append(item)" not in first.cut.code:  # two steps, to tracers only
                assert outcomes == ["Full", "done"]
            assert len(one.queue) == 1 + outcomes.count("done")
            while one.qsize():
                one.get()
            check_clean(one)

        put = tried(one.put_nowait, 2)
        return put, lambda: [Other(put).let_it_run()], nothing, check

    cut_everywhere(make_gets)
    cut_everywhere(make_puts)


@pytest.mark.parametrize("immediate", [False, True])
@BOTH
def test_shutdown_and_all_else(kind: Any, immediate: bool) -> None:
    def make_shutdown() -> Scenario:
        empty, full = kind(), kind(1, [1])

        def inner() -> list[Other]:
            calls = [tried(empty.get), tried(full.put, 2), tried(empty.put, 3), tried(full.get)]
            return [Other(call).let_it_run() for call in calls]

        def check(first: Other, others: list[Other]) -> None:
            first.get()
            assert {other.get() for other in others[:3]} <= {"done", "ShutDown"}
            others[3].get()
            left = 0 if immediate else len(empty.queue) + len(full.queue)
            assert len(empty.queue) + len(full.queue) == left
            got = [other.value for other in (others[0], others[3])].count("done")
            assert empty.unfinished_tasks + full.unfinished_tasks == left + got
            assert not (empty.getters or empty.putters or full.getters or full.putters)

        def shutdown() -> None:
            empty.shutdown(immediate)
            full.shutdown(immediate)

        return shutdown, inner, nothing, check

    def make_put() -> Scenario:
        one = kind(3)

        def check(first: Other, others: list[Other]) -> None:
            others[0].get()
            outcome = first.get()
            left = 1 if outcome == "done" and not immediate else 0
            assert (len(one.queue), one.unfinished_tasks) == (left, left)

        def end() -> None:
            one.shutdown(immediate)

        return tried(one.put, 1), lambda: [Other(end).let_it_run()], nothing, check

    cut_everywhere(make_shutdown)
    cut_everywhere(make_put)


@BOTH
def test_what_is_put_at_a_shutdown_is_got(kind: Any) -> None:
    """Else it is refused: who gets does not go while an item may still come."""

    def make_put() -> Scenario:
        one = kind(3)
        getter = Other(tried(one.get)).let_it_run()

        def check(first: Other, others: list[Other]) -> None:
            others[0].get()
            assert first.get() == getter.get()
            assert not one.queue

        return tried(one.put, 1), lambda: [Other(one.shutdown).let_it_run()], nothing, check

    def make_get() -> Scenario:
        one = kind(3)

        def inner() -> list[Other]:
            return [Other(tried(one.put, 1)).let_it_run(), Other(one.shutdown).let_it_run()]

        def check(first: Other, others: list[Other]) -> None:
            put = others[0].get()
            others[1].get()
            assert put == first.get()
            assert not one.queue

        return tried(one.get), inner, nothing, check

    cut_everywhere(make_put)
    cut_everywhere(make_get)


def test_join_and_task_done() -> None:
    def make(swapped: bool) -> Scenario:
        one = Queue(None, [1])

        def check(first: Other, others: list[Other]) -> None:
            assert {first.get(), others[0].get()} == {None, True}

        calls = [one.join, one.task_done]
        first, second = calls[::-1] if swapped else calls
        return first, lambda: [Other(second).let_it_run()], nothing, check

    cut_everywhere(lambda: make(False))
    cut_everywhere(lambda: make(True))


def test_channel_put_and_get() -> None:
    def make(swapped: bool) -> Scenario:
        one = Channel()

        def check(first: Other, others: list[Other]) -> None:
            assert {first.get(), others[0].get()} == {None, 1}
            check_clean(one)

        calls = [lambda: one.put(1), one.get]
        first, second = calls[::-1] if swapped else calls
        return first, lambda: [Other(second).let_it_run()], nothing, check

    cut_everywhere(lambda: make(False))
    cut_everywhere(lambda: make(True))


def test_a_called_getter_of_a_channel_and_others() -> None:
    def make() -> Scenario:
        one = Channel()
        putters: list[Other] = []

        def inner() -> list[Other]:
            return [Other(one.get).let_it_run(), Other(lambda: one.put(2)).let_it_run()]

        def step() -> None:
            putters.append(Other(lambda: one.put(1)).let_it_run())

        def check(first: Other, others: list[Other]) -> None:
            assert sorted([first.get(), others[0].get()]) == [1, 2]
            assert (others[1].get(), putters[0].get()) == (None, None)
            check_clean(one)

        return one.get, inner, step, check

    cut_everywhere(make)


def test_choose_among_two_that_come() -> None:
    def make() -> Scenario:
        one, two = Queue(), Queue()

        def inner() -> list[Other]:
            return [Other(lambda: one.put(1)).let_it_run(), Other(lambda: two.put(2)).let_it_run()]

        def check(first: Other, others: list[Other]) -> None:
            which, item = first.get()
            for other in others:
                other.get()
            assert item == which + 1
            assert [len(one.queue), len(two.queue)] == [which, 1 - which]
            assert (one if which else two).get(timeout=1) == 2 - which
            check_clean(one)
            check_clean(two)

        return lambda: choose(one, two), inner, nothing, check

    cut_everywhere(make)


def test_choose_a_place_or_an_item() -> None:
    def make() -> Scenario:
        full, empty = Queue(1, [1]), Queue()

        def inner() -> list[Other]:
            return [Other(full.get).let_it_run(), Other(lambda: empty.put(2)).let_it_run()]

        def check(first: Other, others: list[Other]) -> None:
            which, item = first.get()
            assert (others[0].get(), others[1].get()) == (1, None)
            assert (which, item) in ((0, None), (1, 2))
            left = [*full.queue, *empty.queue]
            assert left == ([3, 2] if which == 0 else [])
            for one in (full, empty):
                one.queue.clear()
                check_clean(one)

        return lambda: choose(Put(full, 3), empty), inner, nothing, check

    cut_everywhere(make)


def test_two_choosers_meet() -> None:
    def make() -> Scenario:
        one, never = Channel(), Queue()

        def choice(name: str) -> Any:
            return choose(Get(one), never, Put(one, name))

        def check(first: Other, others: list[Other]) -> None:
            outcomes = sorted([first.get(), others[0].get()], key=repr)
            assert outcomes in ([(0, "other"), (2, None)], [(0, "first"), (2, None)])
            check_clean(one)
            check_clean(never)

        return (
            lambda: choice("first"),
            lambda: [Other(lambda: choice("other")).let_it_run()],
            nothing,
            check,
        )

    cut_everywhere(make)
