"""Random trees of coroutines against a model: switch, throw, reparent, drop, end, collect.

The model is greenlet's semantics in a few dozen lines of plain data. Each coroutine obeys orders
that arrive by switch() and records what it sees; the model predicts the record.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

import pycoro
from pycoro import Coroutine, CoroutineExit, _native, current

MAIN = 0


class Order(Exception):
    """What a test throws; `number` tells them apart."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Model:
    """What is known of one: its state is new, suspended or dead; main's is always running."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.state = "new"
        self.depth = 0


class Machine(RuleBasedStateMachine):
    """Main drives: it switches to one, which does one thing and comes back to main by a switch,
    by its end, or by its end's way along the parents."""

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # hypothesis's own objects: collections in here should be quick
        self.in_use = _native.count_in_use()
        self.main = current()
        self.real: dict[int, Coroutine] = {}
        self.models: dict[int, Model] = {}
        self.log: list[Any] = []
        self.expected: list[Any] = []
        self.number = 0

    # ---- what runs inside a coroutine ----

    def make_run(self, me: int) -> Any:
        log, main = self.log, self.main

        def obey(order: Any, depth: int) -> Any:
            while True:
                kind = order[0] if isinstance(order, tuple) and order else None
                if kind == "deeper":
                    sorted([0], key=lambda _: keep(obey(order[1], depth + 1)))
                    order = kept.pop()
                    continue
                if kind in ("finish", "raise"):
                    return order
                log.append((me, "got", order))
                try:
                    order = main.switch((me, "out"))
                except Order as error:
                    log.append((me, "caught", error.number))
                    if error.number % 3 == 0:
                        raise
                    order = ("caught", error.number)

        def keep(value: Any) -> int:
            kept.append(value)
            return 0

        kept: list[Any] = []

        def run(order: Any) -> Any:
            try:
                order = obey(order, 0)
                if order[0] == "raise":
                    raise Order(order[1])
                return (me, "result", order[1])
            except CoroutineExit:
                log.append((me, "exit"))
                raise
            finally:
                log.append((me, "ends"))

        return run

    # ---- what the model says ----

    def model_deliver(self, me: int, value: Any, error: int | None) -> Any:
        """Goes on in `me`; returns what arrives in main: ("value", v) or ("error", number)."""
        while me != MAIN:
            model = self.models[me]
            if model.state == "dead":
                me = model.parent
                continue
            if model.state == "new":
                model.state = "dead" if error is not None else "suspended"
                if error is not None:
                    me = model.parent
                    continue
                kind = value[0] if isinstance(value, tuple) and value else None
            else:
                if error is not None:
                    self.expected.append((me, "caught", error))
                    if error % 3 == 0:
                        self.expected.append((me, "ends"))
                        model.state = "dead"
                        me = model.parent
                        continue
                    self.expected.append((me, "got", ("caught", error)))
                    return ("value", (me, "out"))
                kind = value[0] if isinstance(value, tuple) and value else None
            while kind == "deeper":
                value = value[1]
                kind = value[0] if isinstance(value, tuple) and value else None
            if kind == "finish":
                self.expected.append((me, "ends"))
                model.state, value = "dead", (me, "result", value[1])
                me = model.parent
            elif kind == "raise":
                self.expected.append((me, "ends"))
                model.state, error = "dead", value[1]
                me = model.parent
            else:
                self.expected.append((me, "got", value))
                return ("value", (me, "out"))
        return ("error", error) if error is not None else ("value", value)

    def model_kill(self, me: int) -> None:
        model = self.models.pop(me)
        if model.state == "suspended":
            self.expected += [(me, "exit"), (me, "ends")]

    def check(self, action: Any, *arguments: Any, outcome: Any) -> None:
        try:
            result = ("value", action(*arguments))
        except Order as error:
            result = ("error", error.number)
            error.__traceback__ = None
        assert result == outcome
        assert self.log == self.expected

    # ---- rules ----

    def pick(self, data: st.DataObject, also_main: bool = False) -> int:
        known = sorted(self.models)
        return data.draw(st.sampled_from([MAIN, *known] if also_main else known))

    def real_of(self, me: int) -> Coroutine:
        return self.main if me == MAIN else self.real[me]

    @rule(data=st.data())
    def make(self, data: st.DataObject) -> None:
        if len(self.models) >= 12:
            return
        parent = self.pick(data, also_main=True)
        self.number += 1
        me = self.number
        self.real[me] = Coroutine(self.make_run(me), self.real_of(parent))
        self.models[me] = Model(parent)

    ORDERS = st.recursive(
        st.one_of(
            st.tuples(st.just("finish"), st.integers(0, 9)),
            st.tuples(st.just("raise"), st.integers(0, 9)),
            st.tuples(st.just("wait"), st.integers(0, 9)),
            st.integers(),
            st.just(()),
        ),
        lambda inner: st.tuples(st.just("deeper"), inner),
        max_leaves=3,
    )

    @precondition(lambda self: self.models)
    @rule(data=st.data(), order=ORDERS)
    def switch(self, data: st.DataObject, order: Any) -> None:
        me = self.pick(data)
        outcome = self.model_deliver(me, order, None)
        self.check(self.real[me].switch, order, outcome=outcome)

    @precondition(lambda self: self.models)
    @rule(data=st.data(), number=st.integers(0, 9))
    def throw(self, data: st.DataObject, number: int) -> None:
        me = self.pick(data)
        outcome = self.model_deliver(me, None, number)
        self.check(self.real[me].throw, Order(number), outcome=outcome)

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def reparent(self, data: st.DataObject) -> None:
        me, parent = self.pick(data), self.pick(data, also_main=True)
        ancestor = parent
        while ancestor not in (MAIN, me):
            ancestor = self.models[ancestor].parent
        try:
            self.real[me].parent = self.real_of(parent)
        except ValueError:
            assert ancestor == me
        else:
            assert ancestor == MAIN
            self.models[me].parent = parent

    @precondition(lambda self: self.models)
    @rule(data=st.data(), collect=st.booleans())
    def drop(self, data: st.DataObject, collect: bool) -> None:
        """One that is nobody's parent, for a parent is held by its children."""
        parents = {model.parent for model in self.models.values()}
        leaves = sorted(set(self.models) - parents)
        me = data.draw(st.sampled_from(leaves))
        reference = weakref.ref(self.real[me])
        self.model_kill(me)
        del self.real[me]
        if collect:
            gc.collect()
        assert reference() is None
        assert self.log == self.expected

    @rule()
    def collect(self) -> None:
        gc.collect()
        assert self.log == self.expected

    # ---- what holds at any time ----

    @invariant()
    def states_agree(self) -> None:
        assert current() is self.main
        for me, model in self.models.items():
            real = self.real[me]
            assert (real.started, real.dead) == (model.state != "new", model.state == "dead")
            assert real.parent is self.real_of(model.parent)
            assert (real.frame is not None) == (model.state == "suspended")
        suspended = sum(model.state == "suspended" for model in self.models.values())
        assert _native.count_in_use() - self.in_use == suspended

    def teardown(self) -> None:
        self.models.clear()
        self.real.clear()
        gc.collect()
        gc.unfreeze()
        assert _native.count_in_use() == self.in_use


TestRandomTrees = Machine.TestCase
TestRandomTrees.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_the_model_is_of_this_library() -> None:
    assert Coroutine is pycoro.Coroutine
