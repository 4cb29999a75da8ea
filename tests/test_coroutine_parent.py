"""Parents: who goes on at an end, setting one while suspended, and every parent that is refused.

Scenarios are played on greenlet (PyPI) as well, and must record the same there.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers import Implementation, Log, output_of, same

from pycoro import Coroutine, current

pytestmark = pytest.mark.usefixtures("quick_collections")


class Boom(Exception):
    pass


def test_reparenting_while_suspended_moves_the_result() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def parent(name: str) -> str:
            log.append((name, main.switch()))
            return f"{name} done"

        a, b = api.new(parent), api.new(parent)
        a.switch("a")
        b.switch("b")
        child = api.new(lambda: main.switch(), a)
        child.switch()
        child.parent = b
        log.append(child.parent is b)
        log.append(child.switch("result"))
        log.append((a.dead, b.dead, child.dead))

    assert same(scenario) == [True, ("b", "result"), "b done", (False, True, True)]


def test_reparenting_itself_while_it_runs() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def other() -> None:
            try:
                main.switch()
            except Boom as error:
                log.append(("other caught", error.args))

        def run() -> None:
            api.current().parent = receiver
            raise Boom("follows the parent")

        receiver = api.new(other)
        receiver.switch()
        log.append(api.new(run).switch())

    assert same(scenario) == [("other caught", ("follows the parent",)), None]


def test_parent_set_before_the_start_and_after_the_end() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        parent = api.new(lambda *args: ("parent", args))
        child = api.new(lambda: "result")
        child.parent = parent
        log.append(child.switch())
        child.parent = main
        log.append((child.parent is main, child.switch("x")))
        child.parent = parent
        log.append(child.switch("y"))

    assert same(scenario) == [("parent", ("result",)), (True, "x"), "y"]


def test_default_parent_is_the_maker() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        made: list[Any] = []
        outer = api.new(lambda: made.append(api.new(lambda *args: args)))
        outer.switch()
        log.append(made[0].parent is outer)
        log.append((made[0].switch("its result passes dead outer"), made[0].dead))

    assert same(scenario) == [True, (("its result passes dead outer",), True)]


@pytest.mark.parametrize("wrong", [None, 5, "main", object], ids=repr)
def test_wrong_types_are_refused(wrong: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        coroutine = api.new(lambda: None)
        try:
            coroutine.parent = wrong
        except TypeError:
            log.append("TypeError")
        log.append((coroutine.parent is main, coroutine.switch()))

    assert same(scenario) == ["TypeError", (True, None)]


@pytest.mark.parametrize("wrong", [5, "main", object], ids=repr)
def test_wrong_types_are_refused_by_the_constructor(wrong: Any) -> None:
    with pytest.raises(TypeError, match="parent must be a Coroutine, not"):
        Coroutine(print, wrong)


def test_cycles_are_refused_and_change_nothing() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        a = api.new(lambda: main.switch())
        b = api.new(lambda: main.switch(), a)
        c = api.new(lambda: main.switch(), b)
        for child, parent in ((a, a), (a, b), (a, c), (b, c)):
            for start in (False, True):
                if start:
                    parent.switch()
                try:
                    child.parent = parent
                except ValueError:
                    log.append("ValueError")
        log.append((a.parent is main, b.parent is a, c.parent is b))

    assert same(scenario) == ["ValueError"] * 8 + [(True, True, True)]


def test_main_has_no_parent_and_takes_none() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        log.append(main.parent)
        try:
            main.parent = api.new(lambda: None)
        except (AttributeError, ValueError) as error:
            log.append("refused" if error else "")
        log.append(main.parent)

    assert same(scenario) == [None, "refused", None]
    with pytest.raises(AttributeError, match="main coroutine"):
        current().parent = Coroutine(print)


def test_deletion_is_an_attribute_error() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        coroutine = api.new(lambda: None)
        try:
            del coroutine.parent
        except AttributeError:
            log.append("AttributeError")
        log.append(coroutine.parent is api.current())

    assert same(scenario) == ["AttributeError", True]


def test_a_parent_of_another_thread_is_refused() -> None:
    theirs: list[Coroutine] = []
    ready, done = threading.Event(), threading.Event()

    def thread() -> None:
        main = current()
        suspended = Coroutine(lambda: main.switch())
        suspended.switch()
        theirs.extend([main, Coroutine(print), suspended])
        ready.set()
        done.wait(30)

    worker = threading.Thread(target=thread)
    worker.start()
    try:
        ready.wait(30)
        mine = Coroutine(lambda: current().parent.switch())  # type: ignore[union-attr]
        for start in (False, True):
            if start:
                mine.switch()
            for parent in theirs:
                with pytest.raises(ValueError, match="same thread"):
                    mine.parent = parent
        assert mine.parent is current()
        assert mine.switch("fine") == "fine"
    finally:
        done.set()
        worker.join()


def test_a_long_chain_of_dead_parents() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        chain = api.current()
        for _ in range(10_000):
            chain = api.new(lambda *args: 1, chain)
        log.append(chain.switch(1) == 1)
        log.append(chain.dead)
        log.append(chain.switch("down"))

    # Each result starts the next parent.
    assert same(scenario) == [True, True, "down"]


def test_long_chains_are_let_go_of_without_recursion() -> None:
    assert output_of(
        """
        from pycoro import Coroutine, current, _native

        def run():
            try:
                maker.switch()
            finally:
                done.append(1)

        def drop_chains():
            global maker
            maker = current()
            chain = None
            for _ in range(100_000):
                chain = Coroutine(run, chain)
            chain = None
            print(len(done))
            for _ in range(5_000):
                chain = Coroutine(run, chain)
                chain.switch()
            chain = None
            print(len(done), _native.count_in_use())
            done.clear()

        done = []
        drop_chains()
        Coroutine(drop_chains, name="inside").switch()
        """
    ) == ["0", "5000 0", "0", "5000 1"]


def test_a_result_for_parents_that_have_become_a_cycle_is_the_main_one_s() -> None:
    """One that is unwound has somebody else for a parent meanwhile, so that its own can become its
    child. Looking for one that lives went round for ever."""
    assert output_of(
        """
        from pycoro import Coroutine, current
        from pycoro.greenlet import getcurrent

        main = current()

        def run():
            try:
                main.switch()
            finally:
                outer.parent = current()

        outer = Coroutine(lambda: "outer")
        inner = Coroutine(run, outer)
        inner.switch()
        del inner
        assert outer.parent.parent is outer
        print(outer.switch())
        print(outer.switch("both have ended"))
        child = Coroutine(lambda: getcurrent().parent is main_greenlet, outer)
        main_greenlet = getcurrent()
        print(child.switch())
        """,
        timeout=20,
    ) == ["outer", "both have ended", "True"]
