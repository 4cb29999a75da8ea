"""Interpreter state: recursion depth, chunks of Python frames, and the trashcan, each one's own."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from helpers import Implementation, Log, output_of, same

from pycoro import Coroutine, current

pytestmark = pytest.mark.usefixtures("quick_collections")


def depth_that_fits() -> int:
    """Python calls until RecursionError, from here."""

    def dive(depth: int) -> int:
        try:
            return dive(depth + 1)
        except RecursionError:
            return depth

    return dive(0)


def test_depth_is_each_one_s_own() -> None:
    main = current()

    def dive(depth: int, then: Callable[[], Any]) -> Any:
        return dive(depth - 1, then) if depth else then()

    fresh = Coroutine(depth_that_fits).switch()
    nested = dive(400, Coroutine(depth_that_fits).switch)
    assert nested == fresh
    suspended = Coroutine(lambda: dive(400, main.switch))
    suspended.switch()
    assert Coroutine(depth_that_fits).switch() == fresh
    here = depth_that_fits()
    suspended.switch()
    assert depth_that_fits() == here


def test_depth_counts_go_back_to_where_they_were() -> None:
    main = current()
    before = depth_that_fits()

    def run() -> None:
        def dive(depth: int) -> None:
            if depth:
                dive(depth - 1)
            else:
                main.switch()

        dive(300)

    for _ in range(10):
        a, b = Coroutine(run), Coroutine(run)
        a.switch()
        b.switch()
        a.switch()
        with pytest.raises(KeyError):
            b.throw(KeyError)
        c = Coroutine(run)
        c.switch()
        del c
    assert depth_that_fits() == before


def test_a_limit_changed_while_suspended_holds_for_all() -> None:
    assert output_of(
        """
        import sys
        from pycoro import Coroutine, current

        def dive(depth, then):
            return dive(depth - 1, then) if depth else then()

        def fits():
            def down(depth):
                try:
                    return down(depth + 1)
                except RecursionError:
                    return depth
            return down(0)

        def then():
            main.switch("deep")
            return fits()

        main = current()
        coroutine = Coroutine(lambda: dive(100, then))
        print(coroutine.switch())
        sys.setrecursionlimit(500)
        inside = coroutine.switch()
        sys.setrecursionlimit(1000)
        outside = Coroutine(fits).switch()
        print(inside < 400, 300 < inside, 900 < outside < 1000)
        """
    ) == ["deep", "True True True"]


def test_a_limit_lowered_below_the_depth_of_a_suspended_one() -> None:
    lines = output_of(
        """
        import sys
        from pycoro import Coroutine, current

        def dive(depth, then):
            return dive(depth - 1, then) if depth else then()

        def one_call():
            return "called"

        def then():
            main.switch("deep")
            try:
                return one_call()
            except RecursionError:
                return "RecursionError"

        main = current()
        coroutine = Coroutine(lambda: dive(700, then))
        print(coroutine.switch())
        sys.setrecursionlimit(200)
        try:
            print(coroutine.switch() in ("called", "RecursionError"))
        except RecursionError:
            print(True)
        sys.setrecursionlimit(1000)
        print(Coroutine(one_call).switch())
        """
    )
    assert lines == ["deep", "True", "called"]


def test_interleaved_dives_end_in_another_order() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()
        chance = random.Random(7)

        def dive(depth: int, a: int, b: str, *rest: Any) -> Any:
            local = [depth, a, b, rest]
            if depth % 37 == 0:
                main.switch()
            below = dive(depth - 1, a + depth, b, *rest) if depth else a
            assert local == [depth, a, b, rest]
            if depth % 53 == 0:
                main.switch()
            return below

        living = [(n, api.new(dive)) for n in range(20)]
        for n, coroutine in living:
            coroutine.switch(600 - n, n, "b", n, n)
        while living:
            index = chance.randrange(len(living))
            n, coroutine = living[index]
            result = coroutine.switch()
            if coroutine.dead:
                log.append((n, result))
                del living[index]

    ours = same(scenario)
    assert sorted(ours) == [(n, n + sum(range(601 - n))) for n in range(20)]
    assert ours != sorted(ours)


def test_deep_suspended_ones_dropped_in_another_order() -> None:
    unwound: list[int] = []
    main = current()

    def dive(depth: int, me: int) -> None:
        try:
            if depth:
                dive(depth - 1, me)
            else:
                main.switch()
        finally:
            if depth in (0, 500):
                unwound.append(me)

    coroutines = [Coroutine(dive) for _ in range(10)]
    for n, coroutine in enumerate(coroutines):
        coroutine.switch(500, n)
    del coroutine
    for index in (5, 0, 7):
        del coroutines[index]
    coroutines.clear()
    assert sorted(unwound) == sorted([*range(10), *range(10)])
    assert unwound[:2] == [5, 5]


def test_frames_too_large_for_a_chunk() -> None:
    main = current()
    names = ", ".join(f"v{n}" for n in range(3000))
    code = f"def wide(depth):\n {' = '.join(names.split(', '))} = depth\n"
    code += " if depth: wide(depth - 1)\n else: switch()\n return v0, v2999\n"
    space: dict[str, Any] = {"switch": main.switch}
    exec(code, space)
    coroutines = [Coroutine(space["wide"]) for _ in range(4)]
    for coroutine in coroutines:
        coroutine.switch(30)
    assert [coroutine.switch() for coroutine in coroutines[::-1]] == [(30, 30)] * 4


def nested(kind: str, depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        if kind == "list":
            value = [value]
        elif kind == "tuple":
            value = (value,)
        elif kind == "dict":
            value = {"key": value}
        else:
            value = type("Node", (), {})() if value is None else Node(value)
    return value


class Node:
    def __init__(self, inner: Any) -> None:
        self.inner = inner


@pytest.mark.parametrize("kind", ["list", "tuple", "dict", "object"])
def test_deep_containers_are_torn_down_inside(kind: str) -> None:
    main = current()

    def run() -> str:
        value = nested(kind, 100_000)
        main.switch()
        del value
        main.switch()
        return "alive"

    coroutines = [Coroutine(run) for _ in range(2)]
    for _ in range(2):
        for coroutine in coroutines:
            coroutine.switch()
    assert [coroutine.switch() for coroutine in coroutines] == ["alive", "alive"]


def test_deep_containers_whose_del_switches() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        class Switching:
            def __init__(self, number: int) -> None:
                self.number = number

            def __del__(self) -> None:
                if self.number % 1000 == 0:
                    log.append(helper.switch(self.number))

        def help_() -> None:
            number = main.switch()
            while True:
                junk = nested("list", 1000)
                del junk
                number = api.current().parent.switch(("torn down", number))

        def run() -> str:
            value: Any = None
            for number in range(5000):
                value = [value, Switching(number)]
            helper.parent = api.current()
            del value
            return "alive"

        main = api.current()
        helper = api.new(help_)
        helper.switch()
        log.append(api.new(run).switch())

    ours = same(scenario)
    assert ours[-1] == "alive"
    assert sorted(ours[:-1]) == [("torn down", number) for number in range(0, 5000, 1000)]


def test_the_limit_itself_is_not_a_coroutine_s() -> None:
    former = sys.getrecursionlimit()
    Coroutine(lambda: sys.setrecursionlimit(former + 1)).switch()
    try:
        assert sys.getrecursionlimit() == former + 1
    finally:
        sys.setrecursionlimit(former)
