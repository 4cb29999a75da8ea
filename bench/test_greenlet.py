"""pycoro.greenlet and greenlet (PyPI): the same code, on one and the other.

What greenlet's users do: round trips, making one and letting it end, a value handed along a chain
of ten thousand, switches from deep stacks, and SQLAlchemy's bridge from asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import pycoro.greenlet
from bench.bridge import Bridge
from bench.conftest import Compare
from bench.measure import Comparison, Goal, Run, nanoseconds
from bench.peers import Switcher, load
from bench.test_switch import (
    DEEP_STACK,
    DEPTHS,
    MADE,
    nest_sorted,
    round_trip,
    round_trip_with_value,
    spawn_run_finish,
)

greenlet = load("greenlet")
pytestmark = pytest.mark.skipif(greenlet is None, reason="greenlet is not installed")

OURS = Switcher("pycoro", pycoro.greenlet.greenlet, pycoro.greenlet.getcurrent)


def both() -> list[Switcher]:
    return [OURS, Switcher("greenlet", greenlet.greenlet, greenlet.getcurrent)]


def judge(compare: Compare, title: str, limit: float, runs: dict[str, Run], **how: Any) -> None:
    goal = Goal(title, limit, against="greenlet")
    samplers = {name: nanoseconds(run, **how) for name, run in runs.items()}
    compare(Comparison(title, "ns", goals=[goal]), samplers, rounds=25 if how else 100)


def test_round_trip(compare: Compare) -> None:
    runs = {api.name: round_trip(api) for api in both()}
    judge(compare, "pycoro.greenlet: round trip", 0.75, runs)


def test_round_trip_with_value(compare: Compare) -> None:
    runs = {api.name: round_trip_with_value(api) for api in both()}
    judge(compare, "pycoro.greenlet: round trip with a value", 0.75, runs)


def test_round_trip_with_keywords(compare: Compare) -> None:
    runs = {api.name: round_trip_with_keywords(api) for api in both()}
    judge(compare, "pycoro.greenlet: round trip with keywords", 0.75, runs)


def test_spawn_run_finish(compare: Compare) -> None:
    runs = {api.name: spawn_run_finish(api) for api in both()}
    judge(compare, "pycoro.greenlet: spawn, run, finish", 0.15, runs)


def test_chain(compare: Compare) -> None:
    runs = {api.name: chain(api) for api in both()}
    judge(compare, f"pycoro.greenlet: a chain of {MADE:,}, for each", 0.75, runs, count=MADE)


def test_nested(compare: Compare) -> None:
    samplers = {
        f"{api.name} at {depth}": nanoseconds(nested_round_trip(api, depth))
        for depth in DEPTHS
        for api in both()
    }
    title = "pycoro.greenlet: round trip under nested sorted(key=...)"
    goal = Goal(title, 0.75, "pycoro at 50", "greenlet at 50")
    compare(Comparison(title, "ns", goals=[goal]), samplers, rounds=80)


@pytest.fixture
def bridges() -> Iterator[list[tuple[str, Bridge]]]:
    found = [(name, Bridge(name)) for name in ("pycoro", "greenlet")]
    try:
        yield found
    finally:
        for _, bridge in found:
            bridge.close()


@pytest.mark.skipif(
    load("sqlalchemy") is None or load("aiosqlite") is None,
    reason="sqlalchemy or aiosqlite is not installed",
)
@pytest.mark.parametrize("what", ["spawn", "query"])
def test_sqlalchemy(compare: Compare, bridges: list[tuple[str, Bridge]], what: str) -> None:
    title = f"pycoro.greenlet: SQLAlchemy's {'greenlet_spawn()' if what == 'spawn' else 'select 1'}"
    compare(
        Comparison(title, "ns", goals=[Goal(title, 1.0, against="greenlet")]),
        {name: bridge.sampler(what) for name, bridge in bridges},
    )


def round_trip_with_keywords(api: Switcher) -> Run:
    back = api.current().switch

    def body(**received: int) -> None:
        while True:
            received = back(**received)

    coroutine = api.make(body)
    coroutine.switch(a=1, b=2)

    def run(n: int) -> None:
        switch = coroutine.switch
        for _ in range(n):
            switch(a=1, b=2)

    return run


def chain(api: Switcher) -> Run:
    """As in greenlet's own benchmarks: each hands the value, and one more, to the one before it.
    Then all are made to end one by one, the oldest first: to drop the last would end them from
    within each other, for which a thread's stack, on which PyPI's all are, may not suffice."""
    current = api.current

    def link(following: Any) -> None:
        following.switch(current().parent.switch() + 1)

    def run(n: int) -> None:
        start = current()
        made = []
        for _ in range(n):
            one = api.make(link)
            one.switch(start)
            made.append(one)
            start = one
        assert start.switch(0) == n
        for one in made:
            one.switch()

    return run


def nested_round_trip(api: Switcher, depth: int) -> Run:
    back = api.current().switch

    def bottom() -> None:
        while True:
            back()

    former = pycoro.stack_size(DEEP_STACK)  # of no matter to PyPI's, which has the thread's
    try:
        coroutine = api.make(lambda: nest_sorted(depth, bottom))
        coroutine.switch()
    finally:
        pycoro.stack_size(former)

    def run(n: int) -> None:
        switch = coroutine.switch
        for _ in range(n):
            switch()

    return run
