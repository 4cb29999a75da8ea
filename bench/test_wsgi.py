"""Requests per second of WSGI servers over loopback, keep-alive, under wrk: a plain hello world and
the same in Flask. As in test_echo.py, servers and client have a core each, servers are stopped
while it is another one's turn, and the median of each round's ratio counts.

A server may be several processes, of which one works: all of its process group is stopped and
counted. On a busy machine, where servers get little of their core, their CPU time for a request
tells more than the rate. wrk sends the same head each time, which pycoro.pywsgi notices and does
not parse again; heads that differ cost some 10 us more.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import pytest

from bench import wrk, wsgi_server
from bench.conftest import Compare
from bench.measure import SHARE, Comparison, Goal

SECONDS = 1
ROUNDS = 12
LEAST = {"flask": 1.0, "plain": 3.0}  # times gevent's rate: Flask's own work is the same


@contextmanager
def serving(kind: str, application: str, core: int) -> Iterator[tuple[int, int]]:
    """(process group, port) of a stopped server of that kind, which ends with the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.wsgi_server", kind, application, str(core)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the {kind} server ended before it listened"
        wrk.drive(int(line), 1, 1, core)  # until it answers, and all is loaded
        os.killpg(server.pid, signal.SIGSTOP)
        yield server.pid, int(line)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def cpu_seconds(group: int) -> float:
    """That the processes of the group have used, in user mode and in the kernel."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Observation:
    """One load; the share of its core that the server had, and its CPU seconds for a request."""

    load: wrk.Load
    share: float
    cpu_per_request: float


def observe(group: int, port: int, connections: int, core: int) -> Observation:
    """Has the server run for one load."""
    os.killpg(group, signal.SIGCONT)
    try:
        before, start = cpu_seconds(group), time.perf_counter()
        load = wrk.drive(port, connections, SECONDS, core)
        busy, passed = cpu_seconds(group) - before, time.perf_counter() - start
        return Observation(load, busy / passed, busy / load.requests)
    finally:
        os.killpg(group, signal.SIGSTOP)


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
@pytest.mark.parametrize("application", ["plain", "flask"])
def test_wsgi(compare: Compare, application: str, connections: int, quick: bool) -> None:
    found = wsgi_server.kinds(application)
    if not found:
        pytest.skip("httptools or Flask is missing: pip install 'pycoro[servers]'")
    what = f"{application} WSGI over {connections} connections"
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        paired=True,
        goals=[
            Goal(
                f"{what}, to {kind}",
                LEAST[application] if "gevent" in kind else 1.0,
                against=kind,
            )
            for kind in found
            if kind != "pycoro"
        ],
    )
    cores = sorted(os.sched_getaffinity(0))
    seen: dict[str, list[Observation]] = {kind: [] for kind in found}

    def load(kind: str, group: int, port: int) -> float:
        seen[kind].append(observe(group, port, connections, cores[-1]))
        comparison.details[kind] = {
            "median latency (ms)": median(one.load.median for one in seen[kind]) * 1e3,
            "p99 latency (ms)": median(one.load.p99 for one in seen[kind]) * 1e3,
            "CPU time per request (us)": median(one.cpu_per_request for one in seen[kind]) * 1e6,
            SHARE: median(one.share for one in seen[kind]),
        }
        return seen[kind][-1].load.requests_per_second

    with ExitStack() as servers:
        samplers = {
            kind: partial(load, kind, *servers.enter_context(serving(kind, application, cores[0])))
            for kind in found
        }
        compare(comparison, samplers, rounds=2 if quick else ROUNDS)
