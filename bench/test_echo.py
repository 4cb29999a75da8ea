"""Requests per second of a keep-alive HTTP-like echo over loopback, and the servers' CPU time for
one. How servers are compared is in servers.py.
"""

from __future__ import annotations

from functools import partial

import pytest

from bench import ceiling, echo_server, wrk
from bench.conftest import Compare
from bench.measure import Comparison, Goal
from bench.servers import (
    ROUNDS,
    SECONDS,
    Observations,
    compare_cpu,
    compare_servers,
    cores,
    seconds_for,
    serving,
)

Costs = dict[int, Observations]


def compare_echoes(
    compare: Compare,
    comparison: Comparison,
    connections: int,
    mode: str = "keep-alive",
    seconds: int = SECONDS,
    rounds: int = ROUNDS,
) -> Observations:
    """All kinds of echo_server.py."""
    servers = {
        kind: partial(serving, ["bench.echo_server", kind, mode, str(cores()[0])])
        for kind in echo_server.kinds(mode)
    }
    tls = mode == "tls"
    return compare_servers(compare, comparison, servers, connections, seconds, tls, rounds)


@pytest.fixture(scope="module")
def costs() -> Costs:
    """What test_echo() saw, by number of connections, for test_echo_cpu()."""
    return {}


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
def test_echo(compare: Compare, costs: Costs, connections: int) -> None:
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
            Goal(f"{what}, to {ceiling.NAME}", None, against=ceiling.NAME),
        ],
    )
    seconds = seconds_for(connections)
    costs[connections] = compare_echoes(compare, comparison, connections, seconds=seconds)


def test_echo_cpu(compare: Compare, costs: Costs, connections: int) -> None:
    if connections not in costs:
        pytest.skip("test_echo() has to run before, with the same number of connections")
    what = f"echo over {connections} connections, CPU time per request"
    goals = [
        Goal(f"{what}, to gevent", None, against="gevent StreamServer"),
        Goal(f"{what}, to asyncio", None, against="asyncio Protocols"),
        Goal(f"{what}, to {ceiling.NAME}", None, against=ceiling.NAME),
    ]
    compare_cpu(compare, what, goals, costs[connections])
