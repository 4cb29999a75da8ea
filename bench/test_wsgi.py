"""Requests per second of WSGI servers over loopback, keep-alive, under wrk: a plain hello world and
the same in Flask. How servers are compared is in servers.py.

On a busy machine, where servers get little of their core, their CPU time for a request tells more
than the rate. wrk sends the same head each time, which pycoro.pywsgi notices and does not parse
again; heads that differ cost some 10 us more.
"""

from __future__ import annotations

from functools import partial

import pytest

from bench import wrk, wsgi_server
from bench.conftest import Compare
from bench.measure import Comparison, Goal
from bench.servers import compare_servers, cores, serving

LEAST = 3.0  # times gevent's rate; in Flask, whose own work is the same everywhere, as well


@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is missing: apt-get install wrk")
@pytest.mark.parametrize("application", ["plain", "Flask"])
def test_wsgi(compare: Compare, application: str, connections: int, quick: bool) -> None:
    found = wsgi_server.kinds(application)
    if not found:
        pytest.skip("httptools or Flask is missing: pip install 'pycoro[servers]'")
    what = f"WSGI, {application}, over {connections} connections"
    comparison = Comparison(
        f"{what}: requests per second",
        "requests/s",
        more_is_better=True,
        paired=True,
        goals=[
            Goal(
                f"{what}, to {kind}",
                LEAST if "gevent" in kind else 1.0,
                against=kind,
            )
            for kind in found
            if kind != "pycoro"
        ],
    )
    core, client_core = cores()

    def warm_up(port: int) -> None:
        wrk.drive(port, 1, 1, client_core)

    servers = {
        kind: partial(serving, ["bench.wsgi_server", kind, application, str(core)], warm_up)
        for kind in found
    }
    # A slow server has to get round all of the connections several times.
    seconds = 3 if connections > 100 and not quick else 1
    compare_servers(compare, comparison, servers, connections, seconds)
    for kind in found:
        comparison.details[kind]["versions"] = wsgi_server.versions(kind, application)
