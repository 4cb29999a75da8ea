"""Memory of suspended coroutines, each kind in a process of its own (memory.py), and a million of
them at once."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import memory
from bench.conftest import Compare
from bench.measure import Comparison, Goal, progress

COUNT = 100_000
THREADS = 1_000  # as many as any system allows
MILLION = 1_000_000
MILLION_NEEDS = 9 << 30  # bytes


def grow(kind: str, count: int) -> dict[str, Any]:
    """What bench.memory tells of that many: see there."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", kind, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=180,
        check=True,
    )
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told |= json.loads(line)
    return told


def test_memory_of_one_suspended(compare: Compare, quick: bool) -> None:
    many = COUNT // 10 if quick else COUNT
    title = f"memory of one suspended, of {many:,}"
    comparison = Comparison(
        title,
        "bytes",
        goals=[
            Goal("memory of one suspended, page tables and all", 1.0, against="greenlet"),
            Goal("the same, where stacks can be small", 5_200, python=(3, 14)),
        ],
    )

    def each(kind: str) -> float:
        count = THREADS if kind == "threads" else many
        grown = grow(kind, count)["grown"]
        comparison.details[kind] = {
            "count": count,
            "resident (bytes)": grown["RSS"] / count,
            "page tables (bytes)": grown["PTE"] / count,
            "mappings of all": grown["mappings"],
        }
        return float(grown["RSS"] + grown["PTE"]) / count

    samplers = {kind: partial(each, kind) for kind in memory.kinds()}
    compare(comparison, samplers, rounds=1)


@pytest.fixture(scope="module")
def million(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What bench.memory tells of a million, or of a tenth with --quick."""
    available = memory_available()
    if available < MILLION_NEEDS:
        pytest.skip(f"needs {MILLION_NEEDS >> 30} GiB of free memory, not {available >> 30}")
    count = MILLION // 10 if request.config.getoption("quick") else MILLION
    progress(f"{count:,} at once")
    return {"count": count, **grow("million", count)}


def test_million_in_memory(compare: Compare, million: dict[str, Any]) -> None:
    gigabytes = (million["total"]["RSS"] + million["total"]["PTE"]) / 1e9
    what = f"{million['count']:,} suspended: the whole process"
    comparison = Comparison(what, "GB", goals=[Goal(what, 7.0)])
    compare(comparison, {"pycoro": lambda: gigabytes}, rounds=1)


def test_million_in_time(compare: Compare, million: dict[str, Any]) -> None:
    title = f"{million['count']:,} at once: seconds"
    parts = {name: dict(million[name]) for name in ("make", "resume", "finish")}
    samplers = {name: partial(part.pop, "passed") for name, part in parts.items()}
    goal = Goal(f"{million['count']:,} made and suspended", 10.0, of="make")
    compare(Comparison(title, "s", goals=[goal], details=parts), samplers, rounds=1)


def memory_available() -> int:
    """Bytes that processes can take before the system runs short."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
