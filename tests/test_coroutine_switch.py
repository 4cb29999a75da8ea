"""Switching: who runs when, what arrives where, and what an object says of its state meanwhile.

Scenarios are played on greenlet (PyPI) as well, and must record the same there.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from helpers import PYCORO, Implementation, Log, same

import pycoro
from pycoro import Coroutine, CoroutineError, _native, current

pytestmark = pytest.mark.usefixtures("quick_collections")


@pytest.mark.parametrize(
    "values", [(), (1,), (1, 2), ((),), ((1, 2),), (None,), (None, None), ([],)], ids=repr
)
def test_values_arrive_alike_at_the_start_in_the_middle_and_at_the_end(
    values: tuple[Any, ...],
) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def run(*args: Any) -> Any:
            log.append(("started with", args))
            log.append(("resumed with", main.switch(*values)))
            return values

        coroutine = api.new(run)
        log.append(("came out", coroutine.switch(*values)))
        log.append(("result", coroutine.switch(*values)))
        log.append(("from a dead one", coroutine.switch(*values)))

    one = values[0] if len(values) == 1 else values
    assert same(scenario) == [
        ("started with", values),
        ("came out", one),
        ("resumed with", one),
        ("result", values),
        ("from a dead one", one),
    ]


def test_values_keep_their_identity() -> None:
    value = object()
    main = current()
    coroutine = Coroutine(lambda first: main.switch(first))
    assert coroutine.switch(value) is value
    assert coroutine.switch(value) is value


def test_three_switch_among_each_other() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        order: dict[str, Any] = {}

        def go(name: str, *_: Any) -> str:
            for turn in range(3):
                log.append((name, turn))
                after = {"a": "b", "b": "c", "c": "a"}[name]
                order[after].switch(after)
            return name

        a, b, c = api.new(go), api.new(go), api.new(go)
        order.update(a=a, b=b, c=c)
        log.append(a.switch("a"))
        log.append([x.dead for x in (a, b, c)])

    assert same(scenario) == [
        *[(name, turn) for turn in range(3) for name in "abc"],
        "a",
        [True, False, False],
    ]


def test_switch_to_itself_returns_the_values() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        log.append(api.current().switch(1, 2))
        log.append(api.current().switch())
        log.append(api.new(lambda: api.current().switch("me")).switch())

    assert same(scenario) == [(1, 2), (), "me"]


def test_states_over_a_life() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def look(when: str) -> None:
            log.append((when, api.started(coroutine), coroutine.dead, api.frame(coroutine) is None))

        def run() -> None:
            look("running")
            main.switch()

        main = api.current()
        coroutine = api.new(run)
        look("new")
        coroutine.switch()
        look("suspended")
        coroutine.switch()
        look("ended")
        log.append((main.dead, api.started(main)))

    assert same(scenario) == [
        ("new", False, False, True),
        ("running", True, False, True),
        ("suspended", True, False, False),
        ("ended", False, True, True),
        (False, True),
    ]


def test_started_stays_true() -> None:
    coroutine = Coroutine(lambda: None)
    assert not coroutine.started
    coroutine.switch()
    assert coroutine.started
    assert coroutine.dead
    assert current().started


def test_current_is_the_one_that_runs() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        main = api.current()

        def inner() -> None:
            log.append(("inner", api.current() is b, b.parent is a))

        def outer() -> None:
            nonlocal b
            b = api.new(inner)
            b.switch()
            log.append(("outer", api.current() is a, a.parent is main))

        b: Any = None
        a = api.new(outer)
        a.switch()
        log.append(("main", api.current() is main, main.parent))

    assert same(scenario) == [
        ("inner", True, True),
        ("outer", True, True),
        ("main", True, None),
    ]


def test_a_hundred_deep_pass_a_result_down() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        def run(depth: int) -> int:
            return api.new(run).switch(depth - 1) + 1 if depth else 0

        log.append(api.new(run).switch(100))

    assert same(scenario) == [100]


def test_switch_takes_no_keywords_and_says_so() -> None:
    with pytest.raises(TypeError, match="keyword"):
        Coroutine(lambda: None).switch(value=1)  # type: ignore[call-arg]


def test_name_is_that_of_run_by_default() -> None:
    class Callable:
        def __call__(self) -> None:
            pass

    def run() -> None:
        pass

    assert Coroutine(run).name.endswith("<locals>.run")
    assert Coroutine(Callable()).name.endswith("Callable")
    assert Coroutine(print).name == "print"
    assert Coroutine(run, name="reader 7").name == "reader 7"
    assert current().name == "main"


def test_name_survives_start_end_and_death_before_the_start() -> None:
    def run() -> None:
        main.switch()

    main = current()
    coroutine = Coroutine(run)
    name = Coroutine(run).name
    coroutine.switch()
    assert coroutine.name == name
    coroutine.switch()
    assert coroutine.name == name
    killed = Coroutine(run)
    killed.throw()
    assert killed.name == name


def test_repr_says_name_and_state() -> None:
    def seen(coroutine: Coroutine) -> str:
        return re.sub(r" at \S+?([^/]+\.py):\d+", r" at \1", repr(coroutine)).rsplit(" ", 1)[0]

    def run() -> str:
        states.append(seen(coroutine))
        main.switch()
        return "done"

    states: list[str] = []
    main = current()
    coroutine = Coroutine(run, name="n")
    states.append(seen(coroutine))
    coroutine.switch()
    states.append(seen(coroutine))
    coroutine.switch()
    states.append(seen(coroutine))
    states.append(seen(main))
    assert states == [
        "<Coroutine 'n' not started",
        "<Coroutine 'n' running",
        "<Coroutine 'n' suspended at test_coroutine_switch.py",
        "<Coroutine 'n' dead",
        "<Coroutine 'main' main running",
    ]


def test_subclass_and_attributes() -> None:
    class Named(Coroutine):
        def __init__(self, tag: str) -> None:
            super().__init__(self.body)
            self.tag = tag

        def body(self) -> str:
            return self.tag

    assert Named("x").switch() == "x"
    assert repr(Named("x")).startswith("<Named ")


def test_stack_size_is_rounded_up_and_inherited_from_the_default() -> None:
    former = pycoro.stack_size()
    assert Coroutine(print).stack_size == former
    try:
        assert pycoro.stack_size(1 << 20) == former
        coroutine = Coroutine(current().switch)
        coroutine.switch()
        assert coroutine.stack_size == 1 << 20
    finally:
        pycoro.stack_size(former)
    odd = Coroutine(current().switch, stack_size=200_001)
    odd.switch()
    assert odd.stack_size >= 200_001
    assert current().stack_size == 0 or current().stack_size == former


@pytest.mark.parametrize("size", [0, -1, 1, 4096, 1 << 40], ids=str)
def test_stack_size_out_of_bounds(size: int) -> None:
    former = pycoro.stack_size()
    with pytest.raises(ValueError, match="stack_size must be from"):
        Coroutine(print, stack_size=size)
    with pytest.raises(ValueError, match="stack_size must be from"):
        pycoro.stack_size(size)
    assert pycoro.stack_size() == former


@pytest.mark.parametrize("size", ["1", 1e6, True], ids=repr)
def test_stack_size_of_a_wrong_type(size: Any) -> None:
    with pytest.raises(TypeError, match="stack_size must be an int"):
        Coroutine(print, stack_size=size)


@pytest.mark.parametrize("run", [None, 5, "f"], ids=repr)
def test_run_must_be_callable(run: Any) -> None:
    with pytest.raises(TypeError, match="run must be callable, not"):
        Coroutine(run)


def test_name_must_be_a_string() -> None:
    with pytest.raises(TypeError, match="name"):
        Coroutine(print, name=5)  # type: ignore[arg-type]


def test_attributes_of_state_cannot_be_set() -> None:
    coroutine = Coroutine(print)
    for attribute in ("dead", "started", "frame", "name", "stack_size"):
        with pytest.raises(AttributeError):
            setattr(coroutine, attribute, None)
        with pytest.raises(AttributeError):
            delattr(coroutine, attribute)
    for attribute in ("parent", "context"):
        with pytest.raises(AttributeError):
            delattr(coroutine, attribute)
    assert coroutine.switch() is None


def test_a_second_init_is_refused_and_changes_nothing() -> None:
    main = current()
    coroutine = Coroutine(lambda: main.switch("up"))
    assert coroutine.switch() == "up"
    with pytest.raises((CoroutineError, TypeError, RuntimeError)):
        coroutine.__init__(print)  # type: ignore[misc]
    assert coroutine.switch("result") == "result"
    assert coroutine.dead


def test_dead_with_all_its_parents_living_delivers_to_the_nearest() -> None:
    def scenario(api: Implementation, log: Log) -> None:
        a = api.new(lambda *args: None)
        b = api.new(lambda *args: None, a)
        c = api.new(lambda *args: None, b)
        c.switch()
        log.append([x.dead for x in (a, b, c)])
        log.append(c.switch("over the dead"))

    def started(api: Implementation, log: Log) -> None:
        def parent(*args: Any) -> Any:
            log.append(("parent got", args))
            while True:
                args = main.switch(("parent says", args))

        main = api.current()
        top = api.new(parent)
        child = api.new(lambda: "child's result", top)
        log.append(child.switch())
        log.append(child.switch("again"))

    assert same(scenario)[1] == "over the dead"
    assert same(started) == [
        ("parent got", ("child's result",)),
        ("parent says", ("child's result",)),
        ("parent says", "again"),
    ]


@pytest.mark.parametrize("result", [(), (1, 2), None, 5], ids=repr)
def test_a_result_starts_an_unstarted_parent(result: Any) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        parent = api.new(lambda *args: ("parent", args))
        child = api.new(lambda: result, parent)
        log.append(child.switch())
        log.append([child.dead, parent.dead])

    assert same(scenario) == [("parent", (result,)), [True, True]]


@pytest.mark.parametrize("values", [(), (1,), (1, 2), ((1, 2),)], ids=repr)
def test_values_for_a_dead_one_start_an_unstarted_parent(values: tuple[Any, ...]) -> None:
    def scenario(api: Implementation, log: Log) -> None:
        dead = api.new(lambda: None)
        dead.switch()
        dead.parent = api.new(lambda *args: ("parent", args))
        log.append(dead.switch(*values))

    assert same(scenario) == [("parent", values)]


def test_the_c_library_refuses_malformed_parcels() -> None:
    """Python code that reaches for it may get an exception, but no crash."""
    here = current()
    for parcel in ((), (here,), (here, 1), (here, 1, [2]), (here, 1, 2), (1, 2, ()), None, object):
        with pytest.raises(TypeError):
            _native.switch(parcel)
        with pytest.raises(TypeError):
            _native.throw(parcel)
    with pytest.raises(TypeError):
        _native.throw(here)
    assert _native.switch((here, 1, (2,))) == (1, 2)


def test_one_without_its_constructor_is_no_crash() -> None:
    for blank in (Coroutine.__new__(Coroutine), Coroutine.__new__(type("Sub", (Coroutine,), {}))):
        for call, arguments in ((blank.switch, ()), (blank.switch, (1, 2)), (blank.throw, ())):
            with pytest.raises(AttributeError):
                call(*arguments)


def test_public_signatures_are_introspectable() -> None:
    assert list(inspect.signature(Coroutine).parameters) == [
        "run",
        "parent",
        "stack_size",
        "name",
        "context",
    ]
    assert PYCORO.new is Coroutine
