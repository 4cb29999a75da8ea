"""Many rounds of the same, with flat memory: switching, spawning, throwing, dropping.

Ten million switches take some three seconds, so they are part of every run.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

from helpers import needs_reuse

from pycoro import Coroutine, _native, current


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def settle() -> tuple[int, int, int]:
    gc.collect()
    return resident(), _native.count_in_use(), sys.getallocatedblocks()


def assert_flat(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    assert after[1] == before[1]
    assert after[2] - before[2] < 2000
    assert after[0] - before[0] < 2 << 20


def test_ten_million_switches() -> None:
    main = current()
    go_on = main.switch

    def echo(value: Any) -> None:
        while True:
            value = go_on(value)

    coroutines = [Coroutine(echo) for _ in range(10)]
    for coroutine in coroutines:
        coroutine.switch(None)

    def play(rounds: int) -> None:
        switches = [coroutine.switch for coroutine in coroutines]
        for number in range(rounds):
            for switch in switches:
                if switch(number) is not number:
                    raise AssertionError("another value came back")

    play(1000)
    before = settle()
    play(500_000)  # each round trip is two switches
    assert_flat(before, settle())


def test_spawn_and_finish() -> None:
    main = current()

    def run(number: int) -> int:
        return int(main.switch(number))

    def play(rounds: int) -> None:
        for number in range(rounds):
            coroutine = Coroutine(run)
            if coroutine.switch(number) != number or coroutine.switch(number) != number:
                raise AssertionError("another value came back")

    play(1000)
    before, stacks = settle(), _native.count_stacks()
    play(100_000)
    assert_flat(before, settle())
    assert _native.count_stacks() == stacks


@needs_reuse
def test_throw_and_drop() -> None:
    main = current()

    def run() -> None:
        try:
            main.switch([0] * 10)
        finally:
            sorted([1, 2], key=lambda item: item)

    def play(rounds: int) -> None:
        for _ in range(rounds):
            coroutine = Coroutine(run)
            coroutine.switch()
            coroutine = Coroutine(run)
            coroutine.switch()
            try:
                coroutine.throw(KeyError)
            except KeyError:
                pass

    play(500)
    before = settle()
    play(10_000)
    assert_flat(before, settle())


@needs_reuse
def test_deep_stacks_again_and_again() -> None:
    main = current()

    def dive(depth: int) -> None:
        if depth:
            sorted([0], key=lambda _: dive(depth - 1) or 0)
        else:
            main.switch()

    def play(rounds: int) -> None:
        for _ in range(rounds):
            coroutines = [Coroutine(dive) for _ in range(20)]
            for coroutine in coroutines:
                coroutine.switch(40)
            for coroutine in coroutines[::2]:
                coroutine.switch()

    play(3)
    before = settle()
    play(30)
    assert_flat(before, settle())
