"""Coroutines that switch explicitly: pycoro and greenlet run the same code; generators and threads
show where the bounds are.

A round trip is two switches: from main into the coroutine and back. In the nested ones the
coroutine is suspended under that many calls of C functions that call Python again, which is where
greenlet copies the more stack, the deeper it is: 2.5 KiB for each sorted(), which the goal was set
by, and a fifth of that for each functools.reduce(), which therefore has no goal but to be flat.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from itertools import repeat
from typing import Any

import pytest

from bench.conftest import Compare
from bench.measure import Comparison, Goal, Run, nanoseconds
from bench.peers import Switcher, switchers

DEPTHS = (0, 10, 25, 50, 100)
DEEP_STACK = 4 << 20  # bytes; 100 nested sorted() overflow a default stack
MADE = 10_000
FLAT = 1.25  # what 100 nested calls may cost over none

Nest = Callable[[int, Callable[[], object]], object]


def test_round_trip(compare: Compare) -> None:
    runs = {api.name: round_trip(api) for api in switchers()}
    runs |= {"generator": generator_round_trip(), "threads": threads_round_trip()}
    title = "round trip, no value"
    compare(
        Comparison(title, "ns", goals=[Goal(title, 0.45, against="greenlet")]),
        {name: nanoseconds(run) for name, run in runs.items()},
    )


def test_round_trip_with_value(compare: Compare) -> None:
    title = "round trip with a value"
    compare(
        Comparison(title, "ns", goals=[Goal(title, 0.5, against="greenlet")]),
        {api.name: nanoseconds(round_trip_with_value(api)) for api in switchers()},
    )


def test_spawn_run_finish(compare: Compare) -> None:
    runs = {api.name: spawn_run_finish(api) for api in switchers()}
    runs["threads"] = threads_spawn_run_finish
    title = "spawn, run, finish"
    compare(
        Comparison(title, "ns", goals=[Goal(title, 0.1, against="greenlet")]),
        {name: nanoseconds(run) for name, run in runs.items()},
    )


def test_make_many(compare: Compare) -> None:
    title = f"make {MADE:,}, run each, finish each"
    compare(
        Comparison(title, "ns", goals=[Goal(title, 0.2, against="greenlet")]),
        {api.name: nanoseconds(make_many(api), count=MADE) for api in switchers()},
        rounds=25,
    )


def nest_sorted(depth: int, bottom: Callable[[], Any]) -> Any:
    if not depth:
        return bottom()
    return sorted((0,), key=lambda _: nest_sorted(depth - 1, bottom))


def nest_reduce(depth: int, bottom: Callable[[], object]) -> object:
    if not depth:
        return bottom()
    return functools.reduce(lambda _, _item: nest_reduce(depth - 1, bottom), (0,), None)


@pytest.mark.parametrize(
    ("nest", "kind", "limit"),
    [(nest_sorted, "sorted(key=...)", 0.02), (nest_reduce, "functools.reduce()", None)],
)
def test_nested(compare: Compare, nest: Nest, kind: str, limit: float | None) -> None:
    samplers = {
        f"{api.name} at {depth}": nanoseconds(nested_round_trip(api, nest, depth))
        for depth in DEPTHS
        for api in switchers()
    }
    goals = [
        Goal(f"round trip under 50 nested {kind}", limit, "pycoro at 50", "greenlet at 50"),
        Goal(f"flat: under 100 nested {kind}, to none", FLAT, "pycoro at 100", "pycoro at 0"),
    ]
    compare(Comparison(f"round trip under nested {kind}", "ns", goals=goals), samplers, rounds=80)


def round_trip(api: Switcher) -> Run:
    back = api.current().switch

    def body() -> None:
        while True:
            back()

    coroutine = api.make(body)
    coroutine.switch()

    def run(n: int) -> None:
        switch = coroutine.switch
        for _ in repeat(None, n):
            switch()

    return run


def round_trip_with_value(api: Switcher) -> Run:
    back = api.current().switch
    value = "value"

    def body(received: str) -> None:
        while True:
            received = back(received)

    coroutine = api.make(body)
    coroutine.switch(value)

    def run(n: int) -> None:
        switch = coroutine.switch
        for _ in repeat(None, n):
            switch(value)

    return run


def nested_round_trip(api: Switcher, nest: Nest, depth: int) -> Run:
    back = api.current().switch

    def bottom() -> None:
        while True:
            back()

    coroutine = api.sized(DEEP_STACK).make(lambda: nest(depth, bottom))
    coroutine.switch()

    def run(n: int) -> None:
        switch = coroutine.switch
        for _ in repeat(None, n):
            switch()

    return run


def spawn_run_finish(api: Switcher) -> Run:
    make = api.make

    def body() -> None:
        pass

    def run(n: int) -> None:
        for _ in repeat(None, n):
            make(body).switch()

    return run


def make_many(api: Switcher) -> Run:
    make = api.make
    back = api.current().switch

    def body() -> None:
        back()

    def run(n: int) -> None:
        coroutines = [make(body) for _ in range(n)]
        for coroutine in coroutines:
            coroutine.switch()
        for coroutine in coroutines:
            coroutine.switch()

    return run


def generator_round_trip() -> Run:
    def body() -> Generator[None, None, None]:
        while True:
            yield

    generator = body()
    next(generator)

    def run(n: int) -> None:
        send: Any = generator.send
        for _ in repeat(None, n):
            send(None)

    return run


def threads_round_trip() -> Run:
    def run(n: int) -> None:
        there, back = threading.Lock(), threading.Lock()
        there.acquire()
        back.acquire()

        def body() -> None:
            for _ in repeat(None, n):
                there.acquire()
                back.release()

        thread = threading.Thread(target=body)
        thread.start()
        for _ in repeat(None, n):
            there.release()
            back.acquire()
        thread.join()

    return run


def threads_spawn_run_finish(n: int) -> None:
    for _ in repeat(None, n):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
