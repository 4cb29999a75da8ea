"""What connections cost: one for each request, and TLS. wrk, its servers and how they are compared
are those of test_echo.py; so is what stands beside each rate.

With "Connection: close" wrk connects anew for each request; the server closes first, so its end is
the one in TIME_WAIT. The kernel has more to do for that at wrk's end than at the server's, so wrk
has the busier core of the two: a rate tells of a fast server that it is faster than wrk, no more.
So the server's CPU time stands beside it. That is no more than a bound either: a server that is
faster than wrk goes to sleep and wakes up more often, which a slow one need not.

Over TLS the connections stay; each load begins with their handshakes, a millisecond or two each at
both ends, and therefore lasts longer.
"""

from __future__ import annotations

import pytest

from bench import ceiling, wrk
from bench.conftest import Compare
from bench.measure import Comparison, Goal
from bench.servers import ROUNDS, Observations, compare_cpu, seconds_for
from bench.test_echo import compare_echoes

LOADS = {
    "close": "connections: connect, one request, close, {} at a time",
    "tls": "connections: echo over TLS, {} connections",
}
PEERS: dict[str, float | None] = {  # times the rate of each that is to be served
    "gevent StreamServer": 2.0,
    "asyncio streams": 2.0,
    "uvloop Protocols": 1.0,
    ceiling.NAME: None,
}
TLS_ROUNDS = 8  # of some seconds each


def seconds_of(mode: str, connections: int, quick: bool) -> int:
    if mode == "close":
        return seconds_for(connections)
    return 1 + connections // 400 if quick else 2 + connections // 200


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, int], Observations]:
    """By mode and number of connections: for test_connections_cpu()."""
    return {}


Seen = dict[tuple[str, int], Observations]


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
@pytest.mark.parametrize("mode", LOADS)
def test_connections(
    compare: Compare, seen: Seen, quick: bool, mode: str, connections: int
) -> None:
    what = LOADS[mode].format(connections)
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        paired=True,
        goals=[Goal(f"{what}, to {peer}", limit, against=peer) for peer, limit in PEERS.items()],
    )
    seconds = seconds_of(mode, connections, quick)
    rounds = TLS_ROUNDS if mode == "tls" else ROUNDS
    seen[mode, connections] = compare_echoes(
        compare, comparison, connections, mode, seconds, rounds
    )


@pytest.mark.parametrize("mode", LOADS)
def test_connections_cpu(compare: Compare, seen: Seen, mode: str, connections: int) -> None:
    if (mode, connections) not in seen:
        pytest.skip("test_connections() has to run before, with the same number of connections")
    what = f"{LOADS[mode].format(connections)}, CPU time per request"
    goals = [
        Goal(f"{what}, to {peer}", 1 / limit if limit and mode == "close" else None, against=peer)
        for peer, limit in PEERS.items()
    ]
    compare_cpu(compare, what, goals, seen[mode, connections])
