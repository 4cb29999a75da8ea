"""What connections cost: one for each request, and TLS. wrk, its servers and how they are compared
are those of test_echo.py; so is what stands beside each rate: latencies, the server's CPU time, and
its share of its core.

With "Connection: close" wrk connects anew for each request; the server closes first, so its end is
the one in TIME_WAIT. Over TLS the connections stay; each load begins with their handshakes, and
therefore lasts longer.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial

import pytest

from bench import echo_server, wrk
from bench.conftest import Compare
from bench.measure import Comparison, Goal
from bench.test_echo import ROUNDS, Observation, observe, serving, summary

# Mode -> what it is, connections, seconds. Those over TLS are few, for a handshake takes a
# millisecond or two at each end.
LOADS = {
    "close": ("connections: connect, one request, close, 100 at a time", 100, 1),
    "tls": ("connections: echo over TLS, 20 connections", 20, 3),
}


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
@pytest.mark.parametrize("mode", LOADS)
def test_connections(compare: Compare, quick: bool, mode: str) -> None:
    what, connections, seconds = LOADS[mode]
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        paired=True,
        goals=[
            Goal(f"{what}, to gevent", 2.0, against="gevent StreamServer"),
            Goal(f"{what}, to asyncio streams", 2.0, against="asyncio streams"),
            Goal(f"{what}, to uvloop", 1.0, against="uvloop Protocols"),
        ],
    )
    seconds = 1 if quick else seconds
    cores = sorted(os.sched_getaffinity(0))
    seen: dict[str, list[Observation]] = {kind: [] for kind in echo_server.kinds()}

    def load(kind: str, pid: int, port: int) -> float:
        seen[kind].append(observe(pid, port, connections, cores[-1], mode == "tls", seconds))
        comparison.details[kind] = summary(seen[kind])
        return seen[kind][-1].load.requests_per_second

    with ExitStack() as servers:
        samplers = {
            kind: partial(load, kind, *servers.enter_context(serving(kind, cores[0], mode)))
            for kind in seen
        }
        compare(comparison, samplers, rounds=ROUNDS)
