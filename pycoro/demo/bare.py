"""Switching and nothing else: how many switches a second between two, and memory while suspended.

Each world says how it does that; here is what is the same for all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from .system import used_memory
from .world import BareResult

RUNS = 3


def measure(
    round_trips: Callable[[int], None], turns: int, suspend: Callable[[int], object], count: int
) -> BareResult:
    """round_trips(turns) goes to another one and back so often; suspend(count) makes so many
    that stay suspended as long as its result is held. The best of three runs counts."""
    gc.collect()
    before = used_memory()
    held = suspend(count)
    memory = (used_memory() - before) / count
    del held
    best = min(_time(round_trips, turns) for _ in range(RUNS))
    return BareResult(switches=2 * turns / best, memory=memory, count=count)


def _time(round_trips: Callable[[int], None], turns: int) -> float:
    begin = time.perf_counter()
    round_trips(turns)
    return time.perf_counter() - begin
