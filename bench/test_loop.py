"""Tasks on an event loop: pycoro, gevent, asyncio and uvloop, with threads where they can do the
same. No goals but to know where one stands: the loops differ in what they do for a task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from itertools import repeat
from typing import Any

import pycoro
from bench import peers
from bench.conftest import Compare
from bench.measure import Comparison, Run, nanoseconds

TASKS = 1_000


def test_sleep_0(compare: Compare) -> None:
    runs = {name: sleep_0(module) for name, module in modules().items()}
    runs |= {name: asyncio_sleep_0(loop) for name, loop in loops().items()}
    compare(
        Comparison("sleep(0): to the loop and back", "ns"),
        {name: nanoseconds(run) for name, run in runs.items()},
        rounds=60,
    )


def test_spawn_and_join(compare: Compare) -> None:
    runs = {name: spawn_and_join(module) for name, module in modules().items()}
    runs |= {name: asyncio_spawn_and_join(loop) for name, loop in loops().items()}
    runs["threads"] = threads_spawn_and_join
    compare(
        Comparison(f"spawn {TASKS:,} tasks, join them all", "ns"),
        {name: nanoseconds(run, count=TASKS) for name, run in runs.items()},
        rounds=20,
    )


def modules() -> dict[str, Any]:
    """Those with gevent's names."""
    found = {"pycoro": pycoro, "gevent": peers.load("gevent")}
    return {name: module for name, module in found.items() if module is not None}


def loops() -> dict[str, Any]:
    return {name: new_loop() for name, new_loop in peers.loop_factories().items()}


def sleep_0(module: Any) -> Run:
    sleep: Callable[[float], None] = module.sleep

    def body(n: int) -> None:
        for _ in repeat(None, n):
            sleep(0)

    def run(n: int) -> None:
        module.spawn(body, n).join()

    return run


def spawn_and_join(module: Any) -> Run:
    spawn = module.spawn

    def body() -> None:
        pass

    def run(n: int) -> None:
        module.joinall([spawn(body) for _ in range(n)])

    return run


def asyncio_sleep_0(loop: Any) -> Run:
    sleep = asyncio.sleep

    async def body(n: int) -> None:
        for _ in repeat(None, n):
            await sleep(0)

    def run(n: int) -> None:
        loop.run_until_complete(body(n))

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
