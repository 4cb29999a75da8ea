"""local: the same tests on gevent's, and beside threading.local, which behaves so for threads."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import in_thread
from peers import Api

import pycoro
from pycoro import Coroutine, Task
from pycoro.local import local as ours


class Side:
    """An implementation: a class, and how to call something elsewhere."""

    def __init__(self, local: Any, elsewhere: Callable[[Callable[[], Any]], Any]) -> None:
        self.local = local
        self.elsewhere = elsewhere
        self.is_gevent = local.__module__.startswith("gevent")


def in_coroutine(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    Coroutine(lambda: results.append(function())).switch()
    return results[0]


@pytest.fixture(params=["task", "coroutine", "thread", "task in a thread", "gevent", "threading"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "gevent":
        gevent = pytest.importorskip("gevent", reason="gevent is not installed for this Python")
        local = pytest.importorskip("gevent.local").local

        def spawn(function: Callable[[], Any]) -> Any:
            task = gevent.spawn(function)
            task.join()
            gevent.sleep(0)
            return task.get()

        yield Side(local, spawn)
    elif request.param == "threading":
        yield Side(threading.local, in_thread)
    else:
        yield Side(
            ours,
            {
                "task": lambda function: pycoro.spawn(function).get(),
                "coroutine": in_coroutine,
                "thread": in_thread,
                "task in a thread": lambda function: in_thread(
                    lambda: pycoro.spawn(function).get()
                ),
            }[request.param],
        )


def test_each_has_its_own(side: Side) -> None:
    mine = side.local()
    mine.x = mine.y = "here"

    def use() -> Any:
        before = (hasattr(mine, "x"), dict(mine.__dict__))
        mine.x = "there"
        del mine.x
        with pytest.raises(AttributeError):
            del mine.x
        with pytest.raises(AttributeError):
            mine.x
        mine.z = 1
        return before, mine.__dict__

    assert side.elsewhere(use) == ((False, {}), {"z": 1})
    assert mine.__dict__ == vars(mine) == {"x": "here", "y": "here"}
    mine.__dict__["z"] = 5
    assert mine.z == 5
    assert {"x", "y", "z"} <= set(dir(mine))
    assert getattr(mine, "none", "default") == "default"


def test_init_is_called_in_each(side: Side) -> None:
    class Counted(side.local):  # type: ignore[name-defined, misc]
        number = 2

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))
            self.args = args

    calls: list[Any] = []
    mine = Counted(1, a=2)
    mine.number += 1
    assert side.elsewhere(lambda: (mine.args, mine.number, mine.args)) == ((1,), 2, (1,))
    assert calls == [((1,), {"a": 2})] * 2
    assert (mine.number, Counted.number) == (3, 2)


def test_an_init_that_fails_is_called_again(side: Side) -> None:
    class Failing(side.local):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            calls.append(len(calls))
            if len(calls) == 2:
                raise ValueError("not yet")
            self.x = 1

    def use() -> Any:
        with pytest.raises(ValueError, match="not yet"):
            mine.x
        return getattr(mine, "x", None)

    calls: list[int] = []
    mine = Failing()
    # gevent takes the dict that could not be filled for good.
    assert side.elsewhere(use) == (None if side.is_gevent else 1)


def test_arguments_without_an_init_are_refused(side: Side) -> None:
    class Sub(side.local):  # type: ignore[name-defined, misc]
        pass

    for make in (side.local, Sub):
        with pytest.raises(TypeError):
            make(1)
        with pytest.raises(TypeError):
            make(a=1)
        make()


def test_slots_are_shared(side: Side) -> None:
    class Slotted(side.local):  # type: ignore[name-defined, misc]
        __slots__ = ("shared",)

    mine = Slotted()
    mine.shared, mine.own = 1, 2

    def use() -> Any:
        before = mine.shared, hasattr(mine, "own")
        mine.shared = 3
        return before

    assert side.elsewhere(use) == (1, False)
    assert (mine.shared, mine.own, mine.__dict__) == (3, 2, {"own": 2})
    del mine.shared
    assert not hasattr(mine, "shared")


def test_descriptors_of_a_subclass(side: Side) -> None:
    class Rich(side.local):  # type: ignore[name-defined, misc]
        def method(self) -> Any:
            return self.x

        @property
        def double(self) -> Any:
            return self.x * 2

        @double.setter
        def double(self, value: Any) -> None:
            self.x = value // 2

        @double.deleter
        def double(self) -> None:
            del self.x

        @classmethod
        def kind(cls) -> str:
            return cls.__name__

        @staticmethod
        def static() -> str:
            return "static"

        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    mine = Rich()
    mine.x = 1
    assert (mine.method(), mine.double, mine.kind(), mine.static()) == (1, 2, "Rich", "static")
    mine.double = 10
    assert mine.x == 5
    del mine.double
    assert mine.x == "no x"
    mine.__dict__["double"] = "hidden"
    mine.x = 2
    assert mine.double == 4  # a data descriptor goes first
    mine.method = "own"
    assert mine.method == "own"  # others do not
    del mine.method
    assert mine.method() == 2
    assert side.elsewhere(lambda: (mine.x, mine.kind())) == ("no x", "Rich")


def test_a_cached_property(side: Side) -> None:
    class Cached(side.local):  # type: ignore[name-defined, misc]
        @cached_property
        def number(self) -> int:
            numbers.append(len(numbers))
            return numbers[-1]

    numbers: list[int] = []
    mine = Cached()
    assert [mine.number, mine.number, side.elsewhere(lambda: mine.number)] == [0, 0, 1]


def test_its_dict_cannot_be_replaced(side: Side) -> None:
    mine = side.local()
    mine.x = 1
    with pytest.raises(AttributeError):
        mine.__dict__ = {}
    with pytest.raises(AttributeError):
        del mine.__dict__
    assert mine.x == 1


def test_it_goes_with_the_local(side: Side) -> None:
    class Value:
        pass

    mine = side.local()
    mine.x = value = Value()
    gone = weakref.ref(value)
    del mine, value
    assert gone() is None


def test_it_goes_with_whatever_has_used_it(side: Side) -> None:
    class Value:
        pass

    mine = side.local()

    def use() -> Any:
        mine.x = Value()
        return weakref.ref(mine.x)

    gone = side.elsewhere(use)
    gc.collect()
    assert gone() is None
    mine.x = 1


# ---- what only coroutines have ----


def test_a_copy_has_the_attributes_of_here(api: Api) -> None:
    class Sub(api.local.local):  # type: ignore[name-defined, misc]
        def __init__(self, start: int) -> None:
            self.start = start

    mine = Sub(5)
    mine.start, mine.x = 6, []
    twin = copy.copy(mine)
    assert (type(twin), twin.__dict__, twin.x is mine.x) == (Sub, {"start": 6, "x": []}, True)
    twin.y = 1
    assert not hasattr(mine, "y")
    assert api.spawn(lambda: (twin.__dict__, mine.__dict__)).get() == ({"start": 5}, {"start": 5})


def test_attributes_go_at_the_end_of_a_task_that_is_kept(api: Api) -> None:
    class Value:
        pass

    mine = api.local.local()

    def use() -> Any:
        mine.x = Value()
        return weakref.ref(mine.x)

    tasks = [api.spawn(use) for _ in range(3)]
    api.joinall(tasks)
    api.settle()
    gc.collect()
    assert [task.get()() for task in tasks] == [None] * 3


def test_a_task_keeps_nothing_of_locals_that_are_no_more() -> None:
    def use_many() -> int:
        for _ in range(1000):
            ours().attribute = 1
        return sum(len(them) for them in pycoro.getcurrent()._notes.values())

    assert pycoro.spawn(use_many).get() <= 32


def test_turns_do_not_mix_them(api: Api) -> None:
    mine = api.local.local()

    def use(number: int) -> bool:
        mine.number = number
        for _ in range(5):
            api.sleep(0)
            mine.number += 100
        return bool(mine.number == number + 500)

    tasks = [api.spawn(use, number) for number in range(20)]
    api.joinall(tasks)
    assert all(task.value for task in tasks)


def test_a_suspended_coroutine_keeps_them() -> None:
    mine = ours()

    def use() -> None:
        mine.x = "kept"
        while True:
            main.switch(mine.x)

    main = pycoro.current()
    coroutine = Coroutine(use)
    assert [coroutine.switch(), coroutine.switch()] == ["kept", "kept"]
    assert not hasattr(mine, "x")


def test_thousands_of_tasks_leave_nothing() -> None:
    mine, other = ours(), ours()

    def use(number: int) -> None:
        mine.x = other.y = number

    pycoro.joinall([pycoro.spawn(use, number) for number in range(2000)])
    gc.collect()
    for one in (mine, other):
        assert len(one._local__views) == len(one._local__origin.homes) == 1


def test_a_new_one_does_not_see_what_an_old_one_had() -> None:
    for number in range(200):
        mine = ours()
        assert mine.__dict__ == {}
        mine.x = number
    task = Task(lambda: [ours().__dict__ for _ in range(100)])
    task.start()
    assert task.get() == [{}] * 100


def test_one_that_its_own_attributes_lead_to(side: Side) -> None:
    class Sub(side.local):  # type: ignore[name-defined, misc]
        def __del__(self) -> None:
            seen.append(sorted(self.__dict__))
            self.late = True
            seen.append(self.late)

    seen: list[Any] = []
    holder = SimpleNamespace(mine=Sub())
    holder.mine.x = holder
    side.elsewhere(partial(setattr, holder.mine, "y", holder))
    del holder
    gc.collect()
    assert seen == [["x"], True]


def test_a_dict_that_outlives_its_local_is_no_other_s() -> None:
    dicts = []
    for number in range(100):
        mine = ours()
        assert mine.__dict__ == {}
        mine.x = number
        dicts.append(mine.__dict__)
        del mine
    assert dicts == [{"x": number} for number in range(100)]


def test_what_is_underneath_is_not_to_be_touched_but_does_no_harm() -> None:
    mine = ours()
    mine.x = 1
    with pytest.raises(AttributeError):
        mine._local__views = {}
    views = mine._local__views
    views[id(pycoro.current())] = 5
    for use in (lambda: mine.x, lambda: setattr(mine, "x", 2), lambda: mine.__dict__):
        with pytest.raises(SystemError, match="are in no dict"):
            use()
    views.clear()
    assert mine.__dict__ == {}


def test_a_name_that_looks_at_the_local_itself_is_its_text() -> None:
    """Its methods, called in between, used the local: what was set was lost, or another's."""

    class Name(str):
        __slots__ = ()

        def __hash__(self) -> int:
            mine.x = 0
            return str.__hash__(self)

    mine = ours()
    setattr(mine, Name("y"), 1)
    assert (mine.y, getattr(mine, Name("y"))) == (1, 1)
    delattr(mine, Name("y"))
    assert "y" not in mine.__dict__
