"""The plots of bench/results/, each as SVG and PNG, over all versions of Python that were measured.

Needs matplotlib. Files carry no date and no random identifiers, so that the same results give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

from bench.bars import AXES, NAMED_COLOURS, choose_colours, draw_bars
from bench.measure import Comparison, Goal
from bench.results import Results
from bench.server_plots import draw_connections, draw_wsgi

STYLE: Any = {
    "svg.hashsalt": "pycoro",
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
VERSION_COLOURS = pyplot.get_cmap("viridis")
MISSED = "#c0392b"
MEMORY = "memory of one suspended"
NESTED = "round trip under nested"
ECHO = "echo over"
OWN_PICTURE = ("WSGI, ", "connections: ")


def draw_all(all_results: Sequence[Results], directory: Path) -> list[Path]:
    """Draws whatever there are figures for."""
    drawings: dict[str, Callable[[Sequence[Results]], Any]] = {
        "ratios": draw_ratios,
        "depth": draw_depth,
        "memory": draw_memory,
        "echo": draw_echo,
        "connections": draw_connections,
        "wsgi": draw_wsgi,
    }
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, draw in drawings.items():
            figure = draw(all_results)
            if figure is None:
                continue
            for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
                paths.append(directory / f"{name}.{kind}")
                figure.savefig(paths[-1], dpi=130, metadata=metadata, bbox_inches="tight")
            pyplot.close(figure)
    return paths


def draw_ratios(all_results: Sequence[Results]) -> Any:
    """A panel for each goal that is a ratio to a peer, a bar for each version, the goal a line.
    Servers by their number of connections have pictures of their own."""
    echoes = _echoes(all_results)
    goals: dict[str, tuple[Goal, Comparison]] = {}
    for results in all_results:
        for comparison in results.comparisons:
            title = comparison.title
            if title.startswith(OWN_PICTURE) or (title.startswith(ECHO) and title not in echoes):
                continue
            for goal in comparison.goals:
                if goal.limit is not None and _is_peer(goal.against):
                    goals.setdefault(goal.what, (goal, comparison))
    if not goals:
        return None
    columns = 3
    rows = -(-len(goals) // columns)
    size = (11, 2.5 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat[len(goals) :]:
        axis.set_visible(False)
    for axis, (goal, shown) in zip(axes.flat, goals.values(), strict=False):
        _draw_ratio(axis, goal, shown, all_results)
    figure.suptitle(
        "pycoro's figure divided by the peer's, on the same interpreter, for each Python version\n"
        "(dashed: the goal; blue: met, red: not met)"
    )
    return figure


def _draw_ratio(axis: Any, goal: Goal, shown: Comparison, all_results: Sequence[Results]) -> None:
    assert goal.limit is not None
    bars = []
    for results in all_results:
        comparison = results.find(shown.title)
        judged = comparison.judge(goal) if comparison else None
        bars.append(judged[1] if judged and judged[1] is not None else 0.0)
    positions = range(len(bars))
    more = shown.more_is_better
    met = [bar >= goal.limit if more else bar <= goal.limit for bar in bars]
    axis.bar(positions, bars, 0.7, color=[NAMED_COLOURS["pycoro"] if ok else MISSED for ok in met])
    for position, bar in enumerate(bars):
        text = f"{bar:.3f}" if 0 < bar < 0.1 else f"{bar:.2f}" if bar else "not measured"
        axis.annotate(
            text,
            (position, bar),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            rotation=0 if bar else 90,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
            zorder=3,
        )
    sense = "at least" if more else "at most"
    axis.axhline(goal.limit, color="black", linewidth=1, linestyle="--")
    axis.annotate(
        f"{sense} {goal.limit:g}",
        (1.0, goal.limit),
        (2, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )
    axis.set_xticks(positions, [_version(results) for results in all_results])
    axis.set_ylim(0, max([*bars, goal.limit]) * 1.25)
    axis.set_title(f"{goal.what}\nagainst {goal.against}", fontsize=9)


def draw_depth(all_results: Sequence[Results]) -> Any:
    """A panel for each kind of nested call: round trip against depth."""
    titles = _titles(all_results, NESTED)
    if not titles:
        return None
    figure, axes = pyplot.subplots(
        1, len(titles), figsize=(5.5 * len(titles), 3.8), sharey=True, squeeze=False
    )
    for axis, title in zip(axes.flat, titles, strict=True):
        for index, results in enumerate(all_results):
            comparison = results.find(title)
            if comparison is None:
                continue
            colour = VERSION_COLOURS(index / max(len(all_results), 2))
            for name, style in (("pycoro", "o-"), ("greenlet", "s:")):
                points = [
                    (int(key.rpartition(" ")[2]), figure)
                    for key, figure in comparison.figures.items()
                    if key.startswith(f"{name} at ")
                ]
                label = f"{name}, {_version(results)}"
                axis.plot(
                    *zip(*points, strict=True) if points else ((), ()),
                    style,
                    color=colour,
                    label=label,
                    markersize=4,
                )
        axis.set_yscale("log")
        axis.set_ylim(bottom=100)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.set_xlabel("nested C calls on the coroutine's stack")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes.flat[0].set_ylabel("ns for a round trip (log scale)")
    axes.flat[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    figure.tight_layout()
    return figure


def draw_memory(all_results: Sequence[Results]) -> Any:
    return _draw_grouped(all_results, _titles(all_results, MEMORY))


def draw_echo(all_results: Sequence[Results]) -> Any:
    return _draw_grouped(all_results, _echoes(all_results))


def _draw_grouped(all_results: Sequence[Results], titles: Sequence[str]) -> Any:
    """A panel for each title: a group of bars for each version, one for each implementation."""
    if not titles:
        return None
    figure, axes = pyplot.subplots(
        len(titles), 1, figsize=(11, 3.6 * len(titles)), sharex=True, squeeze=False
    )
    for axis, title in zip(axes.flat, titles, strict=True):
        found = [results.find(title) for results in all_results]
        label, scale, text = AXES[next(one.unit for one in found if one)]
        names = list(dict.fromkeys(name for one in found if one for name in one.figures))
        colours = choose_colours(names)
        series = {
            name: [one.figures.get(name, 0.0) * scale if one else 0.0 for one in found]
            for name in names
        }
        draw_bars(axis, series, colours, text.format)
        axis.set_xticks(range(len(found)), [f"Python {_version(one)}" for one in all_results])
        axis.tick_params(labelbottom=True)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axis.set_ylabel(label)
        axis.set_title(title, fontsize=10)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    return figure


def _is_peer(name: str | None) -> bool:
    return name is not None and not name.startswith("pycoro")


def _titles(all_results: Sequence[Results], start: str) -> list[str]:
    titles = (one.title for results in all_results for one in results.comparisons)
    return list(dict.fromkeys(title for title in titles if title.startswith(start)))


def _echoes(all_results: Sequence[Results]) -> list[str]:
    """Over those numbers of connections that most versions have been measured with."""
    titles = _titles(all_results, ECHO)
    times = {title: sum(one.find(title) is not None for one in all_results) for title in titles}
    return [title for title in titles if times[title] == max(times.values())]


def _version(results: Results) -> str:
    return "{}.{}".format(*results.python)
