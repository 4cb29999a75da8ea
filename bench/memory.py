"""Memory of suspended coroutines, measured in a process of its own: `python -m bench.memory KIND N`
prints one JSON object.

What counts is how much the process grows: resident pages (VmRSS) and the page tables that map them
(VmPTE), which sparse stacks need many of. Of the kernel's records of mappings only the number is
given: one takes about 200 bytes, and a process may have vm.max_map_count of them (65,530).

Every kind does the least that suspends: a plain function that switches to main, a task that waits
for an event that all share, or one that sleeps.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycoro
from bench import peers

Kind = Callable[[int, Callable[[], None]], None]
"""Suspends n coroutines, calls the function, and ends them."""


def status() -> dict[str, int]:
    """Bytes, and the number of mappings, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    mappings = Path("/proc/self/maps").read_bytes().count(b"\n")
    kilobytes = {name: int(fields[f"Vm{name}"].split()[0]) << 10 for name in ("RSS", "PTE")}
    return {**kilobytes, "mappings": mappings}


def switcher(api: peers.Switcher) -> Kind:
    def measure(n: int, suspended: Callable[[], None]) -> None:
        make, back = api.make, api.current().switch

        def body() -> None:
            back()

        coroutines: list[Any] = [None] * n
        for i in range(n):
            coroutines[i] = coroutine = make(body)
            coroutine.switch()
        suspended()
        for coroutine in coroutines:
            coroutine.switch()

    return measure


def spawner(module: Any, event_class: Any) -> Kind:
    """For pycoro's and gevent's tasks."""

    def measure(n: int, suspended: Callable[[], None]) -> None:
        event = event_class()
        tasks: list[Any] = [None] * n
        for i in range(n):
            tasks[i] = module.spawn(event.wait)
        module.sleep(0)
        suspended()
        event.set()
        module.joinall(tasks)

    return measure


def sleeper(module: Any) -> Kind:
    """For pycoro's and gevent's tasks, each with a timer."""

    def measure(n: int, suspended: Callable[[], None]) -> None:
        sleep = module.sleep
        tasks: list[Any] = [None] * n
        for i in range(n):
            tasks[i] = module.spawn(sleep, 3600)
        sleep(0)
        suspended()
        module.killall(tasks)

    return measure


def asyncio_tasks(new_event_loop: Callable[[], Any]) -> Kind:
    def measure(n: int, suspended: Callable[[], None]) -> None:
        async def body(event: Any) -> None:
            await event.wait()

        async def main() -> None:
            event = asyncio.Event()
            loop = asyncio.get_running_loop()
            tasks: list[Any] = [None] * n
            for i in range(n):
                tasks[i] = loop.create_task(body(event))
            await asyncio.sleep(0)
            suspended()
            event.set()
            await asyncio.gather(*tasks)

        loop = new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    return measure


def threads(n: int, suspended: Callable[[], None]) -> None:
    event = threading.Event()
    started = [threading.Thread(target=event.wait, args=(60,)) for _ in range(n)]
    for thread in started:
        thread.start()
    suspended()
    event.set()
    for thread in started:
        thread.join()


def million(n: int, suspended: Callable[[], None]) -> None:
    """Coroutines that are suspended, resumed, and only then finished; says how long each took."""
    back = pycoro.current().switch

    def body() -> None:
        back()
        back()

    coroutines: list[Any] = [None] * n

    def make() -> None:
        for i in range(n):
            coroutines[i] = coroutine = pycoro.Coroutine(body)
            coroutine.switch()

    def go_on() -> None:
        for coroutine in coroutines:
            coroutine.switch()

    print(json.dumps({"make": _seconds(make)}))
    suspended()
    print(json.dumps({"resume": _seconds(go_on)}))
    print(json.dumps({"finish": _seconds(go_on)}))


def kinds() -> dict[str, Kind]:
    """What can be measured here, by name."""
    found = {api.name: switcher(api) for api in peers.switchers()}
    if hasattr(pycoro, "spawn") and peers.load("pycoro.event") is not None:
        found["pycoro task"] = spawner(pycoro, peers.load("pycoro.event").Event)
    if (gevent := peers.load("gevent")) is not None:
        found["gevent task"] = spawner(gevent, peers.load("gevent.event").Event)
    for name, new_event_loop in peers.loop_factories().items():
        found[f"{name} task"] = asyncio_tasks(new_event_loop)
    return {**found, "threads": threads}


def sleepers() -> dict[str, Kind]:
    """Tasks that sleep, by name."""
    modules = {"pycoro": pycoro, "gevent": peers.load("gevent")}
    return {f"{name} sleeping": sleeper(module) for name, module in modules.items() if module}


def _seconds(function: Callable[[], None]) -> dict[str, float]:
    start, cpu = time.perf_counter(), os.times()
    function()
    passed, used = time.perf_counter() - start, os.times()
    return {
        "passed": passed,
        "user CPU (s)": used.user - cpu.user,
        "kernel CPU (s)": used.system - cpu.system,
    }


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    kind = {**kinds(), **sleepers(), "million": million}[name]
    kind(10, lambda: None)  # what is made once, at the first use, is not to be counted
    gc.collect()
    before = status()

    def suspended() -> None:
        after = status()
        print(json.dumps({"grown": {key: after[key] - before[key] for key in after}}))
        print(json.dumps({"total": {key: after[key] for key in ("RSS", "PTE")}}))

    kind(count, suspended)


if __name__ == "__main__":
    main()
