"""What connections cost: one for each request, and TLS. wrk, its servers and how they are compared
are those of test_echo.py; so is what stands beside each rate: latencies, the server's CPU time, and
its share of its core.

With "Connection: close" wrk connects anew for each request; the server closes first, so its end is
the one in TIME_WAIT. Over TLS the connections stay; each load begins with their handshakes, and
therefore lasts longer.
"""

from __future__ import annotations

import pytest

from bench import wrk
from bench.conftest import Compare
from bench.measure import Comparison, Goal
from bench.test_echo import compare_echoes

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
    compare_echoes(compare, comparison, connections, mode, 1 if quick else seconds)
