"""The runtime: tasks, time, events, locks and queues, against gevent's; asyncio and uvloop, whose
programs look otherwise, and threads show where one stands.

Under gevent's names both run the same code. What is not there yet is skipped, and says so. Each
figure is the time of one such thing, so that the number of them does not matter.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat
from types import FunctionType
from typing import Any

import pytest

import pycoro
from bench import peers
from bench.conftest import Compare
from bench.measure import Comparison, Goal, Run, nanoseconds
from bench.test_memory import COUNT, grow

TASKS = 10_000
THREADS = 1_000  # as many as any system allows
TURNERS = 100
WAITERS = 1_000
SLEEPERS = 100_000
SPREAD = 0.1  # seconds over which their deadlines lie: none has to wait long for the last


def against_gevent(what: str, limit: float) -> list[Goal]:
    return [Goal(what, limit, against="gevent")]


def modules() -> dict[str, Any]:
    """Those with gevent's names."""
    found = {"pycoro": pycoro, "gevent": peers.load("gevent")}
    return {name: module for name, module in found.items() if module is not None}


def parts(name: str) -> dict[str, tuple[Any, Any]]:
    """Each one's package, and its module of that name."""
    found = {package: peers.load(f"{package}.{name}") for package in modules()}
    if found["pycoro"] is None:
        pytest.skip(f"pycoro.{name} is not there yet")
    return {package: (modules()[package], part) for package, part in found.items() if part}


def loops() -> dict[str, Any]:
    return {name: new_loop() for name, new_loop in peers.loop_factories().items()}


# ---- tasks ----


def test_spawn_and_join(compare: Compare) -> None:
    runs = {name: spawn_and_join(module) for name, module in modules().items()}
    runs |= {name: asyncio_spawn_and_join(loop) for name, loop in loops().items()}
    samplers = {name: nanoseconds(run, count=TASKS) for name, run in runs.items()}
    samplers["threads"] = nanoseconds(threads_spawn_and_join, count=THREADS)
    title = f"spawn {TASKS:,} tasks, join them all"
    goals = against_gevent(title, 0.25)
    compare(Comparison(title, "ns", goals=goals), samplers, rounds=15)


def spawn_and_join(module: Any) -> Run:
    spawn = module.spawn

    def body() -> None:
        pass

    def run(n: int) -> None:
        module.joinall([spawn(body) for _ in range(n)])

    return run


def asyncio_spawn_and_join(loop: Any) -> Run:
    gather = asyncio.gather

    async def body() -> None:
        pass

    async def main(n: int) -> None:
        await gather(*[loop.create_task(body()) for _ in range(n)])

    def run(n: int) -> None:
        loop.run_until_complete(main(n))

    return run


def threads_spawn_and_join(n: int) -> None:
    threads = [threading.Thread(target=int) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- time ----


@pytest.mark.parametrize(("tasks", "limit"), [(1, None), (TURNERS, 0.5)])
def test_sleep_0(compare: Compare, tasks: int, limit: float | None) -> None:
    runs = {name: sleep_0(module, tasks) for name, module in modules().items()}
    runs |= {name: asyncio_sleep_0(loop, tasks) for name, loop in loops().items()}
    title = "sleep(0) of one task" if tasks == 1 else f"sleep(0) between {tasks} tasks"
    goals = [] if limit is None else against_gevent(title, limit)
    compare(
        Comparison(title, "ns", goals=goals),
        {name: nanoseconds(run, count=max(tasks * 100, 2_000)) for name, run in runs.items()},
        rounds=60,
    )


def sleep_0(module: Any, tasks: int) -> Run:
    sleep: Callable[[float], None] = module.sleep

    def body(n: int) -> None:
        for _ in repeat(None, n):
            sleep(0)

    def run(n: int) -> None:
        module.joinall([module.spawn(body, n // tasks) for _ in range(tasks)])

    return run


def asyncio_sleep_0(loop: Any, tasks: int) -> Run:
    sleep = asyncio.sleep

    async def body(n: int) -> None:
        for _ in repeat(None, n):
            await sleep(0)

    async def main(n: int) -> None:
        await asyncio.gather(*[loop.create_task(body(n // tasks)) for _ in range(tasks)])

    def run(n: int) -> None:
        loop.run_until_complete(main(n))

    return run


def test_sleepers(compare: Compare, quick: bool) -> None:
    many = SLEEPERS // 10 if quick else SLEEPERS
    chance = random.Random(3)
    delays = [chance.random() * SPREAD for _ in range(many)]
    title = f"{many:,} sleepers with random deadlines"
    samplers = {name: partial(sleepers, module, delays) for name, module in modules().items()}
    samplers |= {name: partial(asyncio_sleepers, loop, delays) for name, loop in loops().items()}
    comparison = Comparison(title, "ns", paired=True, goals=against_gevent(title, 0.5))
    compare(comparison, samplers, rounds=7)


def sleepers(module: Any, delays: list[float]) -> float:
    """ns for each: spawned, put to sleep, woken, ended and joined."""
    start = time.perf_counter()
    module.joinall([module.spawn(module.sleep, delay) for delay in delays])
    return (time.perf_counter() - start) / len(delays) * 1e9


def asyncio_sleepers(loop: Any, delays: list[float]) -> float:
    async def main() -> None:
        await asyncio.gather(*[loop.create_task(asyncio.sleep(delay)) for delay in delays])

    start = time.perf_counter()
    loop.run_until_complete(main())
    return (time.perf_counter() - start) / len(delays) * 1e9


# ---- events, locks, queues ----


def test_event_wakes(compare: Compare) -> None:
    found = parts("event")
    runs = {name: event_wakes(module, part.Event) for name, (module, part) in found.items()}
    runs |= {name: asyncio_event_wakes(loop) for name, loop in loops().items()}
    title = f"an event wakes {WAITERS:,} waiters"
    compare(
        Comparison(title, "ns", goals=against_gevent(title, 0.5)),
        {name: nanoseconds(run, count=2 * WAITERS) for name, run in runs.items()},
        rounds=40,
    )


def event_wakes(module: Any, event_class: Any) -> Run:
    """Waiters wait for one event, then for the other, and so on: a wake-up is set(), and each of
    them going on until it waits again."""
    gates = [event_class(), event_class()]
    woken = [0]
    all_woken = event_class()

    def body() -> None:
        first, second = gates
        while True:
            first.wait()
            woken[0] += 1
            if woken[0] == WAITERS:
                all_woken.set()
            first, second = second, first

    tasks = [module.spawn(body) for _ in range(WAITERS)]
    module.sleep(0)

    def run(n: int) -> None:
        assert len(tasks) == WAITERS
        for turn in range(n // WAITERS):
            woken[0] = 0
            all_woken.clear()
            gates[turn % 2].set()
            all_woken.wait()
            gates[turn % 2].clear()

    return run


def asyncio_event_wakes(loop: Any) -> Run:
    async def main(n: int, gates: list[Any], all_woken: Any, woken: list[int]) -> None:
        for turn in range(n // WAITERS):
            woken[0] = 0
            all_woken.clear()
            gates[turn % 2].set()
            await all_woken.wait()
            gates[turn % 2].clear()

    async def body(gates: list[Any], all_woken: Any, woken: list[int]) -> None:
        first, second = gates
        while True:
            await first.wait()
            woken[0] += 1
            if woken[0] == WAITERS:
                all_woken.set()
            first, second = second, first

    async def begin() -> tuple[list[Any], Any, list[int], list[Any]]:
        gates, all_woken, woken = [asyncio.Event(), asyncio.Event()], asyncio.Event(), [0]
        tasks = [loop.create_task(body(gates, all_woken, woken)) for _ in range(WAITERS)]
        await asyncio.sleep(0)
        return gates, all_woken, woken, tasks

    gates, all_woken, woken, tasks = loop.run_until_complete(begin())

    def run(n: int) -> None:
        assert len(tasks) == WAITERS
        loop.run_until_complete(main(n, gates, all_woken, woken))

    return run


def test_ping_pong(compare: Compare) -> None:
    found = parts("queue")
    runs = {name: ping_pong(module, part.Queue) for name, (module, part) in found.items()}
    runs |= {name: asyncio_ping_pong(loop) for name, loop in loops().items()}
    title = "ping-pong over two queues"
    compare(
        Comparison(title, "ns", goals=against_gevent(title, 0.5)),
        {name: nanoseconds(run) for name, run in runs.items()},
        rounds=60,
    )


def ping_pong(module: Any, queue_class: Any) -> Run:
    def run(n: int) -> None:
        there, back = queue_class(), queue_class()

        def ping() -> None:
            for _ in repeat(None, n):
                there.put(None)
                back.get()

        def pong() -> None:
            for _ in repeat(None, n):
                there.get()
                back.put(None)

        module.joinall([module.spawn(ping), module.spawn(pong)])

    return run


def asyncio_ping_pong(loop: Any) -> Run:
    async def ping(n: int, there: Any, back: Any) -> None:
        for _ in repeat(None, n):
            await there.put(None)
            await back.get()

    async def pong(n: int, there: Any, back: Any) -> None:
        for _ in repeat(None, n):
            await there.get()
            await back.put(None)

    async def main(n: int) -> None:
        there: Any = asyncio.Queue()
        back: Any = asyncio.Queue()
        await asyncio.gather(ping(n, there, back), pong(n, there, back))

    def run(n: int) -> None:
        loop.run_until_complete(main(n))

    return run


LOCKS = {"Semaphore": threading.Semaphore, "RLock": threading.RLock}


@pytest.mark.parametrize("name", LOCKS)
def test_uncontended_lock(compare: Compare, name: str) -> None:
    found = parts("lock")
    runs = {package: lock_run(getattr(part, name)()) for package, (_, part) in found.items()}
    runs["threading"] = lock_run(LOCKS[name]())
    title = f"{name}: acquire and release, nobody else there"
    compare(
        Comparison(title, "ns", goals=against_gevent(title, 1.0)),
        {package: nanoseconds(run) for package, run in runs.items()},
        rounds=60,
    )


def lock_run(lock: Any) -> Run:
    acquire, release = lock.acquire, lock.release

    def run(n: int) -> None:
        for _ in repeat(None, n):
            acquire()
            release()

    return with_caches_of_its_own(run)


QUEUES = {"Queue": queue.Queue, "SimpleQueue": queue.SimpleQueue}


@pytest.mark.parametrize("name", QUEUES)
def test_uncontended_queue(compare: Compare, name: str) -> None:
    found = parts("queue")
    runs = {package: queue_run(getattr(part, name)()) for package, (_, part) in found.items()}
    runs["threading"] = queue_run(QUEUES[name]())
    title = f"{name}: put and get, nobody waits"
    compare(
        Comparison(title, "ns", goals=against_gevent(title, 1.0)),
        {package: nanoseconds(run) for package, run in runs.items()},
        rounds=60,
    )


def queue_run(one: Any) -> Run:
    put, get = one.put, one.get

    def run(n: int) -> None:
        for _ in repeat(None, n):
            put(None)
            get()

    return with_caches_of_its_own(run)


def with_caches_of_its_own(run: Any) -> Run:
    """Programs call one package's methods from a place; runs that share their code would have the
    interpreter specialize its calls for one package and undo that for the next."""
    return FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)


# ---- memory ----


def test_memory_of_one_asleep(compare: Compare, quick: bool) -> None:
    many = COUNT // 10 if quick else COUNT
    title = f"memory of one sleeping task, of {many:,}"
    goal = Goal("memory of one sleeping task, page tables and all", 1.0, against="gevent")
    comparison = Comparison(title, "bytes", goals=[goal])

    def each(name: str) -> float:
        grown = grow(f"{name} sleeping", many)["grown"]
        comparison.details[name] = {
            "resident (bytes)": grown["RSS"] / many,
            "page tables (bytes)": grown["PTE"] / many,
        }
        return float(grown["RSS"] + grown["PTE"]) / many

    compare(comparison, {name: partial(each, name) for name in modules()}, rounds=1)
