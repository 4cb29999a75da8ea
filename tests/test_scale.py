"""Very many at once, and running out: limits of address space, pages that go back to the system.

Each test has a process of its own, since what it measures is the process.
"""

from __future__ import annotations

import pytest
from helpers import needs_reuse, output_of

MEMORY = """
import gc, random, resource, sys
import pycoro
from pycoro import Coroutine, current, _native

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def mappings():
    return open("/proc/self/maps").read().count(chr(10))

main = current()
"""


def lines_of(code: str, **environment: str) -> list[str]:
    return output_of(MEMORY + code, timeout=120, **environment)


def test_a_hundred_thousand_suspended() -> None:
    code = """
def run(number):
    value = main.switch(number)
    return number + value

COUNT = 100_000
small = mappings()
empty = resident()
coroutines = []
for number in range(COUNT):
    coroutine = Coroutine(run)
    assert coroutine.switch(number) == number
    coroutines.append(coroutine)
print(_native.count_in_use())
each = (resident() - empty) / COUNT
print(each < 8192 or each)
print(mappings() - small < 2000 or mappings())
order = list(range(COUNT))
random.Random(5).shuffle(order)
print(all(coroutines[n].switch(1) == n + 1 for n in order))
print(all(c.dead for c in coroutines), _native.count_in_use())
full = resident()
del coroutine
coroutines.clear()
gc.collect()
kept = _native.count_warm()
print(kept <= 16_384 or kept)
print(resident() < empty + (160 << 20) or resident())
again = [Coroutine(run) for _ in range(50_000)]
print(sum(c.switch(n) == n for n, c in enumerate(again)))
again.clear()
print(_native.count_in_use())
"""
    assert lines_of(code) == [
        "100000",
        "True",
        "True",
        "True",
        "True 0",
        "True",
        "True",
        "50000",
        "0",
    ]


@needs_reuse
def test_the_end_of_address_space_is_a_memory_error_and_no_more() -> None:
    code = """
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)

def run(*values):
    return main.switch(*values)

kept = []
for attempt in range(3):
    try:
        while True:
            coroutine = Coroutine(run, stack_size=256 << 10)
            coroutine.switch()
            kept.append(coroutine)
    except MemoryError as error:
        text = str(error)
        print("no memory for another coroutine's stack" in text and "ulimit -v" in text)
        print(coroutine.started, coroutine.dead)
    full = len(kept)
    print(full > 50 or full)
    print(all(c.switch("v") == "v" for c in kept[: full // 2]))
    del kept[: full // 2]
    print(coroutine.switch() == () and coroutine.switch(1) == 1)
    print(_native.count_in_use() == len(kept))
    error = None
"""
    once = ["True", "False False", "True", "True", "True", "True"]
    lines = lines_of(code)
    assert lines == once * 3


@needs_reuse
def test_a_stack_that_got_deep_gives_its_pages_back() -> None:
    code = """
def dive(depth):
    if depth:
        sorted([0], key=lambda _: dive(depth - 1) or 0)
    else:
        main.switch()

def play():
    coroutines = [Coroutine(dive, stack_size=1 << 20) for _ in range(200)]
    for coroutine in coroutines:
        coroutine.switch(60)
    full = resident()
    for coroutine in coroutines:
        coroutine.switch()
    return full

play()
gc.collect()
before = resident()
trimmed = _native.count_trimmed()
full = play()
gc.collect()
print(full - before > 200 * (20 << 10) or full - before)
print(resident() - before < (full - before) // 2 or resident() - before)
print(_native.count_trimmed() >= trimmed + 200)
print(_native.count_in_use())
"""
    assert lines_of(code) == ["True", "True", "True", "0"]


@pytest.mark.parametrize("size", [128 << 10, 1 << 20, 64 << 20, 1 << 30], ids=str)
def test_all_sizes_work_and_untouched_memory_costs_nothing(size: int) -> None:
    code = f"""
size = {size}
small = resident()
coroutines = [Coroutine(main.switch, stack_size=size) for _ in range(8)]
for coroutine in coroutines:
    coroutine.switch("up")
print(resident() - small < 4 << 20 or resident() - small)
print(coroutine.stack_size >= size)
print([c.switch(n) for n, c in enumerate(coroutines)] == list(range(8)))
"""
    assert lines_of(code) == ["True", "True", "True"]


@needs_reuse
def test_sizes_do_not_mix() -> None:
    code = """
sizes = [128 << 10, 256 << 10, 1 << 20, 4 << 20]
kept = []
for turn in range(400):
    size = sizes[turn % 4]
    coroutine = Coroutine(main.switch, stack_size=size)
    coroutine.switch()
    assert coroutine.stack_size >= size
    kept.append(coroutine)
    if turn % 3 == 0:
        del kept[turn % len(kept)]
stacks = _native.count_stacks()
kept.clear()
del coroutine
print(_native.count_in_use())
for turn in range(200):
    Coroutine(lambda: None, stack_size=sizes[turn % 4]).switch()
print(_native.count_stacks() == stacks)
"""
    assert lines_of(code) == ["0", "True"]
