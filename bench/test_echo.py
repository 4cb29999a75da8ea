"""Requests per second of a keep-alive HTTP-like echo over loopback, server and client each on a
core of its own. The servers are processes that wait while it is another one's turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial

import pytest

from bench import echo_server, wrk
from bench.conftest import Compare
from bench.measure import Comparison, Goal

SECONDS = 2
ROUNDS = 4


@contextmanager
def serving(kind: str, core: int) -> Iterator[int]:
    """The port of a server of that kind, which ends with the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.echo_server", kind, str(core)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"the {kind} server ended before it listened"
        yield int(line)
    finally:
        server.kill()
        server.communicate()


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
def test_echo(compare: Compare, quick: bool, connections: int) -> None:
    what = f"echo over {connections} connections"
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        goals=[
            Goal(what, 2.0, against="gevent StreamServer"),
            Goal(what, 1.0, against="asyncio Protocols"),
        ],
    )
    cores = sorted(os.sched_getaffinity(0))

    def load(kind: str, port: int) -> float:
        seconds = 1 if quick else SECONDS
        seen = wrk.drive(port, connections, seconds, core=cores[-1])
        former = comparison.details.get(kind)
        if former is None or former["requests_per_second"] < seen.requests_per_second:
            comparison.details[kind] = asdict(seen)
        return seen.requests_per_second

    with ExitStack() as servers:
        samplers = {
            kind: partial(load, kind, servers.enter_context(serving(kind, cores[0])))
            for kind in echo_server.kinds()
        }
        compare(comparison, samplers, rounds=ROUNDS)
