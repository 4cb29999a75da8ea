"""Pictures of servers by their number of connections: what they serve, and how fast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

from bench.bars import AXES, choose_colours, draw_bars
from bench.measure import Comparison
from bench.results import Results

# Titles with what stands above a row; the number in them is that of connections.
SOCKETS = {
    r"echo over (\d+) connections: req": "echo",
    r"connections: echo over TLS, (\d+) connections: req": "echo over TLS",
    r"connections: connect, one request, close, (\d+) at a time: req": (
        "a connection for each request"
    ),
}
WSGI = {
    r"WSGI, plain, over (\d+) connections: req": "plain: hello, world",
    r"WSGI, Flask, over (\d+) connections: req": "Flask: hello, world",
}


def draw_servers(
    all_results: Sequence[Results], *, kinds: dict[str, str], what: str, least: int = 1
) -> Any:
    """Of the Python for which most was measured, the newest of those: a row for each kind, with
    requests per second on the left and the 99th percentile of latencies on the right; a group of
    bars for each number of connections, one for each server. None for fewer than `least` rows."""
    measured = {results.python: _find(results, kinds) for results in all_results}
    python = max(measured, key=lambda key: (sum(map(len, measured[key].values())), key))
    rows = measured[python]
    if len(rows) < least:
        return None
    figure, axes = pyplot.subplots(
        len(rows), 2, figsize=(11, 3.4 * len(rows)), squeeze=False, layout="constrained"
    )
    names = list(
        dict.fromkeys(name for row in rows.values() for one in row.values() for name in one.figures)
    )
    colours = choose_colours(names)
    for (kind, row), (rates, latencies) in zip(rows.items(), axes, strict=True):
        label, scale, text = AXES["requests/s"]
        series = {
            name: [one.figures.get(name, 0.0) * scale for one in row.values()] for name in names
        }
        draw_bars(rates, series, colours, text.format)
        rates.set_ylabel(label)
        series = {
            name: [one.details.get(name, {}).get("p99 latency (ms)", 0.0) for one in row.values()]
            for name in names
        }
        draw_bars(latencies, series, colours, _three_figures)
        latencies.set_yscale("log")
        latencies.margins(y=0.25)
        latencies.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        latencies.set_ylabel("ms for 99 % of requests (log scale)")
        for axis in (rates, latencies):
            axis.set_xticks(range(len(row)), [f"{count} connections" for count in row])
        rates.set_title(kind)
        latencies.set_title("latency")
    axes[0, 1].legend(*axes[0, 0].get_legend_handles_labels(), loc="upper left", fontsize=8)
    figure.suptitle("{} on Python {}.{}, one process on one core each".format(what, *python))
    return figure


def _find(results: Results, kinds: dict[str, str]) -> dict[str, dict[str, Comparison]]:
    """By kind and number of connections."""
    rows: dict[str, dict[str, Comparison]] = {}
    for pattern, kind in kinds.items():
        for one in results.comparisons:
            if found := re.match(pattern, one.title):
                rows.setdefault(kind, {})[found[1]] = one
    return rows


def _three_figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# Of the echo alone there is another picture, over all versions.
draw_connections = partial(draw_servers, kinds=SOCKETS, what="Servers on sockets", least=2)
draw_wsgi = partial(draw_servers, kinds=WSGI, what="WSGI servers")
