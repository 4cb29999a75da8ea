"""Requests per second of a keep-alive HTTP-like echo over loopback, server and client each on a
core of its own. Servers are processes that are stopped (SIGSTOP) while it is another one's turn:
they share the core, and one that does not sleep when it is idle would slow all the others down.

A round lasts seconds, and on a machine that does other things no best one can be trusted: what
counts is the median of each round's ratio. The server's own CPU time for a request is told as a
check: on a quiet machine, where a server is busy all the time, the rate is its inverse. The share
of the core that servers get must be alike, or they did not run under the same conditions; so wrk's
share of its own is told as well, for where that is the slower one, the rate is wrk's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import pytest

from bench import echo_server, wrk
from bench.conftest import Compare
from bench.measure import CLIENT_SHARE, SHARE, Comparison, Goal

ROUNDS = 12
SETTLE, IDLE = 0.05, 0.1

T = TypeVar("T")


@contextmanager
def serving(kind: str, core: int, mode: str = "keep-alive") -> Iterator[tuple[int, int]]:
    """(process id, port) of a stopped server of that kind, which ends with the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.echo_server", kind, mode, str(core)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the {kind} server ended before it listened"
        server.send_signal(signal.SIGSTOP)
        yield server.pid, int(line)
    finally:
        server.kill()
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
    """Of the core, in the moment after, when nothing was to be done."""


Observations = dict[str, list[Observation]]
"""By kind of server."""


def observe(
    pid: int, port: int, connections: int, core: int, tls: bool, seconds: int
) -> Observation:
    """Has the server run for one load."""
    os.kill(pid, signal.SIGCONT)
    drive = partial(wrk.drive, port, connections, seconds, core, tls)
    try:
        load, busy, passed = clocked(pid, drive)
        time.sleep(SETTLE)  # it sees that the clients are gone
        _, idle, idle_passed = clocked(pid, partial(time.sleep, IDLE))
    finally:
        os.kill(pid, signal.SIGSTOP)
    return Observation(
        load, busy / load.requests, busy / passed, load.cpu / passed, idle / idle_passed
    )


def clocked(pid: int, function: Callable[[], T]) -> tuple[T, float, float]:
    """What the function gives; meanwhile, CPU seconds of the process, and seconds passed."""
    cpu, start = cpu_seconds(pid), time.perf_counter()
    result = function()
    return result, cpu_seconds(pid) - cpu, time.perf_counter() - start


def cpu_seconds(pid: int) -> float:
    """That the process has used, in user mode and in the kernel, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summary(observations: list[Observation]) -> dict[str, float]:
    return {
        "median latency (ms)": median(seen.load.median for seen in observations) * 1e3,
        "p99 latency (ms)": median(seen.load.p99 for seen in observations) * 1e3,
        "server's CPU for one (µs)": median(seen.cpu_per_request for seen in observations) * 1e6,
        SHARE: median(seen.share for seen in observations),
        CLIENT_SHARE: median(seen.client_share for seen in observations),
        "share when idle": median(seen.idle_share for seen in observations),
    }


def compare_servers(
    compare: Compare,
    comparison: Comparison,
    connections: int,
    mode: str = "keep-alive",
    seconds: int = 1,
    rounds: int = ROUNDS,
) -> Observations:
    """Has all kinds of server run side by side, each for one load in each round."""
    cores = sorted(os.sched_getaffinity(0))
    seen: Observations = {kind: [] for kind in echo_server.kinds()}

    def load(kind: str, pid: int, port: int) -> float:
        seen[kind].append(observe(pid, port, connections, cores[-1], mode == "tls", seconds))
        comparison.details[kind] = summary(seen[kind])
        return seen[kind][-1].load.requests_per_second

    with ExitStack() as servers:
        samplers = {
            kind: partial(load, kind, *servers.enter_context(serving(kind, cores[0], mode)))
            for kind in seen
        }
        compare(comparison, samplers, rounds=rounds)
    return seen


def seconds_for(connections: int) -> int:
    """Of a load: a busy machine needs some time until all are connected."""
    return 1 + connections // 1000


def compare_cpu(compare: Compare, title: str, goals: list[Goal], seen: Observations) -> None:
    """The same loads once more, by the server's CPU time."""
    samplers = {
        kind: iter([one.cpu_per_request * 1e9 for one in observations]).__next__
        for kind, observations in seen.items()
    }
    comparison = Comparison(title, "ns", paired=True, goals=goals)
    compare(comparison, samplers, rounds=min(map(len, seen.values())))


@pytest.fixture(scope="module")
def costs() -> dict[int, Observations]:
    """What test_echo() saw, by number of connections, for test_echo_cpu()."""
    return {}


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
def test_echo(compare: Compare, costs: dict[int, Observations], connections: int) -> None:
    what = f"echo over {connections} connections"
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        paired=True,
        goals=[
            Goal(f"{what}, to gevent", 2.0, against="gevent StreamServer"),
            Goal(f"{what}, to asyncio", 1.0, against="asyncio Protocols"),
            Goal(f"{what}, to asyncio streams", 2.0, against="asyncio streams"),
            Goal(f"{what}, to uvloop", 1.0, against="uvloop Protocols"),
        ],
    )
    seconds = seconds_for(connections)
    costs[connections] = compare_servers(compare, comparison, connections, seconds=seconds)


def test_echo_cpu(compare: Compare, costs: dict[int, Observations], connections: int) -> None:
    if connections not in costs:
        pytest.skip("test_echo() has to run before, with the same number of connections")
    what = f"echo over {connections} connections, CPU time per request"
    goals = [
        Goal(f"{what}, to gevent", None, against="gevent StreamServer"),
        Goal(f"{what}, to asyncio", None, against="asyncio Protocols"),
    ]
    compare_cpu(compare, what, goals, costs[connections])
