"""Programs of both kinds: greenlets in tasks and coroutines, pycoro's waits in greenlets."""

from __future__ import annotations

import gc
import socket as plain_socket
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of

import pycoro
import pycoro.socket
from pycoro import Coroutine, CoroutineExit, current
from pycoro.event import Event
from pycoro.greenlet import GreenletExit, error, getcurrent, greenlet
from pycoro.local import local

pytestmark = pytest.mark.usefixtures("quick_collections")


class genlet(greenlet):
    """A generator made of a greenlet, as libraries make them."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)

    def __iter__(self) -> Iterator[Any]:
        while True:
            self.parent = getcurrent()
            value = self.switch()
            if self.dead:
                return
            yield value


def give(value: Any) -> None:
    getcurrent().parent.switch(value)


def test_main_has_both_and_they_are_one() -> None:
    assert type(getcurrent()) is greenlet
    assert getcurrent() is getcurrent()
    assert isinstance(current(), Coroutine)
    log = []

    main = current()

    def back() -> None:
        log.append("in a greenlet")
        main.switch("by pycoro's name")  # type: ignore[arg-type]

    one = greenlet(back)
    assert one.switch() == "by pycoro's name"
    assert log == ["in a greenlet"]


def test_a_task_is_a_greenlet_to_getcurrent() -> None:
    log: list[Any] = []

    def run() -> str:
        me = getcurrent()
        log.append(isinstance(me, greenlet))
        log.append((bool(me), me.dead, me.parent is not me))
        children = [greenlet(lambda: "child") for _ in range(2)]
        log.append(all(child.parent is me for child in children))
        children.clear()
        me.mark = "kept"
        del me
        gc.collect()
        log.append(getcurrent().mark)
        pycoro.sleep(0)
        log.append(getcurrent().mark)
        return "done"

    task = pycoro.spawn(run)
    assert task.get() == "done"
    assert log == [True, (True, False, True), True, "kept", "kept"]


def test_who_holds_a_tasks_greenlet_holds_the_task() -> None:
    held: list[Any] = []
    log: list[str] = []

    def run() -> None:
        held.append(getcurrent())
        try:
            main.switch()
        finally:
            log.append("unwound")

    main = current()
    coroutine = Coroutine(run)
    coroutine.switch()
    del coroutine
    assert log == []
    held.clear()
    assert log == ["unwound"]


def test_a_task_with_rubbish_for_its_greenlets_attributes() -> None:
    def body() -> Any:
        current()._notes = {"greenlet": 5}
        return getcurrent().__dict__

    assert Coroutine(body).switch() == {}


def test_genlets_in_tasks() -> None:
    def count() -> None:
        for i in range(3):
            give(i)

    def run() -> list[Any]:
        found = []
        for value in genlet(count):
            found.append(value)
            pycoro.sleep(0)
        return found

    tasks = [pycoro.spawn(run) for _ in range(10)]
    assert [task.get() for task in tasks] == [[0, 1, 2]] * 10


def test_greenlets_wait_in_the_loop() -> None:
    left, right = plain_socket.socketpair()
    with (
        pycoro.socket.socket(fileno=left.detach()) as a,
        pycoro.socket.socket(fileno=right.detach()) as b,
    ):
        log: list[Any] = []

        def read() -> str:
            log.append(a.recv(10))
            pycoro.sleep(0.001)
            log.append(a.recv(10))
            return "read"

        def run() -> Any:
            return greenlet(read).switch()

        reader = pycoro.spawn(run)
        pycoro.sleep(0)
        b.sendall(b"one")
        pycoro.sleep(0.01)
        b.sendall(b"two")
        assert reader.get() == "read"
        assert log == [b"one", b"two"]


def test_events_and_timeouts_in_greenlets() -> None:
    event = Event()
    log: list[Any] = []

    def wait() -> None:
        try:
            with pycoro.Timeout(0.001):
                event.wait()
        except pycoro.Timeout:
            log.append("timeout")
        log.append(event.wait())

    task = pycoro.spawn(lambda: greenlet(wait).switch())
    pycoro.sleep(0.01)
    event.set()
    task.join()
    assert log == ["timeout", True]


def test_main_waits_in_a_greenlet_of_its_own() -> None:
    log: list[str] = []

    def other() -> None:
        log.append("a task")

    def run() -> str:
        pycoro.spawn(other)
        pycoro.sleep(0.001)
        log.append("the greenlet")
        return "result"

    assert greenlet(run).switch() == "result"
    assert log == ["a task", "the greenlet"]


def test_a_coroutine_in_a_greenlet_in_a_coroutine() -> None:
    log: list[Any] = []

    def innermost() -> str:
        log.append(type(getcurrent()).__name__)
        return "from inside"

    def middle() -> Any:
        log.append(isinstance(current(), Coroutine))
        log.append(Coroutine(innermost).switch())
        return "from the middle"

    def outer() -> Any:
        return greenlet(middle).switch()

    assert Coroutine(outer).switch() == "from the middle"
    assert log == [True, "greenlet", "from inside"]


def test_errors_pass_from_one_to_the_other() -> None:
    def innermost() -> None:
        raise KeyError("inside")

    def middle() -> None:
        Coroutine(innermost).switch()

    def outer() -> None:
        greenlet(middle).switch()

    with pytest.raises(KeyError, match="inside"):
        Coroutine(outer).switch()


def test_a_greenlet_that_waits_is_kept_by_who_will_wake_it() -> None:
    log: list[str] = []
    event = Event()

    def wait() -> None:
        try:
            event.wait()
            log.append("woken")
        except BaseException as error:
            log.append(type(error).__name__)
            raise

    def run() -> None:
        one = greenlet(wait, getcurrent().parent)  # the loop gets its result
        pycoro.get_loop().call_soon(current().switch)
        one.switch()
        del one
        gc.collect()
        assert log == []
        event.set()
        pycoro.sleep(0)

    pycoro.spawn(run).get()
    assert log == ["woken"]


def test_a_dropped_greenlet_is_unwound_by_its_exit_and_a_coroutine_by_its_own() -> None:
    log: list[Any] = []

    def run() -> None:
        try:
            getcurrent().parent.switch()
        except BaseException as error:
            log.append(type(error))
            raise

    one = greenlet(run)
    one.switch()
    del one
    coroutine = Coroutine(run)
    coroutine.switch()
    del coroutine
    assert log == [GreenletExit, CoroutineExit]
    assert issubclass(CoroutineExit, GreenletExit)


def test_current_in_a_greenlet_stays_the_same() -> None:
    log: list[Any] = []

    def run() -> None:
        log.append(id(current()))
        getcurrent().parent.switch()
        gc.collect()
        log.append(id(current()))

    one = greenlet(run)
    one.switch()
    one.switch()
    assert log[0] == log[1]


def test_locals_of_a_greenlet_are_its_own_and_last() -> None:
    data = local()
    data.name = "main"
    log: list[Any] = []

    def run() -> None:
        log.append(hasattr(data, "name"))
        data.name = "greenlet"
        getcurrent().parent.switch()
        gc.collect()
        log.append(data.name)

    one = greenlet(run)
    one.switch()
    assert data.name == "main"
    one.switch()
    assert log == [False, "greenlet"]


def test_what_stands_for_a_greenlet_keeps_it_and_dies_with_it() -> None:
    log: list[Any] = []
    stands: list[Any] = []

    def run() -> None:
        stands.append(current())
        try:
            getcurrent().parent.switch()
        finally:
            log.append("unwound")

    one = greenlet(run)
    one.switch()
    seen = weakref.ref(one)
    del one
    assert seen() is not None
    assert log == []
    stands[0].switch()  # goes on in the greenlet
    assert log == ["unwound"]
    assert stands[0].dead
    stands.clear()
    assert seen() is None


def test_the_last_to_hold_what_stands_for_a_greenlet_unwinds_it() -> None:
    log: list[Any] = []
    stands: list[Any] = []

    def run() -> None:
        stands.append(current())
        try:
            getcurrent().parent.switch()
        finally:
            log.append(isinstance(current(), Coroutine))

    one = greenlet(run)
    one.switch()
    del one
    assert log == []
    stands.clear()
    assert log == [True]


def test_another_threads_are_refused_by_both_names() -> None:
    one = greenlet(lambda: getcurrent().parent.switch())
    one.switch()

    def use() -> str:
        with pytest.raises(error, match="Cannot switch to a different thread"):
            one.switch()
        return "refused"

    assert in_thread(use) == "refused"


def test_parents_that_have_become_a_cycle() -> None:
    """While one is unwound, whoever runs is its parent: its own can become its child. PyPI's goes
    round for ever then."""
    assert output_of(
        """
        from pycoro.greenlet import getcurrent, greenlet

        main = getcurrent()

        def run():
            try:
                main.switch()
            finally:
                outer.parent = getcurrent()

        outer = greenlet(lambda: "outer")
        inner = greenlet(run, outer)
        inner.switch()
        del inner
        assert outer.parent.parent is outer
        print(outer.switch())
        print(outer.switch("both have ended"))
        child = greenlet(lambda: "child")
        child.parent = outer
        print(child.switch())
        """,
        timeout=20,
    ) == ["outer", "both have ended", "child"]


def test_the_current_greenlet_at_the_end_of_the_stack() -> None:
    """There the interpreter puts off what is to be deallocated. What getcurrent() had given before
    was given again all the same: a segfault from 3.14 on."""
    assert output_of(
        """
        from pycoro import Coroutine
        from pycoro.greenlet import getcurrent, greenlet

        def look():
            for _ in range(3):
                getcurrent()

        def dive(x):
            look()
            try:
                list(map(dive, [1]))
            except RecursionError:
                pass
            look()

        Coroutine(dive).switch(0)

        main = getcurrent()

        def run(_):
            starter.parent = main
            sink()
            print("went on")

        def sink():
            try:
                list(map(lambda _: sink(), [1]))
            except RecursionError:
                pass
            last.clear()
            look()

        for kind in (greenlet, type("Sub", (greenlet,), {})):
            last = [kind(run)]
            starter = greenlet(lambda: 0, last[0])
            starter.switch()
        """,
        timeout=30,
    ) == ["went on", "went on"]


def test_the_current_greenlet_while_the_last_reference_to_it_is_put_off() -> None:
    """Up to 3.13, too, deep in a container: where a subclass' dealloc comes later."""
    assert output_of(
        """
        from pycoro.greenlet import getcurrent, greenlet

        class Look:
            __slots__ = ()

            def __del__(self):
                for _ in range(3):
                    getcurrent()

        class Sub(greenlet):
            pass

        def run(_):
            starter.parent = main
            nest = last.pop()
            for _ in range(depth):
                nest = (Look(), nest)
            del nest

        main = getcurrent()
        for depth in [*range(40, 60), 300]:
            last = [Sub(run)]
            starter = greenlet(lambda: 0, last[0])
            starter.switch()
        print("fine")
        """,
        timeout=30,
    ) == ["fine"]
