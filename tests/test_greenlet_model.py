"""Random programs of greenlets, run on greenlet (PyPI) and on pycoro.greenlet: the same records.

Whoever runs takes the next order of one list: to make, switch, throw, reparent, drop, look at, end.
"""

from __future__ import annotations

import gc
from typing import Any

import greenlet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pycoro.greenlet

pytestmark = pytest.mark.usefixtures("quick_collections")

Log = list[Any]
MAIN = 0
MOST = 6  # greenlets

numbers = st.integers(0, MOST - 1)
values = st.integers(0, 9)
ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), numbers, st.sampled_from(["plain", "subclass", "no run"])),
        st.tuples(st.just("switch"), numbers, st.lists(values, max_size=2), st.booleans()),
        st.tuples(st.just("switch"), numbers, st.lists(values, max_size=2), st.booleans()),
        st.tuples(st.just("throw"), numbers, st.sampled_from(["exit", "error", "instance"])),
        st.tuples(st.just("reparent"), numbers, numbers),
        st.tuples(st.just("drop"), numbers),
        st.tuples(st.just("drop self")),
        st.tuples(st.just("look"), numbers),
        st.tuples(st.just("return"), values),
        st.tuples(st.just("raise"), values),
        st.tuples(st.just("trace"), st.booleans()),
        st.tuples(st.just("catch"), st.booleans()),
    ),
    min_size=10,
    max_size=50,
)
SOME = [("make", number, "plain") for number in (1, 2, 3)]


class Stop(Exception):
    """A greenlet is told to raise it."""


class Play:
    """One run of a list of orders on one implementation."""

    def __init__(self, api: Any, orders: list[Any]) -> None:
        self.api = api
        self.orders = iter(orders)
        self.log: Log = []
        self.made: dict[int, Any] = {MAIN: api.getcurrent()}
        self.names: dict[int, int] = {id(api.getcurrent()): MAIN}
        self.catching: set[int] = set()
        play = self

        class Sub(api.greenlet):
            def run(self, *args: Any, **kwargs: Any) -> Any:
                return play.body(*args, **kwargs)

        self.Sub = Sub

    def tell(self, *what: Any) -> None:
        self.log.append((self.me(), *map(self.plain, what)))

    def me(self) -> Any:
        return self.plain(self.api.getcurrent())

    def plain(self, thing: Any) -> Any:
        """What can be compared between the two."""
        if isinstance(thing, self.api.greenlet):
            return f"#{self.names.get(id(thing), '?')}"
        if isinstance(thing, BaseException):
            return f"{type(thing).__name__}({', '.join(map(str, thing.args))[:60]})"
        if isinstance(thing, list | tuple):
            return tuple(map(self.plain, thing))
        if isinstance(thing, dict):
            return tuple((key, self.plain(value)) for key, value in thing.items())
        return thing

    def body(self, *args: Any, **kwargs: Any) -> Any:
        self.tell("begins with", args, kwargs)
        try:
            return self.obey()
        except BaseException as error:
            self.tell("ends by", error)
            raise
        finally:
            self.tell("is over")

    def obey(self) -> Any:
        for order, *rest in self.orders:
            if order in ("return", "raise"):
                if self.me() == "#0":
                    continue
                if order == "return":
                    return rest[0]
                raise Stop(rest[0])
            try:
                getattr(self, order.replace(" ", "_"))(*rest)
            except BaseException as error:
                self.tell(order, "gave", error)
                if self.me() != "#0" and not (
                    isinstance(error, Exception) and self.me() in self.catching
                ):
                    raise
        return "no more orders"

    def make(self, number: int, kind: str) -> None:
        if number == MAIN:
            return
        if kind == "subclass":
            new = self.Sub()
        elif kind == "no run":
            new = self.api.greenlet()
        else:
            new = self.api.greenlet(self.body)
        former = self.made.pop(number, None)
        self.names[id(new)] = number
        self.made[number] = new
        del former

    def switch(self, number: int, args: list[Any], keyword: bool) -> None:
        other = self.made.get(number)
        if other is not None:
            switch = other.switch
            del other
            kwargs = {"key": len(args)} if keyword else {}
            self.tell("got", switch(*args, **kwargs))

    def throw(self, number: int, kind: str) -> None:
        other = self.made.get(number)
        if other is not None and not (kind == "exit" and self.has_unstarted_parent(other)):
            throw = other.throw
            del other
            if kind == "exit":
                self.tell("got", throw())
            elif kind == "error":
                self.tell("got", throw(Stop, "thrown"))
            else:  # which no frame keeps: a cycle is collected earlier here
                self.tell("got", throw(Stop("an instance")))

    def has_unstarted_parent(self, one: Any) -> bool:
        """Then PyPI's starts that with what is no tuple of arguments: anything may happen."""
        while (one := one.parent) is not None:
            if not one and not one.dead:
                return True
        return False

    def reparent(self, number: int, parent: int) -> None:
        if number in self.made and parent in self.made:
            self.made[number].parent = self.made[parent]

    def drop(self, number: int) -> None:
        if number != MAIN:
            self.made.pop(number, None)

    def drop_self(self) -> None:
        number = self.names[id(self.api.getcurrent())]
        self.drop(number)

    def look(self, number: int) -> None:
        one = self.made.get(number)
        if one is not None:
            words = repr(one).partition(")")[2]
            run = getattr(one, "run", "none")
            self.tell(
                bool(one),
                one.dead,
                one.parent,
                words,
                run if isinstance(run, str) else "some",
                one.gr_frame is None,
                one.gr_context is None,
            )

    def trace(self, on: bool) -> None:
        self.api.settrace(self.tracer if on else None)

    def tracer(self, event: str, args: Any) -> None:
        self.log.append((event, *map(self.plain, args)))

    def catch(self, on: bool) -> None:
        if on:
            self.catching.add(self.me())
        else:
            self.catching.discard(self.me())

    def run(self) -> Log:
        try:
            self.tell("returns", self.obey())
            self.trace(False)
            self.orders = iter(())
            for number in list(self.made):
                self.tell("drops", number)
                self.drop(number)
        finally:
            self.trace(False)
        self.made.clear()
        gc.collect()
        return self.log


@settings(deadline=None, max_examples=50)
@given(ORDERS)
def test_random_programs_record_the_same(orders: list[Any]) -> None:
    theirs = Play(greenlet, SOME + orders).run()
    ours = Play(pycoro.greenlet, SOME + orders).run()
    assert ours == theirs
