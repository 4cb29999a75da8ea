"""SQLAlchemy's asyncio bridge, in a process of its own: python -m bench.bridge pycoro|greenlet.

The process has one of the two as its greenlet. For each line on stdin, "spawn" or "query", it
measures once and prints the nanoseconds of one: of greenlet_spawn() of a function that awaits once,
or of a query, "select 1" on sqlite in memory by aiosqlite.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

CALLS = {"spawn": 300, "query": 20}


class Bridge:
    """The process, for who measures."""

    def __init__(self, implementation: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.bridge", implementation],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def sampler(self, what: str) -> Callable[[], float]:
        def sample() -> float:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(f"{what}\n")
            return float(self._process.stdout.readline())

        return sample

    def close(self) -> None:
        self._process.communicate()


async def serve(implementation: str) -> None:
    if implementation == "pycoro":
        import pycoro.greenlet

        pycoro.greenlet.install()
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.util import await_only, greenlet_spawn

    engine = create_async_engine("sqlite+aiosqlite://")
    one: Any = text("select 1")

    async def nothing() -> None:
        pass

    async def spawn() -> None:
        await greenlet_spawn(lambda: await_only(nothing()))

    async with engine.connect() as connection:

        async def query() -> None:
            (await connection.execute(one)).scalar()

        work: dict[str, Callable[[], Awaitable[None]]] = {"spawn": spawn, "query": query}
        while line := sys.stdin.readline().strip():
            print(await measure(work[line], CALLS[line]), flush=True)
    await engine.dispose()


async def measure(call: Callable[[], Awaitable[None]], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - start) / count * 1e9


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
