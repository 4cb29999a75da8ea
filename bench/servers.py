"""Servers side by side, under wrk over loopback: servers and client have a core each. Servers are
processes that are stopped (SIGSTOP) while it is another one's turn: they share the core, and one
that does not sleep when it is idle would slow all the others down.

A round lasts seconds, and on a machine that does other things no best one can be trusted: what
counts is the median of each round's ratio. The server's own CPU time for a request is told as a
check: on a quiet machine, where a server is busy all the time, the rate is its inverse. The share
of the core that servers get must be alike, or they did not run under the same conditions; so wrk's
share of its own is told as well, for where that is the slower one, the rate is wrk's.

A server may be several processes, of which one works: all of its process group is stopped and
counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench import wrk
from bench.conftest import Compare
from bench.measure import CLIENT_SHARE, SHARE, Comparison, Goal

SECONDS = 1
ROUNDS = 12
IDLE, LOOKS = 0.1, 30  # how long a look at an idle server is, and how many at most
CALM = 0.2  # of its core: who takes less has done what was left to do
P99 = "p99 latency (ms)"

T = TypeVar("T")
Start = Callable[[], AbstractContextManager[tuple[int, int]]]
"""Starts a server: (process group, port) while the block lasts, and it is stopped at first."""


@contextmanager
def serving(
    arguments: Sequence[str], warm_up: Callable[[int], object] | None = None
) -> Iterator[tuple[int, int]]:
    """`python -m ARGUMENTS` prints its port. warm_up: is called with that while the server runs, so
    that all is loaded when it is stopped."""
    server = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"{arguments} ended before it listened"
        if warm_up is not None:
            warm_up(int(line))
        os.killpg(server.pid, signal.SIGSTOP)
        yield server.pid, int(line)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


@dataclass(frozen=True)
class Observation:
    """One load. CPU time is the server's, in seconds; `share` is that of its core, `client_share`
    wrk's of the other one."""

    load: wrk.Load
    cpu_per_request: float
    share: float
    client_share: float
    idle_share: float
    """Of the core, afterwards, when nothing was to be done any more."""


Observations = dict[str, list[Observation]]
"""By kind of server."""


def observe(group: int, drive: Callable[[], wrk.Load]) -> Observation:
    """Has the server run for one load."""
    os.killpg(group, signal.SIGCONT)
    try:
        load, busy, passed = clocked(group, drive)
        idle_share = 1.0
        for _ in range(LOOKS):  # some answer what clients asked who are gone
            if idle_share < CALM:
                break
            _, idle, idle_passed = clocked(group, partial(time.sleep, IDLE))
            idle_share = idle / idle_passed
    finally:
        os.killpg(group, signal.SIGSTOP)
    return Observation(load, busy / load.requests, busy / passed, load.cpu / passed, idle_share)


def clocked(group: int, function: Callable[[], T]) -> tuple[T, float, float]:
    """What the function gives; meanwhile, CPU seconds of the group, and seconds passed."""
    cpu, start = cpu_seconds(group), time.perf_counter()
    result = function()
    passed = time.perf_counter() - start
    return result, cpu_seconds(group) - cpu, passed


def cpu_seconds(group: int) -> float:
    """That the processes of the group have used, in user mode and in the kernel, all threads."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def summary(observations: list[Observation]) -> dict[str, float]:
    return {
        "median latency (ms)": median(seen.load.median for seen in observations) * 1e3,
        P99: median(seen.load.p99 for seen in observations) * 1e3,
        "server's CPU for one (µs)": median(seen.cpu_per_request for seen in observations) * 1e6,
        SHARE: median(seen.share for seen in observations),
        CLIENT_SHARE: median(seen.client_share for seen in observations),
        "share when idle": median(seen.idle_share for seen in observations),
    }


def cores() -> tuple[int, int]:
    """(the servers', the client's)"""
    found = sorted(os.sched_getaffinity(0))
    return found[0], found[-1]


def compare_servers(
    compare: Compare,
    comparison: Comparison,
    servers: Mapping[str, Start],
    connections: int,
    seconds: int = SECONDS,
    tls: bool = False,
    rounds: int = ROUNDS,
) -> Observations:
    """Has all of them run side by side, each for one load in each round."""
    seen: Observations = {kind: [] for kind in servers}

    def load(kind: str, group: int, port: int) -> float:
        drive = partial(wrk.drive, port, connections, seconds, cores()[1], tls)
        seen[kind].append(observe(group, drive))
        comparison.details[kind] = summary(seen[kind])
        return seen[kind][-1].load.requests_per_second

    with ExitStack() as stack:
        samplers = {
            kind: partial(load, kind, *stack.enter_context(start()))
            for kind, start in servers.items()
        }
        compare(comparison, samplers, rounds=rounds)
    return seen


def seconds_for(connections: int) -> int:
    """Of a load: a busy machine needs some time until all are connected."""
    return SECONDS + connections // 1000


def compare_cpu(compare: Compare, title: str, goals: list[Goal], seen: Observations) -> None:
    """The same loads once more, by the server's CPU time."""
    samplers = {
        kind: iter([one.cpu_per_request * 1e9 for one in observations]).__next__
        for kind, observations in seen.items()
    }
    comparison = Comparison(title, "ns", paired=True, goals=goals)
    compare(comparison, samplers, rounds=min(map(len, seen.values())))
